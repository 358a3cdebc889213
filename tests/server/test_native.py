"""The native API over HTTP: a whole server, real keys, real store."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import zxingcpp
from PIL import Image

from placet_protocol import otpauth
from placet_protocol.totp import hotp, step
from placet_server.testing import LiveServer, ManualClock, live_server

NOBODY = "01900000-0000-7000-8000-000000000000"
KEY = re.compile(r"plk_[0-9A-Za-z]+_[0-9A-Za-z_-]+")


class Native:
    """One application's view of a server."""

    def __init__(self, server: LiveServer, key: str, tfa_id: int) -> None:
        self.server = server
        self.key = key
        self.tfa_id = tfa_id

    async def __call__(self, method: str, path: str, json: object = None, **headers: str) -> tuple[int, Any]:
        return await self.server.call(method, path, json, key=self.key, **headers)

    async def ask(self, **changes: Any) -> tuple[int, Any]:
        """A good approval request with some members changed; None leaves a member out."""
        body = {"tfa_id": self.tfa_id, "message": "Pay?"} | changes
        return await self("POST", "/v1/approval_requests", {k: v for k, v in body.items() if v is not None})


@pytest.fixture
async def native(tmp_path: Path) -> AsyncIterator[Native]:
    clock = ManualClock()
    async with live_server(tmp_path / "data", clock=clock) as server:
        key = await server.api_key()
        yield Native(server, key, (await server.user()).tfa_id)


def clock_of(native: Native) -> ManualClock:
    clock = native.server.clock
    assert isinstance(clock, ManualClock)
    return clock


def code_of(uri: str, now: int) -> str:
    """The code that a device would show for this otpauth URI."""
    token = otpauth.parse(uri)
    return hotp(token.secret, step(now, token.period), token.digits, token.algorithm)


async def test_api_01_keys_are_recognisable_long_and_shown_once(native: Native, tmp_path: Path) -> None:
    """A key has a prefix, 128 bits or more and a checksum; a changed one opens nothing; the store has only a hash."""
    keys = [await native.server.api_key(f"app-{number}") for number in range(50)]
    assert len(set(keys)) == 50
    for key in keys:
        assert KEY.fullmatch(key)
        assert len(key.rpartition("_")[2]) >= 22
    for number, key in enumerate(keys[:10]):
        changed = key[:-1] + ("0" if key[-1] != "0" else "1")
        for wrong in (changed, key.replace("plk", "plx"), key + "0", key[:-2], "", "é" * 9):
            assert (await native.server.call("GET", "/v1/users", key=wrong))[0] == 401
        assert (await native.server.call("GET", "/v1/users", key=key))[0] == 200, number
    await native.server.store.close()
    for file in (tmp_path / "data").glob("placet.db*"):
        data = file.read_bytes()
        for key in keys:
            assert key.encode() not in data
            assert key.rpartition("_")[2].encode() not in data


