"""The npm clients ``authy`` and ``authy-client``, unmodified, against a real server: every call that they have.

``authy-client`` checks each answer member by member and refuses what is not as it was documented.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from placet_authenticator.authenticator import Authenticator
from placet_authenticator.deciding import approve, deny
from placet_server.faces.params import pairs
from placet_server.faces.rack import nested
from support.authying import KEY, Authy, authy_server
from support.node import NodeClient, node_client
from support.persons import authenticator, enrolled
from support.receivers import receiver

PHONE = "775-461-5609"
THERE = {"ip": "127.0.0.1"}
LOGOS = [
    {"res": "default", "url": "https://example.com/d.png"},
    {"res": "low", "url": "https://example.com/l.png"},
]


async def test_every_call_of_authy(tmp_path: Path) -> None:
    """Users, codes, phone verifications and approval requests work as its samples say; key in the query, body in GETs."""
    async with (
        authy_server(tmp_path) as authy,
        node_client("authy", url=authy.server.url, key=KEY) as client,
        authenticator(tmp_path) as device,
    ):
        user = (await client.good("register_user", "ada@example.com", "405-342-5699", "57"))["user"]["id"]
        again = await client.good("register_user", "ada@example.com", "405-342-5699", "57", False)
        assert again["user"]["id"] == user
        other = (await client.good("register_user", "ben@example.com", "405-342-5690"))["user"]["id"]
        assert other != user
        status = (await client.good("user_status", user))["status"]
        assert (status["authy_id"], status["registered"]) == (user, False)
        assert (await client.good("request_sms", user))["message"] == "SMS token was sent"
        assert (await client.good("request_sms", user, True))["cellphone"] == "+57-XXX-XXX-XX99"
        assert (await client.good("request_call", user))["message"] == "Call started..."
        assert "ignored" not in await client.good("request_call", user, True)
        code = await authy.code(4)
        wrong = await client.bad("verify", user, "0000001" if code != "0000001" else "0000002")
        assert (wrong["success"], wrong["token"]) == (False, "is invalid")
        spaced = f"{code[:1]} {code[1:4]}-{code[4:]}"
        assert (await client.good("verify", user, spaced))["token"] == "is valid"
        assert (await client.bad("verify", user, code, True))["error_code"] == "60019"
        assert "uuid" in await client.good("phones.verification_start", PHONE, "1")
        full = {"via": "call", "locale": "es", "code_length": 6}
        assert (
            "Llamada"
            in (await client.good("phones.verification_start", "201-555-0123", "1", full))["message"]
        )
        pending = await client.good("phones.verification_status", PHONE, "1")
        assert pending["status"] == "pending"
        sms = await authy.code(5)
        assert (await client.bad("phones.verification_check", PHONE, "1", "none"))["error_code"] == "60022"
        assert (await client.good("phones.verification_check", PHONE, "1", sms))["success"] is True
        assert (await client.good("phones.verification_status", PHONE, "1"))["status"] == "verified"
        assert (await client.good("phones.info", "7754615609", "1"))["success"] is True
        await enrolled(authy.server, device, user, await authy.server.api_key("enrolling"))
        small = await client.good("send_approval_request", user, {"message": "Login?"}, None, None)
        payload = {"message": "Pay?", "details": {"Account Number": "981"}, "seconds_to_expire": 60}
        asked = await client.good("send_approval_request", user, payload, {"ip": "1.2.3.4"}, LOGOS)
        uuid = asked["approval_request"]["uuid"]
        assert (await client.good("check_approval_status", uuid))["approval_request"]["status"] == "pending"
        await device.fetch()
        shown = device.find(uuid)
        assert (shown.message, shown.fields) == ("Pay?", (("Account Number", "981"),))
        await device.decide(shown, deny())
        await device.decide(device.find(small["approval_request"]["uuid"]), approve())
        assert (await client.good("check_approval_status", uuid))["approval_request"]["status"] == "denied"
        assert (await client.good("delete_user", user))["message"] == "User removed from application"
        assert (await client.bad("user_status", user))["error_code"] == "60026"
        assert (await client.bad("delete_user", "tony"))["message"] == "User not found."
        assert await client.uncalled() == []


async def test_every_call_of_authy_client(tmp_path: Path) -> None:
    """Its validators take each answer, with and without options, and its errors carry the documented codes."""
    async with (
        receiver() as target,
        authy_server(tmp_path, settings={"callback_url": f"{target.url}/cb"}) as authy,
        node_client("authy-client", url=authy.server.url, key=KEY) as client,
        authenticator(tmp_path) as device,
    ):
        draft = {"countryCode": "US", "email": "ada@example.com", "phone": PHONE}
        user = {"authyId": (await client.good("registerUser", draft))["user"]["id"]}
        await codes(authy, client, user)
        await the_application(client, user)
        await phones(authy, client)
        await enrolled(authy.server, device, user["authyId"], await authy.server.api_key("enrolling"))
        await approvals(client, device, user)
        await target.count(2)
        for path, headers, body in target.posts:
            heard = arrived(target.url, path, headers, body)
            assert await client.good("verifyCallback", heard)
            heard["body"]["status"] = "denied" if heard["body"]["status"] == "approved" else "approved"
            assert (await client.bad("verifyCallback", heard))["name"]
        await client.good("deleteUser", user, THERE)
        assert code_of(await client.bad("deleteUser", user)) == "60026"
        assert code_of(await client.bad("getUserStatus", user)) == "60026"
        assert await client.uncalled() == []
        async with node_client("authy-client", url=authy.server.url, key="wrong") as stranger:
            assert code_of(await stranger.bad("getApplicationStatistics")) == "60001"


async def codes(authy: Authy, client: NodeClient, user: dict[str, Any]) -> None:
    """Codes are sent and verified, with each option."""
    assert (await client.good("requestSms", user))["cellphone"] == "+1-XXX-XXX-XX09"
    login = {"force": True, "action": "login", "message": "Log in & go"}
    await client.good("requestSms", user, login)
    bound = await authy.code(2)
    assert code_of(await client.bad("verifyToken", {**user, "token": bound})) == "60020"
    await client.good("requestCall", user, {"force": True})
    code = await authy.code(3)
    assert (await client.good("verifyToken", {**user, "token": code}))["token"] == "is valid"
    assert code_of(await client.bad("verifyToken", {**user, "token": code}, {"force": True})) == "60019"


async def the_application(client: NodeClient, user: dict[str, Any]) -> None:
    """Status, activity, details and statistics say what has been done."""
    status = (await client.good("getUserStatus", user))["status"]
    assert (status["phone_number"], status["confirmed"]) == ("XXX-XXX-5609", True)
    assert (await client.good("getUserStatus", user, THERE))["success"] is True
    await client.good("registerActivity", {**user, "data": {"reason": "foo"}, "type": "banned"}, THERE)
    app = (await client.good("getApplicationDetails", THERE))["app"]
    assert (app["name"], app["sms_enabled"]) == ("acme", True)
    statistics = await client.good("getApplicationStatistics")
    month = statistics["stats"][-1]
    assert (month["sms_count"], month["calls_count"], month["auths_count"]) == (2, 1, 1)
    assert (statistics["total_users"], month["users_count"]) == (1, 1)


async def phones(authy: Authy, client: NodeClient) -> None:
    """A number is looked up and verified."""
    number = {"countryCode": "US", "phone": PHONE}
    assert (await client.good("getPhoneInformation", number, THERE))["success"] is True
    await client.good("startPhoneVerification", {**number, "via": "sms"}, {"locale": "es", "codeLength": 6})
    code = await authy.code(4)
    wrong = "0000" if code != "0000" else "0001"
    assert code_of(await client.bad("verifyPhone", {**number, "token": wrong})) == "60022"
    await client.good("verifyPhone", {**number, "token": code})


async def approvals(client: NodeClient, device: Authenticator, user: dict[str, Any]) -> None:
    """Two requests, the smallest and one with everything, are asked, polled, answered and polled again."""
    small = await client.good("createApprovalRequest", {**user, "message": "Login?"})
    question = {
        **user,
        "message": "Pay?",
        "details": {"visible": {"Account Number": "981"}, "hidden": {"ip": "1.2.3.4"}},
        "logos": LOGOS,
    }
    asked = await client.good("createApprovalRequest", question, {"ttl": 300})
    for request, verdict, word in ((asked, approve(), "approved"), (small, deny(), "denied")):
        uuid = request["approval_request"]["uuid"]
        seen = await client.good("getApprovalRequest", {"id": uuid})
        assert seen["approval_request"]["status"] == "pending"
        await device.fetch()
        await device.decide(device.find(uuid), verdict)
        seen = await client.good("getApprovalRequest", {"id": uuid})
        assert seen["approval_request"]["status"] == word
    assert code_of(await client.bad("getApprovalRequest", {"id": "u-1"})) == "60049"


async def test_a_callback_by_get_passes_the_clients_checks(tmp_path: Path) -> None:
    """``verifyCallback`` takes what arrived in a query, nested as its web framework nests it."""
    async with receiver() as target, authenticator(tmp_path) as device:
        settings = {"callback_url": f"{target.url}/cb", "callback_method": "GET"}
        async with (
            authy_server(tmp_path, settings=settings) as authy,
            node_client("authy-client", url=authy.server.url, key=KEY) as client,
        ):
            number = await authy.ada()
            await enrolled(authy.server, device, number, await authy.server.api_key("enrolling"))
            asked = await client.good("createApprovalRequest", {"authyId": number, "message": "Login?"})
            await device.fetch()
            await device.decide(device.find(asked["approval_request"]["uuid"]), approve())
            await target.count(1)
            path, headers, _ = target.posts[0]

            body = json.dumps(nested(pairs(urlsplit(path).query))).encode()
            heard = arrived(target.url, path, headers, body, method="GET")
            assert await client.good("verifyCallback", heard)


def arrived(
    url: str, path: str, headers: dict[str, str], body: bytes, method: str = "POST"
) -> dict[str, Any]:
    """A request as the client's users hand it over from their web framework."""
    parts = urlsplit(url)
    return {
        "method": method,
        "protocol": parts.scheme,
        "url": path,
        "headers": {**headers, "host": parts.netloc},
        "body": json.loads(body),
    }


def code_of(error: dict[str, Any]) -> str:
    """The error code in what the client says of a refused call."""
    code = error["body"]["error_code"]
    assert isinstance(code, str)
    return code
