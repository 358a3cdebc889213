"""Nobody learns who is known here: not without a credential, and with one only as fast as policy allows."""

from __future__ import annotations

import random
import secrets
from pathlib import Path
from typing import Any

from placet_protocol import callproof, documents
from placet_protocol.jose import public_key_bytes, sign
from placet_server.domain.ids import new_id
from placet_server.domain.users import TFA_ID_MAX, TFA_ID_MIN, UserDraft
from placet_server.domain.values import Device
from placet_server.ports import Sql, plan, step
from placet_server.system import SystemEntropy
from placet_server.testing import live_server
from support.described import KEY, NAME, NOBODY, Faces, faces
from support.http import Answer
from support.joining import Joiner
from support.scale import scaled
from support.wishes import Wish

UNKNOWN = "999999999"
WORDS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


def plainly(answer: Answer) -> tuple[int, int, dict[str, str], bytes]:
    """What an answer tells, without what differs from call to call."""
    own = answer.headers["x-request-id"].encode()
    kept = {
        name: value
        for name, value in answer.headers.items()
        if name not in {"x-request-id", "date", "placet-nonce"}
    }
    return answer.status, len(answer.body), kept, answer.body.replace(own, b"")


async def things(made: Faces) -> dict[str, str]:
    """One of everything that an id names, by the name of the path's variable or parameter."""
    say = made.live.call
    key = made.key
    _, asked = await say(
        "POST", "/v1/approval_requests", {"tfa_id": int(made.values["user"]), "message": "Pay?"}, key=key
    )
    _, code = await say("POST", "/v1/codes", {"phone": "+447700900123"}, key=key)
    _, invited = await say("POST", f"/v1/users/{made.values['user']}/enrollments", {}, key=key)
    return {"approval_requests": asked["id"], "codes": code["id"], "enrollments": invited["id"]}


async def test_enu_01_without_a_credential_nothing_tells_who_exists(tmp_path: Path) -> None:
    """Every route, crawled by a stranger with ids that exist and ids that do not: status, size and words are the same."""
    async with faces(tmp_path / "data") as made:
        known = await things(made)
        await made.settled()
        before = await made.state()
        pairs = 0
        for each in made.operations:
            if "{" not in each.path.replace("{format}", ""):
                continue
            ids = [{"id": value} for kind, value in known.items() if kind in each.path] or [
                {"id": known["codes"]}
            ]
            there = {"user": made.values["user"], "tfa_id": made.values["user"], **ids[0]}
            absent = {"user": UNKNOWN, "tfa_id": UNKNOWN, "id": NOBODY}
            answers = [
                plainly(await made.call(made.wish(each, keys=False, **some))) for some in (there, absent)
            ]
            assert answers[0] == answers[1], each
            assert answers[0][0] in {400, 401, 404, 415}, each
            pairs += 1
        for path, query in (
            ("/protected/json/registrations/status", [("custom_user_id", "{user}")]),
            ("/protected/json/phones/info", [("country_code", "44"), ("phone_number", "{phone}")]),
            (
                "/protected/json/phones/verification/status",
                [("country_code", "44"), ("phone_number", "{phone}")],
            ),
            (
                "/api/get-api/v1/OTP-api/verify",
                [("accountnumber", "1"), ("apikey", "x"), ("sessionid", "{code}")],
            ),
            (
                "/api/http/",
                [
                    ("class", "otp"),
                    ("method", "verifyotp"),
                    ("user", NAME),
                    ("password", "x"),
                    ("destination", "{phone}"),
                ],
            ),
        ):
            answers = []
            for user, phone, code in (
                (made.values["user"], "7700900123", known["codes"]),
                (UNKNOWN, "7700900999", NOBODY),
            ):
                filled = [(name, text.format(user=user, phone=phone, code=code)) for name, text in query]
                status, size, headers, body = plainly(await made.call(Wish("GET", path, filled)))
                answers.append((status, size, headers, body.replace(code.encode(), b"")))
            assert answers[0] == answers[1], path
            pairs += 1
        assert pairs >= 40
        assert await made.state() == before