async def test_a_credential_counts_only_in_its_header(native: Native) -> None:
    """Keys in query or body, other schemes and other spellings are nobody."""
    url = native.server.url + "/v1/users"
    for headers in (
        {},
        {"Authorization": native.key},
        {"Authorization": "Basic " + base64.b64encode(native.key.encode()).decode()},
        {"Authorization": "bearer"},
        {"X-Authy-API-Key": native.key},
        {"Authorization": "Bearer " + "x" * 5000},
    ):
        async with native.server.http.get(url + f"?api_key={native.key}", headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_user_is_created_once_by_phone_or_email(native: Native) -> None:
    """201 for a new user, 200 for a known one, 409 when phone and e-mail are two people's; delete is at once."""
    status, ada = await native(
        "POST", "/v1/users", {"country_code": 1, "phone": "212-555-0100", "name": "Ada"}
    )
    assert status == 201
    assert ada["phone"] == "2125550100"
    again = await native(
        "POST", "/v1/users", {"country_code": "1", "phone": "(212) 5550100", "email": "Ada@Example.org"}
    )
    assert (again[0], again[1]["tfa_id"], again[1]["emails"]) == (200, ada["tfa_id"], ["ada@example.org"])
    assert (
        await native(
            "POST", "/v1/users", {"email": "ada@example.com", "country_code": 1, "phone": "2125550100"}
        )
    )[0] == 409
    status, known = await native("GET", f"/v1/users/{ada['tfa_id']}")
    assert (status, known["devices"], known["soft_tokens"], known["confirmed"]) == (200, 0, 0, False)
    assert (await native("DELETE", f"/v1/users/{ada['tfa_id']}"))[0] == 204
    assert (await native("GET", f"/v1/users/{ada['tfa_id']}"))[1]["code"] == "user_not_found"
    assert (await native("POST", "/v1/users", {"tfa_id": 77, "email": "x@example.com"}))[1]["tfa_id"] == 77


async def test_lists_come_in_pages(native: Native) -> None:
    """``next`` leads through all items once, and is null at the end."""
    for number in range(5):
        clock_of(native).advance(ms=1)
        await native("POST", "/v1/users", {"email": f"u{number}@example.com"})
        assert (await native.ask(message=f"Pay {number}?"))[0] in {201, 429}
    seen, after = [], ""
    while True:
        _, page = await native("GET", f"/v1/users?limit=2{after}")
        seen += [user["tfa_id"] for user in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert len(seen) == len(set(seen)) == 6
    _, page = await native("GET", "/v1/approval_requests?status=pending&limit=2")
    assert [item["message"] for item in page["items"]] == ["Pay 2?", "Pay 1?"]
    _, rest = await native("GET", f"/v1/approval_requests?status=pending&limit=2&after={page['next']}")
    assert ([item["message"] for item in rest["items"]], rest["next"]) == (["Pay 0?"], None)
    created = page["items"][0]["created_at"]
    later = await native("GET", "/v1/approval_requests?created_from=2030-01-01T00:00:00Z")
    assert later[1]["items"] == []
    assert len((await native("GET", f"/v1/approval_requests?created_from={created}"))[1]["items"]) == 1
    assert len((await native("GET", f"/v1/approval_requests?created_to={created}"))[1]["items"]) == 2
    assert (await native("GET", "/v1/approval_requests?created_from=2030-01-01"))[0] == 400


async def test_an_approval_request_says_what_was_asked(native: Native) -> None:
    """The answer to a create has the number and the devices, later ones do not; order of the details is kept."""
    visible = {"To": "Bob", "Amount": "12 €", "About": "rent"}
    status, made = await native.ask(
        details={"visible": visible, "hidden": {"order": [1, 2.5, None]}},
        context={"ip": "203.0.113.7", "place": "Oslo", "agent": "Firefox"},
        seconds_to_expire=60,
        number="entry:4",
        logos=[{"res": "low", "url": "https://acme.example/logo.png"}],
    )
    assert status == 201
    assert re.fullmatch(r"[0-9]{4}", made["number"])
    assert (made["status"], made["devices"]) == ("pending", 0)
    assert made["created_at"] == "2027-01-15T08:00:00.000Z"
    assert made["expires_at"] == "2027-01-15T08:01:00.000Z"
    status, got = await native("GET", f"/v1/approval_requests/{made['id']}")
    assert got["details"] == {
        "visible": [[k, v] for k, v in visible.items()],
        "hidden": {"order": [1, 2.5, None]},
    }
    assert got["number_mode"] == "entry:4"
    assert {"number", "devices"}.isdisjoint(got)
    pairs = (await native.ask(details={"visible": [["a", "1"], ["a", "2"]]}))[1]
    assert pairs["details"]["visible"] == [["a", "1"], ["a", "2"]]
    clock_of(native).advance(seconds=60)
    assert (await native("GET", f"/v1/approval_requests/{made['id']}"))[1]["status"] == "expired"


async def test_a_question_can_be_taken_back_once(native: Native) -> None:
    """Cancelling ends a pending request; ended ones say how they ended; without a decision there is no receipt."""
    _, made = await native.ask()
    path = f"/v1/approval_requests/{made['id']}"
    assert (await native("GET", path + "/receipt"))[1]["code"] == "not_decided"
    status, ended = await native("POST", path + "/cancel")
    assert (status, ended["status"]) == (200, "cancelled")
    status, again = await native("POST", path + "/cancel")
    assert (status, again["code"], again["state"]) == (409, "not_pending", "cancelled")


async def test_a_long_poll_answers_when_the_request_ends(tmp_path: Path) -> None:
    """``wait`` gives the end within moments of it, and what is so far when the time is over."""
    async with live_server(tmp_path / "data") as server:
        native = Native(server, await server.api_key(), (await server.user()).tfa_id)
        _, made = await native.ask()
        path = f"/v1/approval_requests/{made['id']}"
        waiting = asyncio.create_task(native("GET", path + "?wait=30"))
        assert (await native("GET", path + "?wait=1"))[1]["status"] == "pending"
        assert not waiting.done()
        await native("POST", path + "/cancel")
        async with asyncio.timeout(2):
            assert (await waiting)[1]["status"] == "cancelled"
        _, short = await native.ask(seconds_to_expire=1)
        async with asyncio.timeout(5):
            expired = await native("GET", f"/v1/approval_requests/{short['id']}?wait=30")
        assert expired[1]["status"] == "expired"
        for wrong in ("wait=61", "wait=-1", "wait=1.5", "wait=", "wait=1&wait=2", "weit=1"):
            assert (await native("GET", f"{path}?{wrong}"))[0] == 400, wrong


async def test_api_10_protected_members_cannot_be_set(native: Native) -> None:
    """What the server decides cannot be given by a caller, in body or query."""
    for member in (
        "status",
        "id",
        "created_at",
        "decided_at",
        "devices",
        "reason",
        "user_id",
        "expires_at",
        "org",
    ):
        status, problem = await native.ask(**{member: "approved"})
        assert (status, problem["code"]) == (400, "invalid_request"), member
        assert member in problem["detail"]
    for member in ("confirmed", "id", "org"):
        assert (await native("POST", "/v1/users", {"email": "b@example.com", member: True}))[0] == 400
    body = {"tfa_id": native.tfa_id, "message": "Pay?"}
    assert (await native("POST", "/v1/approval_requests?message=Other", body))[0] == 400
    assert (await native("POST", "/v1/approval_requests?tfa_id=1", body))[0] == 400


UNASKABLE: dict[str, list[Any]] = {
    "seconds_to_expire": [0, -1, 86_401, 10**17, 1.5, "60", True, [60]],
    "number": ["none", "entry:2", "entry:7", "entry:", "Entry:3", "", 3, ["entry:3"]],
    "tfa_id": [0, -1, 2**53, "1", 1.0, True],
    "message": ["", " ", "x" * 257, 5, ["Pay?"]],
    "details": [
        [],
        {"visible": {"a": 1}},
        {"visible": [["a"]]},
        {"visible": {f"l{n}": "v" for n in range(21)}},
        {"visible": {"l" * 65: "v"}},
        {"shown": {}},
        {"hidden": []},
        {"hidden": {"a": "x" * 4100}},
        {"hidden": {"a": 2**53}},
    ],
    "context": [{"ip": ""}, {"ip": "x" * 65}, {"place": 5}],
    "logos": [[{"res": "huge", "url": "https://a.example/"}], [{"res": "low", "url": "file:///etc"}]],
    "callback_url": [
        "https://evil.example/x",
        "ftp://acme.example/",
        "https://u@acme.example/",
        "/xxxxxxxx",
        "https://",
    ],
}


async def test_tim_03_what_cannot_be_asked_is_refused_by_name(native: Native) -> None:
    """Values out of range, of another type or weaker than policy are 400 and name the place; nothing is made."""
    for member, values in UNASKABLE.items():
        for value in values:
            status, problem = await native.ask(**{member: value})
            assert (status, problem["code"]) == (400, "invalid_request"), (member, value)
            assert member in problem["detail"], (member, value)
    assert (await native("GET", "/v1/approval_requests"))[1]["items"] == []


async def test_texts_that_may_not_be_shown_are_refused_by_place(native: Native) -> None:
    """422 names the character and where it stands."""
    for bad in ("a\x1b[2Jb", "a\u202eb", "a\x00b", "a\u200bb", "a\u2028b", "a\ue000b", "a\rb", "\x85"):
        asked: dict[str, dict[str, Any]] = {
            "message": {"message": bad},
            "label": {"details": {"visible": {"fine": "fine", bad: "x"}}},
            "value": {"details": {"visible": [["fine", bad]]}},
            "context.place": {"context": {"place": bad}},
        }
        answers = {place: await native.ask(**changes) for place, changes in asked.items()}
        answers["name"] = await native("POST", f"/v1/users/{native.tfa_id}/soft_tokens", {"name": bad})
        for place, (status, problem) in answers.items():
            assert (status, problem["code"]) == (422, "invalid_text"), (place, bad)
            assert place in problem["detail"]
            assert "U+" in problem["detail"]


async def test_only_the_message_has_line_ends_and_texts_are_composed(native: Native) -> None:
    """A line feed is fine in the message and nowhere else; what is stored is NFC."""
    status, made = await native.ask(message="one\ntwo e\u0301")
    assert (status, made["message"]) == (201, "one\ntwo \u00e9")
    assert (await native.ask(details={"visible": {"a": "one\ntwo"}}))[0] == 422


async def test_a_caller_may_only_strengthen_policy(native: Native) -> None:
    """More digits and less time are taken, the opposite is refused with the policy's name."""
    await native.server.domain.applications.set_policies(
        "acme", {"approval.max_ttl": "120", "approval.ttl": "60"}, native.server.clock.now()
    )
    clock_of(native).advance(seconds=2)
    assert (await native.ask(number="entry:6", seconds_to_expire=120))[0] == 201
    status, problem = await native.ask(seconds_to_expire=121)
    assert (status, "approval.max_ttl is 120" in problem["detail"]) == (400, True)
    status, problem = await native.ask(number="none")
    assert (status, "entry:3" in problem["detail"]) == (400, True)


async def test_a_callback_goes_to_registered_hosts_only(native: Native) -> None:
    """The host is that of a webhook of the application, or policy names it."""
    applications, now = native.server.domain.applications, native.server.clock.now
    await applications.add_webhook("acme", "https://hooks.acme.example/placet", now())
    clock_of(native).advance(seconds=2)
    assert (await native.ask(callback_url="https://hooks.acme.example/other"))[0] == 201
    assert (await native.ask(callback_url="https://hooks.acme.example:8443/other"))[0] == 400
    assert (await native.ask(callback_url="https://hooks.acme.example.evil.example/"))[0] == 400
    await applications.set_policies("acme", {"callback.hosts": "other.example"}, now())
    clock_of(native).advance(seconds=2)
    assert (await native.ask(callback_url="https://other.example/x"))[0] == 201


async def test_the_same_create_under_one_key_happens_once(native: Native) -> None:
    """A repeated call gets the first answer and says so; another call under the key is refused; so is a bad key."""
    body = {"tfa_id": native.tfa_id, "message": "Pay?"}
    first = await native("POST", "/v1/approval_requests", body, **{"Idempotency-Key": "k-1"})
    again = await native("POST", "/v1/approval_requests", body, **{"Idempotency-Key": "k-1"})
    assert first == again
    assert len((await native("GET", "/v1/approval_requests"))[1]["items"]) == 1
    status, problem = await native(
        "POST", "/v1/approval_requests", body | {"message": "Pay more?"}, **{"Idempotency-Key": "k-1"}
    )
    assert (status, problem["code"]) == (422, "idempotency_conflict")
    other = Native(native.server, await native.server.api_key("other"), native.tfa_id)
    assert (await other("POST", "/v1/approval_requests", body, **{"Idempotency-Key": "k-1"}))[1][
        "id"
    ] != first[1]["id"]
    for bad in ("", "x" * 256, "a b"):
        assert (await native("POST", "/v1/approval_requests", body, **{"Idempotency-Key": bad}))[0] == 400, (
            bad
        )
    clock_of(native).advance(seconds=86_401)
    assert (await native("POST", "/v1/approval_requests", body, **{"Idempotency-Key": "k-1"}))[1][
        "id"
    ] != first[1]["id"]


async def test_simultaneous_creates_under_one_key_make_one_thing(native: Native) -> None:
    """Of calls at the same moment all get the same answer."""
    body = {"tfa_id": native.tfa_id, "message": "Pay?"}
    for number in range(20):
        answers = await asyncio.gather(
            *(
                native("POST", "/v1/approval_requests", body, **{"Idempotency-Key": f"race-{number}"})
                for _ in range(4)
            )
        )
        assert {answer[0] for answer in answers} == {201}
        assert len({answer[1]["id"] for answer in answers}) == 1
        await native("POST", f"/v1/approval_requests/{answers[0][1]['id']}/cancel")


async def test_answers_that_showed_a_secret_are_replayed_without_it(native: Native) -> None:
    """URI and picture of an enrolment or a soft token are in the first answer only."""
    for path, body in (
        (f"/v1/users/{native.tfa_id}/enrollments", {"qr": "svg"}),
        (f"/v1/users/{native.tfa_id}/soft_tokens", {"name": "Acme", "qr": "svg"}),
    ):
        first = await native("POST", path, body, **{"Idempotency-Key": path})
        again = await native("POST", path, body, **{"Idempotency-Key": path})
        assert (first[0], again[0]) == (201, 201)
        secret = {"uri": first[1]["uri"], "qr": first[1]["qr"]}
        assert again[1] | secret == first[1]
        assert {"uri", "qr"}.isdisjoint(again[1])


async def test_an_enrolment_is_a_uri_and_its_picture(native: Native) -> None:
    """The QR code, read back from its picture, is the URI; the token stands in the fragment; later answers lack both."""
    path = f"/v1/users/{native.tfa_id}/enrollments"
    status, made = await native("POST", path, {"name": "Acme Pay", "qr": "png"})
    assert (status, made["status"]) == (201, "open")
    picture = Image.open(io.BytesIO(base64.b64decode(made["qr"].removeprefix("data:image/png;base64,"))))
    assert zxingcpp.read_barcodes(picture)[0].text == made["uri"]
    parts = urlsplit(made["uri"])
    assert f"{parts.scheme}://{parts.netloc}" == native.server.url
    assert len(parse_qs(parts.fragment)["t"][0]) == 43
    assert (await native("POST", path, {"qr": "svg"}))[1]["qr"].startswith("<?xml")
    assert "qr" not in (await native("POST", path))[1]
    status, got = await native("GET", f"/v1/enrollments/{made['id']}")
    assert (status, {"uri", "qr"}.isdisjoint(got)) == (200, True)
    status, problem = await native("POST", f"/v1/enrollments/{made['id']}/confirm", {"check": "123456"})
    assert (status, problem["code"]) == (403, "device_pending")
    assert (await native("POST", f"/v1/enrollments/{made['id']}/confirm", {"check": "12345"}))[0] == 400
    clock_of(native).advance(seconds=601)
    assert (await native("GET", f"/v1/enrollments/{made['id']}"))[1]["status"] == "expired"


async def test_a_code_is_verified_once(native: Native) -> None:
    """A pending token is confirmed by a first code, which is spent; each later code counts once; wrong ones throttle."""
    tokens = f"/v1/users/{native.tfa_id}/soft_tokens"
    status, made = await native("POST", tokens, {"name": "Ada"})
    assert (status, made["status"]) == (201, "pending")
    clock = clock_of(native)
    code = code_of(made["uri"], clock.now())
    confirm = f"/v1/soft_tokens/{made['id']}/confirm"
    assert await native("POST", confirm, {"code": code}) == (200, {"verified": True})
    assert await native("POST", tokens + "/verify", {"code": code}) == (
        200,
        {"verified": False, "reason": "used"},
    )
    clock.advance(seconds=30)
    code = code_of(made["uri"], clock.now())
    assert await native("POST", tokens + "/verify", {"code": code}) == (200, {"verified": True})
    listed = (await native("GET", tokens))[1]["items"]
    assert [(item["id"], item["status"], "uri" in item) for item in listed] == [
        (made["id"], "confirmed", False)
    ]
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    outcomes = [(await native("POST", tokens + "/verify", {"code": wrong}))[0] for _ in range(7)]
    assert (outcomes[0], outcomes[-1]) == (200, 429)
    assert (await native("DELETE", f"/v1/soft_tokens/{made['id']}"))[0] == 204
    assert await native("POST", tokens + "/verify", {"code": code}) == (
        200,
        {"verified": False, "reason": "no_token"},
    )
    for bad in ("12345", "123456789", "12345a", "１２３４５６", "", 123456, None):  # noqa: RUF001 - full-width digits
        assert (await native("POST", tokens + "/verify", {"code": bad}))[0] == 400


async def test_tot_02_a_secret_that_is_brought_along_has_128_bits(native: Native) -> None:
    """Base32 of 16 to 64 bytes is imported, in any usual spelling; less or something else is refused."""
    tokens = f"/v1/users/{native.tfa_id}/soft_tokens"
    secret = base64.b32encode(bytes(range(20))).decode().rstrip("=")
    spelled = " ".join(re.findall("....", secret.lower()))
    status, made = await native(
        "POST", tokens, {"name": "Ada", "secret": spelled, "algorithm": "SHA256", "digits": 8}
    )
    assert (status, otpauth.parse(made["uri"]).secret) == (201, bytes(range(20)))
    for bad in (
        base64.b32encode(bytes(15)).decode(),
        base64.b32encode(bytes(65)).decode(),
        "1" * 32,
        "é" * 32,
        "",
    ):
        assert (await native("POST", tokens, {"name": "Ada", "secret": bad}))[0] == 400, bad


async def test_tot_09_a_seed_is_shown_once(native: Native) -> None:
    """After the answer that made it no route repeats the secret of a soft token."""
    secret = binascii.hexlify(b"canary-seed").decode().upper().encode()
    shown = base64.b32encode(secret).decode().rstrip("=")
    _, made = await native("POST", f"/v1/users/{native.tfa_id}/soft_tokens", {"name": "Ada", "secret": shown})
    assert shown in made["uri"]
    for path in (
        f"/v1/users/{native.tfa_id}",
        f"/v1/users/{native.tfa_id}/soft_tokens",
        "/v1/users",
        f"/v1/users/{native.tfa_id}/devices",
    ):
        _, answer = await native("GET", path)
        assert shown not in str(answer), path


async def test_health_tells_little(native: Native) -> None:
    """Live and ready need no key and say nothing of versions or paths."""
    for path in ("/healthz", "/readyz"):
        async with native.server.http.get(native.server.url + path) as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})
            assert answer.headers["Server"] == "placet"


async def test_keys_of_the_server_are_public(native: Native) -> None:
    """The key set has public members only."""
    status, keys = await native.server.call("GET", "/.well-known/jwks.json")
    assert status == 200
    assert keys["keys"]
    for key in keys["keys"]:
        assert {"kty", "crv", "x", "y", "kid", "alg", "use"} <= key.keys()
        assert "d" not in key
