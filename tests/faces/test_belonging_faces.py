"""What belongs to one application does not exist for another, on every face; and hostile values stay values."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

from msgspec import structs

from placet_server.ports import Sql, plan, step
from placet_server.testing import live_server
from support.described import KEY, NAME, NOBODY, OCTO_KEY, PASSWORD, TEMPLATES, UV_KEY, Faces, faces
from support.guessing import FIVE, Guesser, other
from support.http import Answer
from support.mutations import ODD_TEXTS
from support.scale import scaled
from support.wishes import Pairs, Wish

THEIR_KEY, THEIR_NAME, THEIR_SECRET = "THEIR-AUTHY-KEY-0123456789", "them@example.org", "THEIR-SECRET-1"


async def strangers(made: Faces, org: str) -> dict[str, Pairs]:
    """Accounts of another application on every face: how each says who calls."""
    live, now = made.live, made.clock.now()
    key = (await live.domain.applications.add("theirs", ("users", "codes", "approvals"), now)).api_key
    add = live.domain.credentials.add
    for face, secret, name in (
        ("authy", THEIR_KEY, ""),
        ("afilnet", THEIR_SECRET, THEIR_NAME),
        ("unityvox", THEIR_SECRET, "200300"),
        ("octopush", THEIR_SECRET, THEIR_NAME),
    ):
        await add(
            face,
            "theirs",
            secret,
            TEMPLATES if face in {"afilnet", "unityvox"} else {},
            now,
            name=name,
        )
    if org != "default":  # nothing makes credentials for other organizations yet
        for sql, params in (
            ("INSERT INTO organizations (id, name, created_at) VALUES (?, ?, ?)", (org, org, now)),
            ("UPDATE applications SET org = ? WHERE name = ?", (org, "theirs")),
        ):
            await live.store.write(plan(step(Sql("moved", sql), *params)))
        live.domain.applications.forget()
    return {
        "native": [("Authorization", f"Bearer {key}")],
        "authy": [("X-Authy-API-Key", THEIR_KEY)],
        "afilnet": [("user", THEIR_NAME), ("password", THEIR_SECRET)],
        "unityvox": [("accountnumber", "200300"), ("apikey", THEIR_SECRET)],
        "octopush": [("api-login", THEIR_NAME), ("api-key", THEIR_SECRET)],
    }


def told(answer: Answer, *ids: str) -> tuple[int, bytes]:
    """What an answer says, without its own id and those that were asked for."""
    text = answer.body.replace(answer.headers["x-request-id"].encode(), b"")
    for each in ids:
        text = text.replace(each.encode(), b"ID")
    return answer.status, text


async def test_api_05_what_others_have_does_not_exist_on_any_face(tmp_path: Path) -> None:
    """Codes, sessions, tokens, messages, approval requests and users of others answer as those of nobody, untouched."""
    async with faces(tmp_path / "data") as made:
        who = await strangers(made, "other")
        guesser = Guesser(made)
        right = {face: await guesser.issue(face) for face in FIVE}
        session, token = guesser._handle["unityvox"], guesser._handle["octopush"]
        _, asked = await made.live.call(
            "POST",
            "/v1/approval_requests",
            {"tfa_id": int(made.values["user"]), "message": "Secret?"},
            key=made.key,
        )
        _, text = await made.live.call(
            "POST", "/v1/messages", {"phone": "+447700900123", "text": "Secret?"}, key=made.key
        )
        await made.settled()
        user, nobody = made.values["user"], "999999999"
        before = await made.state()
        code, phone, unknown = "code", "7700900123", "7700900999"
        otp, octo = "/api/get-api/v1/OTP-api/verify", "/v1/public/service/otp/validate"
        onetouch, phones = "/onetouch/{format}/approval_requests/{}", "/protected/json/phones/verification"
        mine = {"country_code": "44", "phone_number": "{}"}
        afil = {"class": "otp", "method": "verifyotp", "destination": "{}", code: right["afilnet"]}
        status = {"class": "sms", "method": "getdeliverystatus", "messages": "{}"}
        wished: list[tuple[str, str, str, str, str, dict[str, str]]] = [
            (
                "octopush",
                "PUT",
                octo,
                token,
                f"otp_{'0' * 24}",
                {"otp_request_token": "{}", code: right["octopush"]},
            ),
            ("octopush", "PUT", octo, phone, unknown, {"phone_number": "+44{}", code: right["octopush"]}),
            ("unityvox", "GET", otp, session, NOBODY, {"sessionid": "{}", "otp_code": right["unityvox"]}),
            ("afilnet", "GET", "/api/http/", f"44{phone}", f"44{unknown}", afil),
            ("afilnet", "GET", "/api/http/", text["id"], NOBODY, status),
            ("authy", "GET", f"{phones}/check", phone, unknown, mine | {"verification_code": right["authy"]}),
            ("authy", "GET", f"{phones}/status", phone, unknown, mine),
            ("authy", "GET", onetouch.replace("{format}", "json"), asked["id"], NOBODY, {}),
            ("authy", "GET", onetouch.replace("{format}", "xml"), asked["id"], NOBODY, {}),
            ("authy", "GET", "/protected/json/registrations/status", user, nobody, {"custom_user_id": "{}"}),
            ("authy", "POST", "/protected/json/users/{}/update", user, nobody, {"email": "evil@example.org"}),
            ("authy", "POST", "/protected/json/users/{}/register_activity", user, nobody, {"type": "banned"}),
            ("authy", "POST", "/onetouch/json/users/{}/approval_requests", user, nobody, {"message": "Pay?"}),
            ("authy", "GET", "/protected/json/verify/735194/{}", user, nobody, {}),
            ("authy", "POST", "/protected/json/users/delete/{}", user, nobody, {}),
            *(
                ("authy", "POST", f"/protected/json/users/{{}}/{word}", user, nobody, {})
                for word in ("delete", "remove", "secret")
            ),
            *(
                ("authy", "GET", f"/protected/json/users/{{}}/{word}", user, nobody, {})
                for word in ("status", "phone_number")
            ),
            *(("authy", "GET", f"/protected/json/{word}/{{}}", user, nobody, {}) for word in ("sms", "call")),
            ("authy", "POST", "/protected/json/email/{}", user, nobody, {}),
            ("native", "GET", "/v1/users/{}", user, nobody, {}),
            ("native", "DELETE", "/v1/users/{}", user, nobody, {}),
        ]
        for face, method, path, one, none, fields in wished:
            answers = []
            for each in (one, none):
                sent = [(name, value.replace("{}", each)) for name, value in fields.items()]
                inside = face in {"afilnet", "unityvox"}
                wish = Wish(method, path.replace("{}", each), sent, None if inside else who[face])
                if inside:
                    wish.query += who[face]
                answers.append(told(await made.call(wish), one, none, "770-090-0123", "770-090-0999"))
            assert answers[0] == answers[1], (path, fields)
            assert b"Secret" not in answers[0][1]
        assert len(wished) >= 25
        assert await made.state() == before
        assert await guesser.check("unityvox", right["unityvox"]) == "right"


async def test_api_05_codes_of_one_organization_belong_to_their_credential(tmp_path: Path) -> None:
    """Applications of one organization share people, not codes: the right code of one is unknown to the other."""
    async with faces(tmp_path / "data") as made:
        who = await strangers(made, "default")
        guesser = Guesser(made)
        for face in FIVE[2:]:
            value = await guesser.issue(face)
            theirs = guesser._checking(face, value, "+447700900123")
            theirs.query = [pair for pair in theirs.query if pair[0] not in {"user", "password"}]
            if face == "octopush":
                theirs.headers = who[face]
            elif face == "unityvox":
                theirs.body |= dict(who[face])
            else:
                theirs.query += who[face]
            answer = await made.call(theirs)
            assert not guesser._is_right(face, answer.json()), face
            assert await guesser.check(face, value) == "right"


HOSTILE = tuple(dict.fromkeys((*ODD_TEXTS, "Shop\r\nTo: evil@example.org", "a@b.example\nBcc: c@d.example", "+447700900123,+447700900999", "Shop&to=447700900999", "<evil@example.org>", "a@b.example;c@d.example")))  # fmt: skip


async def test_api_16_no_value_adds_a_recipient_or_a_field(tmp_path: Path) -> None:
    """Hostile senders, texts, subjects and recipients on every face: one message an accepted call, clean in every field."""
    policies = {"code__per_destination": "1000", "code__per_destination_day": "10000"}
    async with faces(tmp_path / "data", **policies) as made:
        native: Pairs = [("Authorization", f"Bearer {made.key}")]
        octo: Pairs = [("api-login", NAME), ("api-key", OCTO_KEY)]
        afil: Pairs = [("user", NAME), ("password", PASSWORD)]
        uvox: Pairs = [("accountnumber", "100200"), ("apikey", UV_KEY), ("ref_id", "TPL1")]
        to = "+447700900123"
        claimed = 0
        for odd in HOSTILE:
            sms = {"class": "sms", "method": "sendsms", "from": odd, "to": to, "sms": f"Hi {odd}"}
            mail = {
                "class": "email",
                "method": "sendemail",
                "subject": odd,
                "to": "ada@example.com",
                "email": f"Hi {odd}",
            }
            for wish in (
                Wish("POST", "/v1/messages", None, native, "json", {"phone": to, "text": f"Hi {odd}", "sender": odd}),
                Wish("POST", "/v1/messages", None, native, "json", {"email": "ada@example.com", "text": "Hi", "subject": odd}),
                Wish("POST", "/v1/messages", None, native, "json", {"phone": odd, "text": "Hi"}),
                Wish("POST", "/v1/codes", None, native, "json", {"email": odd, "text": "{code}", "subject": "Hi"}),
                Wish("POST", "/v1/public/service/otp/generate", None, octo, "json", {"phone_number": to, "text": odd, "sender": odd}),
                Wish("POST", "/v1/public/sms-campaign/send", None, octo, "json", {"recipients": [{"phone_number": odd}], "text": "Hi"}),
                Wish("POST", "/api/http/", None, None, "form", dict(afil) | sms),
                Wish("POST", "/api/http/", None, None, "form", dict(afil) | mail),
                Wish("POST", "/api/http/", None, None, "form", dict(afil) | sms | {"from": "Shop", "to": odd}),
                Wish("GET", "/api/get-api/v1/OTP-api", [*uvox, ("phone_number", odd)]),
                Wish("GET", f"/protected/json/sms/{made.values['user']}", [("force", "true"), ("action_message", odd)], [("X-Authy-API-Key", KEY)]),
            ):  # fmt: skip
                answer = await made.call(wish)
                assert answer.status < 500, (wish.path, odd, answer.body)
                said = answer.body
                claimed += (
                    b'"id"' in said
                    or b"messageid" in said
                    or b'"022"' in said
                    or b"ticket" in said
                    or b"was sent" in said
                )
        await made.settled()
        sent = made.gateway.sent
        assert len(HOSTILE) < len(sent) <= claimed
        for message in sent:
            assert message.to == "ada@example.com" or (
                message.to.startswith("+") and message.to[1:].isdigit()
            ), message
            for field in (message.sender, message.subject):
                assert field is None or not any(
                    unicodedata.category(char).startswith("C") for char in field
                ), message
            kept = message.text.replace("\n", "")
            assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in kept), message
            assert "\r" not in message.text


async def test_api_07_a_pair_of_creates_is_one_also_across_a_restart(tmp_path: Path) -> None:
    """Two creates at once under one key, round after round: one code; after a restart the key still names it."""
    rounds = scaled(1_000)
    folder = tmp_path / "data"
    first: list[Any] = []
    asked = {"deliver": False}
    async with live_server(folder) as live:
        key = await live.api_key("acme")

        async def create(number: int) -> tuple[int, Any]:
            return await live.call("POST", "/v1/codes", asked, key=key, **{"Idempotency-Key": f"k-{number}"})

        for number in range(rounds):
            answers = await asyncio.gather(create(number), create(number))
            assert {status for status, _ in answers} <= {201, 409}
            ids = {said["id"] for status, said in answers if status == 201}
            assert len(ids) == 1
            first += ids
    async with live_server(folder) as live:
        for number in range(rounds):
            status, said = await live.call(
                "POST", "/v1/codes", asked, key=key, **{"Idempotency-Key": f"k-{number}"}
            )
            assert (status, said["id"]) == (201, first[number])
        status, said = await live.call(
            "POST", "/v1/codes", {"deliver": False, "length": 8}, key=key, **{"Idempotency-Key": "k-0"}
        )
        assert (status, said["code"]) == (422, "idempotency_conflict")
        rows = await live.store.rows(Sql("codes", "SELECT id FROM codes"))
        assert sorted(row[0] for row in rows) == sorted(first)


async def test_api_02_natively_an_unknown_key_and_a_wrong_secret_are_one_answer(tmp_path: Path) -> None:
    """Whatever is wrong with a key, the answer is the same to the byte but for its request id."""
    async with faces(tmp_path / "data") as made:
        head, _, secret = made.key.rpartition("_")
        unknown = f"plk_{'0' * len(head.split('_')[1])}_{secret}"
        seen = set()
        for wrong in (
            unknown,
            f"{head}_{secret[::-1]}",
            f"{head}_{secret[:-1]}",
            "plk_x",
            "x",
            head,
            made.key[:-6] + "AAAAAA",
        ):
            for path in ("/v1/users", f"/v1/users/{made.values['user']}", "/v1/codes"):
                answer = await made.call(Wish("GET", path, None, [("Authorization", f"Bearer {wrong}")]))
                if path != "/v1/codes":
                    seen.add((*told(answer), tuple(sorted(answer.headers.keys() - {"date"}))))
        assert len(seen) == 1
        assert next(iter(seen))[0] == 401


async def test_api_14_bytes_that_are_no_text_are_nobody(tmp_path: Path) -> None:
    """Credentials with bytes that are no UTF-8, wherever they stand, are refused as wrong ones and are no failure."""
    async with faces(tmp_path / "data") as made:
        odd = b"de\xffmo\xed\xa0\x80".decode("utf-8", "surrogateescape")
        for wish in (
            Wish("GET", "/v1/public/wallet/check-balance", None, [("api-login", odd), ("api-key", odd * 3)]),
            Wish("GET", "/v1/public/wallet/check-balance", None, [("api-login", NAME), ("api-key", odd * 3)]),
            Wish("GET", "/protected/json/app/details", None, [("X-Authy-API-Key", odd)]),
            Wish("GET", "/v1/users", None, [("Authorization", f"Bearer {odd}")]),
            Wish(
                "GET", "/api/basic/?class=user&method=getbalance", None, [("Authorization", f"Basic {odd}")]
            ),
            Wish("GET", "/device/v1/self", None, [("Placet-Proof", odd)]),
        ):
            answer = await made.call(wish)
            assert answer.status == 401, (wish.path, answer.body)


async def test_log_04_each_success_and_failure_of_each_factor_has_its_row_and_its_leaf(
    tmp_path: Path,
) -> None:
    """Codes on five faces, soft tokens, recovery codes: as many rows and leaves as there were tries, none with the code."""
    policies = {
        "code__per_destination": "1000",
        "code__per_destination_day": "10000",
        "limits__failures_delay": "20",
    }
    async with faces(tmp_path / "data", **policies) as made:
        guesser, typed = Guesser(made), list[str]()
        for face in FIVE:
            for _ in range(3):
                value = await guesser.issue(face)
                wrong = other(value)
                typed += [value, wrong]
                assert await guesser.check(face, wrong) == "wrong"
                assert await guesser.check(face, value) == "right"
        user = made.values["user"]
        _, made_codes = await made.live.call("POST", f"/v1/users/{user}/recovery_codes", {}, key=made.key)
        path = f"/v1/users/{user}/recovery_codes/verify"
        for value in (made_codes["codes"][0], "k7m2x-9qwrt"):
            assert (await made.live.call("POST", path, {"code": value}, key=made.key))[0] == 200
            typed.append(value)
        rows = [row for row in (await made.rows()).values() if "recovery_codes/verify" in row.route]
        assert sorted(str(row.code) for row in rows) == ["matched", "mismatch"]
        leaves = await made.live.store.rows(Sql("leaves", "SELECT kind, body FROM audit"))
        kinds = Counter(kind for kind, _ in leaves)
        assert (kinds["code.matched"], kinds["code.refused"]) == (15, 15)
        assert (kinds["recovery_code.used"], kinds["recovery_code.refused"]) == (1, 1)
        # Times taken are numbers of six digits on a slow machine, which a code may happen to be.
        log = [structs.replace(row, took_us=0) for row in (await made.rows()).values()]
        checks = [row for row in log if re.search(r"/check$|verifyotp|/verify$|/validate$", row.route)]
        by_face = Counter(row.face for row in checks if "recovery" not in row.route)
        assert by_face == dict.fromkeys(FIVE, 6)
        kept = {"log": str(log).encode(), "audit": str(leaves).encode()}
        found = [value for value in typed if re.search(rb"\b%b\b" % value.encode(), b"".join(kept.values()))]
        assert found == []