async def test_enu_01_the_device_api_knows_no_stranger(tmp_path: Path) -> None:
    """A proof or decision that names a real device without its key gets the answer of one that names nobody's."""
    async with faces(tmp_path / "data") as made:
        live, now = made.live, made.clock.now()
        user = await live.domain.users.by_tfa_id("default", int(made.values["user"]))
        real, stranger = Joiner(), Joiner()
        device = Device(
            new_id(now, SystemEntropy()), "default", user.id, real.jkt, public_key_bytes(real.key.public_key()), "active", 0, "cert", "Phone",
            "test", "embedded", bytes(65), bytes(16), now,
        )  # fmt: skip
        await live.store.write(plan(live.domain.devices.add_step(device)))
        for path in ("/device/v1/items", "/device/v1/self"):
            answers = []
            for kid in (real.jkt, stranger.jkt):
                proof = callproof.proof(stranger.key, kid, "GET", live.url + path, b"", "none", "a" * 22)
                answers.append(plainly(await made.call(Wish("GET", path, None, [("Placet-Proof", proof)]))))
            assert answers[0] == answers[1]
            assert answers[0][0] == 401
        jose = [("Content-Type", "application/jose")]
        answers = []
        for kid in (real.jkt, stranger.jkt):
            document = sign(stranger.key, documents.DECISION, b"{}", kid=kid).encode()
            answers.append(
                plainly(await made.call(Wish("POST", "/device/v1/decisions", None, jose, "raw", document)))
            )
        assert answers[0] == answers[1]
        assert answers[0][0] == 400


