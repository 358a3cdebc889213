"""Callbacks of the Authy face: signed, in two spellings, by POST and GET, from the decision's own commit, retried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from authy.api import AuthyApiClient

from placet_authenticator.deciding import approve, deny
from placet_server.faces.authysign import canonical, signature
from placet_server.faces.params import pairs
from placet_server.faces.rack import nested
from placet_server.ports import Sql
from placet_server.testing import live_server
from support.authying import KEY, Authy, authy_server
from support.devicelines import until
from support.persons import authenticator, enrolled
from support.receivers import receiver

LOGOS = [{"res": "default", "url": "https://e.com/d.png"}, {"res": "low", "url": "https://e.com/l.png"}]
QUESTION: dict[str, Any] = {
    "message": "Login?",
    "seconds_to_expire": 120,
    "details": {"Account Number": "981", "Loc": "Café"},
    "hidden_details": {"ip": "1.2.3.4"},
    "logos": LOGOS,
}


class Heard(NamedTuple):
    """One callback as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


async def answered(authy: Authy, device: Any, verdict: Any, question: dict[str, Any] | None = None) -> str:
    """The uuid of a request that Ada's device has answered."""
    server = authy.server
    key = await server.api_key(f"enrolling {server.clock.now()}")
    number = await authy.ada()
    if not device.enrollments:
        await enrolled(server, device, number, key)
    path = f"/onetouch/json/users/{number}/approval_requests"
    asked = await authy.good("POST", path, question or QUESTION)
    uuid = asked["approval_request"]["uuid"]
    await device.fetch()
    await device.decide(device.find(uuid), verdict)
    assert isinstance(uuid, str)
    return uuid


@pytest.mark.parametrize(("verdict", "status"), [(approve(), "approved"), (deny(), "denied")])
async def test_an_answer_is_called_back_by_post(tmp_path: Path, verdict: Any, status: str) -> None:
    """The body has the documented members; a client's own verifier accepts signature and nonce, and no changed body."""
    async with (
        receiver() as target,
        authenticator(tmp_path) as device,
        authy_server(tmp_path, settings={"callback_url": f"{target.url}/cb?shop=1"}) as authy,
    ):
        uuid = await answered(authy, device, verdict)
        await target.count(1)
    heard = Heard(*target.posts[0])
    assert heard.path == "/cb?shop=1"
    body = json.loads(heard.body)
    assert (body["status"], body["uuid"], body["callback_action"]) == (
        status,
        uuid,
        "approval_request_status",
    )
    assert isinstance(body["device_uuid"], str)
    assert body["signature"]
    request = body["approval_request"]
    assert request["logos"] == LOGOS
    assert request["transaction"]["details"] == QUESTION["details"]
    assert request["transaction"]["hidden_details"] == QUESTION["hidden_details"]
    assert request["expiration_timestamp"] - request["transaction"]["created_at_time"] == 120
    signed, nonce = heard.headers["x-authy-signature"], heard.headers["x-authy-signature-nonce"]
    assert heard.headers["x-tfa-signature"] == signed
    assert heard.headers["x-tfa-signature-nonce"] == nonce
    verify = AuthyApiClient(KEY, "http://127.0.0.1:9").one_touch.validate_one_touch_signature
    assert verify(signed, nonce, "POST", f"{target.url}/cb", body)
    assert not verify(signed, nonce, "POST", f"{target.url}/cb", {**body, "status": "other"})
    assert not verify(signed, str(int(nonce) + 1), "POST", f"{target.url}/cb", body)


async def test_an_answer_is_called_back_by_get(tmp_path: Path) -> None:
    """All members are in the query, beside what the URL had; signing what was received gives the signature."""
    async with receiver() as target, authenticator(tmp_path) as device:
        settings = {"callback_url": f"{target.url}/cb?shop=1&z=~", "callback_method": "GET"}
        async with authy_server(tmp_path, settings=settings) as authy:
            uuid = await answered(authy, device, approve())
            await target.count(1)
    heard = Heard(*target.posts[0])
    assert not heard.body
    received = nested(pairs(urlsplit(heard.path).query))
    assert (received["uuid"], received["status"], received["shop"]) == (uuid, "approved", "1")
    nonce = heard.headers["x-authy-signature-nonce"]
    expected = signature(KEY, nonce, "GET", f"{target.url}/cb", canonical(received))
    assert heard.headers["x-authy-signature"] == expected
    assert urlsplit(heard.path).query == canonical(received)


async def test_a_long_question_is_called_back_by_get_as_well(tmp_path: Path) -> None:
    """What the server says in a query may be longer than a URL that anybody gives."""
    details = {f"Label {letter}": letter * 250 for letter in "abcdefghijkl"}
    async with receiver() as target, authenticator(tmp_path) as device:
        settings = {"callback_url": f"{target.url}/cb", "callback_method": "GET"}
        async with authy_server(tmp_path, settings=settings) as authy:
            await answered(authy, device, approve(), {"message": "Login?", "details": details})
            await target.count(1)
    query = urlsplit(target.posts[0][0]).query
    assert len(query) > 4_000
    assert nested(pairs(query))["approval_request"]["transaction"]["details"] == details


async def test_a_failed_callback_comes_again_with_the_same_body(tmp_path: Path) -> None:
    """A receiver that fails hears the same body under a new nonce; then the outbox is empty."""
    answers = [500, 302, 200]

    async def reply(request: web.Request, body: bytes) -> web.Response:
        del request, body
        return web.Response(status=answers.pop(0))

    async with receiver(reply) as target, authenticator(tmp_path) as device:
        settings = {"callback_url": target.url}
        async with authy_server(tmp_path, settings=settings, schedule=(0, 0.01, 0.01)) as authy:
            await answered(authy, device, approve())
            await target.count(3)
    assert len({body for _, _, body in target.posts}) == 1
    assert target.posts[0][0] == "/"


async def test_a_callback_waits_in_the_table_until_the_server_is_back(tmp_path: Path) -> None:
    """The row is committed with the decision: a server that ends before delivering delivers after its start."""
    async with receiver() as target, authenticator(tmp_path) as device:
        blocked = {"callback_url": f"{target.url}/cb"}
        async with authy_server(tmp_path, settings=blocked, egress_allow=(), schedule=(0, 1.0)) as authy:
            await answered(authy, device, approve())
            rows = await authy.server.store.rows(
                Sql("kinds", "SELECT kind, sealed FROM outbox WHERE kind = 'callback'")
            )
            assert rows == [("callback", None)]
            assert not target.posts

        async with live_server(tmp_path / "server"):
            await target.count(1)
    assert json.loads(target.posts[0][2])["status"] == "approved"


async def test_expiry_is_told_only_where_the_credential_wants_it(tmp_path: Path) -> None:
    """No client models it, so it is a switch; what nobody may hear leaves no row behind."""
    async with receiver() as target:
        async with authy_server(tmp_path, settings={"callback_url": f"{target.url}/quiet"}) as authy:
            headers = await authy.credential(
                "talking-key-of-acme-0001", callback_url=f"{target.url}/loud", callback_expired=True
            )
            number = await authy.ada()
            path = f"/onetouch/json/users/{number}/approval_requests"
            question = {"message": "Login?", "seconds_to_expire": 1}
            await authy.good("POST", path, question)
            status, answer = await authy.send("POST", path, question, headers)
            assert status == 200
            await target.count(1, within=10)
        body = json.loads(target.posts[0][2])
        assert [path for path, _, _ in target.posts] == ["/loud"]
        assert (body["status"], body["uuid"]) == ("expired", answer["approval_request"]["uuid"])


async def test_the_switches_of_a_callback_are_followed(tmp_path: Path) -> None:
    """Signing key, spelling of the tilde and type of device_uuid are the credential's choice."""
    settings = {
        "callback_key": "signing_key",
        "signing_key": "another-key-0001",
        "callback_tilde": "escaped",
        "device_uuid": "number",
    }
    async with receiver() as target, authenticator(tmp_path) as device:
        settings["callback_url"] = f"{target.url}/cb"
        async with authy_server(tmp_path, settings=settings) as authy:
            await answered(authy, device, approve(), {"message": "~ok~", "details": {}})
            await target.count(1)
    heard = Heard(*target.posts[0])
    body = json.loads(heard.body)
    assert isinstance(body["device_uuid"], int)
    assert body["approval_request"]["logos"] is None
    assert body["approval_request"]["transaction"]["details"] is None
    nonce, canon = heard.headers["x-authy-signature-nonce"], canonical(body, tilde=False)
    assert "%7Eok%7E" in canon
    assert heard.headers["x-authy-signature"] == signature(
        "another-key-0001", nonce, "POST", f"{target.url}/cb", canon
    )


async def test_a_revoked_credential_calls_nobody_back(tmp_path: Path) -> None:
    """Without its key nothing can be signed: the row ends, nothing is sent."""
    async with receiver() as target, authenticator(tmp_path) as device:
        async with authy_server(tmp_path, settings={"callback_url": target.url}) as authy:
            domain = authy.server.domain
            server = authy.server
            key = await server.api_key("enrolling")
            number = await authy.ada()
            await enrolled(server, device, number, key)
            asked = await authy.good("POST", f"/onetouch/json/users/{number}/approval_requests", QUESTION)
            (credential,) = await domain.credentials.all("authy")
            await domain.credentials.revoke(credential.id, server.clock.now())
            await device.fetch()
            await device.decide(device.find(asked["approval_request"]["uuid"]), approve())
            count = Sql("count", "SELECT count(*) FROM outbox WHERE kind = 'callback'")

            async def gone() -> bool:
                return bool((await server.store.rows(count))[0][0] == 0)

            await until(gone)
        assert not target.posts