async def test_enu_02_tfa_ids_have_no_order_and_room_enough(tmp_path: Path) -> None:
    """The ids of many users made one after the other: rank correlation with time near 0, out of more than 10^8."""
    count = scaled(1_000)
    async with live_server(tmp_path / "data", entropy=SystemEntropy()) as live:
        numbers = []
        for number in range(count):
            draft = UserDraft(country_code=44, phone=f"77009{number:05}")
            user, _ = await live.domain.users.create("default", draft, live.clock.now())
            numbers.append(user.tfa_id)
    assert TFA_ID_MAX - TFA_ID_MIN + 1 >= 10**8
    assert len(set(numbers)) == count
    ranks = {number: rank for rank, number in enumerate(sorted(numbers))}
    distance = sum((place - ranks[number]) ** 2 for place, number in enumerate(numbers))
    correlation = 1 - 6 * distance / (count * (count**2 - 1))
    assert abs(correlation) < 5 / (count - 1) ** 0.5  # five standard deviations
    assert len({number // 10**8 for number in numbers}) >= 7  # all over the space


async def events(made: Faces, kind: str) -> int:
    """How many events of a kind wait for the application's webhook."""
    items = await made.live.domain.outbox.due(made.clock.now() + 10**9, 10_000)
    return sum(f'"type":"{kind}"' in str(item.body and item.body.payload) for item in items)


async def test_enu_02_one_key_looks_up_sixty_people_a_minute(tmp_path: Path) -> None:
    """Natively and on the Authy face alike: 60 answers, then 429 whoever is asked for, one event; a minute later again."""
    async with faces(tmp_path / "data", limits__lookups_per_minute="60") as made:
        hook = "http://127.0.0.1:9/none"
        await made.live.domain.applications.add_webhook("acme", hook, made.clock.now())
        user = made.values["user"]
        authy = [("X-Authy-API-Key", KEY)]
        native = [("Authorization", f"Bearer {made.key}")]
        ada = {"user": {"email": "ada@example.com", "cellphone": "7700900123", "country_code": "44"}}
        asked: dict[str, list[Wish]] = {
            "authy": [
                Wish("GET", f"/protected/json/users/{user}/status", None, authy),
                Wish("GET", f"/protected/json/users/{UNKNOWN}/status", None, authy),
                Wish("GET", f"/protected/xml/users/{user}/phone_number", None, authy),
                Wish("GET", "/protected/json/registrations/status", [("custom_user_id", user)], authy),
                Wish("POST", "/protected/json/users/new", None, authy, "json", ada),
            ],
            "native": [
                Wish("GET", f"/v1/users/{user}", None, native),
                Wish("GET", f"/v1/users/{UNKNOWN}", None, native),
                Wish("GET", "/v1/users", None, native),
                Wish("POST", "/v1/users", None, native, "json", {"email": "ada@example.com"}),
                Wish(
                    "POST", "/v1/users", None, native, "json", {"country_code": "44", "phone": "7700900123"}
                ),
            ],
        }
        made.clock.advance(seconds=120)
        for told, wishes in enumerate(asked.values(), start=1):
            for burst in range(2):
                answers = [await made.call(wishes[number % len(wishes)]) for number in range(100)]
                assert [answer.status == 429 for answer in answers] == [False] * 60 + [True] * 40
                assert all(0 < int(answer.headers["retry-after"]) <= 60 for answer in answers[60:])
                assert await events(made, "users.lookups_refused") == 2 * (told - 1) + burst + 1
                made.clock.advance(seconds=59)
                assert (await made.call(wishes[0])).status == 429
                made.clock.advance(seconds=1)


async def test_enu_02_new_people_are_added_at_any_rate(tmp_path: Path) -> None:
    """Importing is no looking up; policy 0 switches the limit off."""
    async with faces(tmp_path / "data", limits__lookups_per_minute="5") as made:
        for number in range(20):
            body = {"country_code": 44, "phone": f"77009010{number:02}"}
            assert (await made.live.call("POST", "/v1/users", body, key=made.key))[0] == 201
        path = f"/v1/users/{made.values['user']}"
        made.clock.advance(seconds=60)
        statuses = [(await made.live.call("GET", path, key=made.key))[0] for _ in range(6)]
        assert statuses == [200] * 5 + [429]
        await made.live.domain.applications.set_policies(
            "acme", {"limits.lookups_per_minute": "0"}, made.clock.now()
        )
        assert (await made.live.call("GET", path, key=made.key))[0] == 200


async def test_enu_03_one_phone_in_two_organizations_gives_no_hint(tmp_path: Path) -> None:
    """Registering the same phone twice, in two organizations: unrelated ids, equal answers, nothing found across."""
    async with faces(tmp_path / "data") as made:
        live, now = made.live, made.clock.now()
        add = Sql("org_add", "INSERT INTO organizations (id, name, created_at) VALUES (?, ?, ?)")
        await live.store.write(plan(step(add, "other", "Other", now)))
        other = (await live.domain.applications.add("other", ("users", "codes"), now, org="other")).api_key
        person = {"country_code": 44, "phone": "7700900123", "email": "ada@example.com"}
        status, theirs = await live.call("POST", "/v1/users", person, key=other)
        assert status == 201  # as new as if nobody else knew them
        again, ours = await live.call("POST", "/v1/users", person, key=made.key)
        assert (again, ours["tfa_id"]) == (200, int(made.values["user"]))
        assert theirs["tfa_id"] != ours["tfa_id"]

        def bare(answer: dict[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in answer.items() if name not in {"tfa_id", "request_id"}}

        assert bare(ours) == bare(theirs)
        for key, foreign in ((made.key, theirs["tfa_id"]), (other, ours["tfa_id"])):
            found = [await live.call("GET", f"/v1/users/{one}", key=key) for one in (foreign, int(UNKNOWN))]
            assert found[0][0] == found[1][0] == 404
            assert bare(found[0][1]) == bare(found[1][1])


async def test_enu_04_secret_urls_cannot_be_guessed(tmp_path: Path) -> None:
    """Report and picture URLs hold 128 random bits or more; of many guesses each gets the answer of a revoked one."""
    chance = random.Random(4)
    async with faces(tmp_path / "data") as made:
        known = await things(made)
        (message,) = await made.gateway.count(1)
        assert message.report_url is not None
        path = message.report_url.removeprefix(made.live.url)
        secret = path.rpartition("/")[2]
        assert len(secret) * 6 >= 128
        head = path[: -len(secret)]
        revoked = plainly(await made.call(Wish("GET", head.replace(message.id, NOBODY) + secret)))
        assert revoked[0] == 404
        for number in range(scaled(10_000)):
            guess = "".join(chance.choices(WORDS, k=32)) if number % 2 else secret[:-1] + WORDS[number % 64]
            if guess != secret:
                assert plainly(await made.call(Wish("GET", head + guess))) == revoked
        assert (await made.call(Wish("GET", path))).status == 204
        head_of_authy = [("X-Authy-API-Key", KEY)]
        made_secret = Wish(
            "POST", f"/protected/json/users/{made.values['user']}/secret", None, head_of_authy, "json", {}
        )
        picture = (await made.call(made_secret)).json()["qr_code"].removeprefix(made.live.url)
        assert (await made.call(Wish("GET", picture))).status == 200
        nothing = plainly(await made.call(Wish("GET", f"/qr/{'A' * 60}.png")))
        for place in chance.sample(range(4, len(picture) - 5), 20):
            spoilt = picture[:place] + ("B" if picture[place] != "B" else "C") + picture[place + 1 :]
            assert plainly(await made.call(Wish("GET", spoilt))) == nothing
        assert len(secrets.token_urlsafe(24)) == len(secret)
        assert known
        made.clock.advance(seconds=601)
        late = await made.call(Wish("GET", picture))
        assert (late.status, late.json()["error_code"]) == (404, "60002")
