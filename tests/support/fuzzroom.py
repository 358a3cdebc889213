"""A server with an account on every face and something of every kind to ask about, and the calls that ask for it."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any, NamedTuple

from placet_server.testing import LiveServer, live_server
from support.http import read_answer
from support.wishes import Pairs, Wish, of_transcripts

NAME = "demo@example.org"
SECRETS = {
    "authy key": "AUTHYcAnArYd57d919d11e6b221c9bf",
    "afilnet password": "AFILcAnArYs3cretPassw0rd",
    "unityvox key": "UVcAnArYkey0123456789",
    "octopush key": "OCTOcAnArYkey0123456789",
}
ACCOUNT = "100200"
TYPED = "73519402684"
"""What is typed as a code everywhere: never the right one, and a canary of its own."""
TEXT = "TEXTcAnArY of a message"
PHONE = "34600000000"
_GENEROUS = {
    "code.per_destination": "1000",
    "code.per_destination_day": "10000",
    "code.breaker": "0",
    "approval.max_pending": "100",
    "approval.max_unapproved": "100",
    "limits.failures_max": "100",
    "limits.lookups_per_minute": "0",
    "callback.hosts": "127.0.0.1",
}


class Room(NamedTuple):
    """What the calls need, and the calls: good ones but for the codes that they type."""

    wishes: list[list[Wish]]
    """By family, so that each gets its share."""

    secrets: dict[str, str | bytes]


async def furnished(folder: Path, port: int) -> Room:
    """Make the accounts and things on a data folder whose server listens on this port, and close it again."""
    async with live_server(folder, port=port) as live:
        key = await live.api_key("acme")
        other = await live.api_key("other")
        now = live.clock.now()
        await live.domain.applications.set_policies("acme", _GENEROUS, now)
        add = live.domain.credentials.add
        await add("authy", "acme", SECRETS["authy key"], {"disabled_status": "403"}, now)
        await add(
            "afilnet", "acme", SECRETS["afilnet password"], {"templates": {"T1": "Hi NAME"}}, now, name=NAME
        )
        await add(
            "unityvox",
            "acme",
            SECRETS["unityvox key"],
            {"templates": {"TPL1": "Code {code}"}},
            now,
            name=ACCOUNT,
        )
        await add("octopush", "acme", SECRETS["octopush key"], {}, now, name=NAME)
        families = [
            await _native(live, key, other),
            [*_device(), *_reports()],
            await _authy(live),
            await _afilnet(live),
            await _unityvox(live),
            await _octopush(live),
            _told(),
        ]
        return Room(
            families,
            {**SECRETS, "native key": key, "other key": other, "typed": TYPED, "text": TEXT},
        )


async def _call(live: LiveServer, wish: Wish) -> Any:
    port = int(live.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(wish.encoded())
    answer = await read_answer(reader)
    writer.close()
    assert answer is not None
    assert answer.status < 300, (wish.path, answer.body)
    return answer.json()


async def _native(live: LiveServer, key: str, other: str) -> list[Wish]:
    head: Pairs = [("Authorization", f"Bearer {key}")]

    def wish(method: str, path: str, body: Any = None, query: Pairs | None = None) -> Wish:
        return Wish(method, path, query, head, "none" if body is None else "json", body)

    user = (
        await _call(
            live,
            wish(
                "POST", "/v1/users", {"email": "ada@example.com", "country_code": 44, "phone": "7700900123"}
            ),
        )
    )["tfa_id"]
    doomed = (await _call(live, wish("POST", "/v1/users", {"email": "doomed@example.com"})))["tfa_id"]
    asked = (await _call(live, wish("POST", "/v1/approval_requests", {"tfa_id": user, "message": "Pay?"})))[
        "id"
    ]
    code = (
        await _call(
            live,
            wish("POST", "/v1/codes", {"phone": "+" + PHONE, "length": 12, "alphabet": ["digits", "upper"]}),
        )
    )["id"]
    shown = (await _call(live, wish("POST", "/v1/phone_verifications", {"phone": "+34600000001"})))["id"]
    message = (await _call(live, wish("POST", "/v1/messages", {"phone": "+" + PHONE, "text": TEXT})))["id"]
    token = (await _call(live, wish("POST", f"/v1/users/{user}/soft_tokens", {"name": "Ada"})))["id"]
    await _call(live, wish("POST", f"/v1/users/{user}/recovery_codes", {}))
    enrollment = (await _call(live, wish("POST", f"/v1/users/{user}/enrollments", {})))["id"]
    details = {"visible": {"To": "Bob", "Sum": "5"}, "hidden": {"ledger": "4711"}}
    return [
        wish("POST", "/v1/users", {"email": "new@example.com", "name": "New", "country_code": "44", "phone": "7700 900124"}),
        wish("GET", "/v1/users", query=[("limit", "5")]),
        wish("GET", f"/v1/users/{user}"),
        wish("DELETE", f"/v1/users/{doomed}"),
        wish("POST", f"/v1/users/{user}/enrollments", {"qr": "svg", "name": "Shop", "reason": "new phone"}),
        wish("GET", f"/v1/enrollments/{enrollment}", query=[("wait", "0")]),
        wish("POST", f"/v1/enrollments/{enrollment}/confirm", {"check": TYPED[:6]}),
        wish("GET", f"/v1/users/{user}/devices"),
        wish("POST", "/v1/approval_requests", {"tfa_id": user, "message": "Pay?", "details": details, "seconds_to_expire": 60}),
        wish("GET", "/v1/approval_requests", query=[("status", "pending"), ("limit", "5")]),
        wish("GET", f"/v1/approval_requests/{asked}"),
        wish("GET", f"/v1/approval_requests/{asked}/receipt"),
        wish("POST", f"/v1/approval_requests/{asked}/cancel"),
        wish("POST", f"/v1/users/{user}/soft_tokens", {"name": "Ada", "digits": 6, "qr": "png"}),
        wish("POST", f"/v1/soft_tokens/{token}/confirm", {"code": TYPED[:6]}),
        wish("POST", f"/v1/users/{user}/soft_tokens/verify", {"code": TYPED[:6]}),
        wish("POST", "/v1/codes", {"phone": "+447700900123", "channels": ["sms"], "text": "{code} for {app}", "purpose": "login"}),
        wish("POST", "/v1/codes", {"tfa_id": user, "channel": "email", "recipient_ip": "192.0.2.1", "subject": "Code"}),
        wish("POST", f"/v1/codes/{code}/check", {"code": TYPED}),
        wish("POST", "/v1/codes/check", {"phone": "+" + PHONE, "code": TYPED}),
        wish("GET", f"/v1/codes/{code}"),
        wish("POST", f"/v1/codes/{code}/resend"),
        wish("POST", "/v1/phone_verifications", {"phone": "+447700900125", "length": 6, "channel": "voice"}),
        wish("POST", f"/v1/phone_verifications/{shown}/check", {"code": TYPED}),
        wish("GET", f"/v1/phone_verifications/{shown}"),
        wish("POST", f"/v1/users/{user}/recovery_codes/verify", {"code": "k7m2x-9qwrt"}),
        wish("POST", "/v1/messages", {"phone": "+447700900123", "text": TEXT, "sender": "Shop"}),
        wish("GET", f"/v1/messages/{message}"),
        wish("GET", "/v1/log", query=[("limit", "2"), ("destination", PHONE)]),
        Wish("PATCH", "/v1/applications/self/policies", None, [("Authorization", f"Bearer {other}")], "json", {"approval.ttl": 120}),
    ]  # fmt: skip


def _device() -> list[Wish]:
    nobody = "01900000-0000-7000-8000-000000000000"
    proof: Pairs = [("Placet-Proof", "eyJhbGciOiJFUzI1NiIsInR5cCI6ImRldmljZS1wcm9vZitqd3QifQ.e30.AAAA")]
    jose: Pairs = [("Content-Type", "application/jose")]
    return [
        Wish("GET", "/device/v1/items", [("wait", "0")], proof),
        Wish("POST", "/device/v1/acks", None, proof, "json", {"ids": [nobody], "seen": []}),
        Wish("GET", "/device/v1/self", None, proof),
        Wish("POST", "/device/v1/decisions", None, jose, "raw", b"eyJhbGciOiJub25lIn0.e30."),
        Wish("POST", f"/device/v1/enrollments/{nobody}", None, jose, "raw", b"eyJhbGciOiJFUzI1NiJ9.e30.AAAA"),
        Wish("GET", "/device/v1/socket", None, [("Origin", "https://evil.example")]),
    ]


async def _authy(live: LiveServer) -> list[Wish]:
    head: Pairs = [("X-Authy-API-Key", SECRETS["authy key"])]

    def wish(
        method: str, path: str, body: Any = None, query: Pairs | None = None, form: str = "json"
    ) -> Wish:
        return Wish(
            method, path, query, head, "json" if form == "json" and body else "form" if body else "none", body
        )

    person = {"user": {"email": "ana@example.com", "cellphone": "405-342-5699", "country_code": "57"}}
    user = (await _call(live, wish("POST", "/protected/json/users/new", person)))["user"]["id"]
    doomed = (
        await _call(
            live,
            wish("POST", "/protected/json/users/new", {"user": person["user"] | {"cellphone": "4053425600"}}),
        )
    )["user"]["id"]
    number: Pairs = [("country_code", "34"), ("phone_number", "600000009")]
    await _call(
        live, wish("POST", "/protected/json/phones/verification/start", {"via": "sms", **dict(number)})
    )
    await _call(live, wish("GET", f"/protected/json/sms/{user}", query=[("force", "true")]))
    ask = {
        "message": "Log in?",
        "details": {"Place": "Paris"},
        "hidden_details": {"ip": "1.2.3.4"},
        "seconds_to_expire": "60",
    }
    uuid = (await _call(live, wish("POST", f"/onetouch/json/users/{user}/approval_requests", ask)))[
        "approval_request"
    ]["uuid"]
    found = []
    for kind in ("json", "xml"):
        base = f"/protected/{kind}"
        found += [
            wish("POST", f"{base}/users/new", person, form="form"),
            wish("GET", f"{base}/users/{user}/status"),
            wish("POST", f"{base}/users/{doomed}/delete"),
            wish("POST", f"{base}/users/{user}/register_activity", {"type": "password_reset", "data": {"reason": "x"}}),
            wish("POST", f"{base}/users/{user}/update", {"email": "ana2@example.com"}, form="form"),
            wish("POST", f"{base}/users/{user}/secret", {"label": "Ana", "qr_size": "300"}),
            wish("GET", f"{base}/users/{user}/phone_number"),
            wish("GET", f"{base}/registrations/status", query=[("custom_user_id", str(user))]),
            wish("GET", f"{base}/sms/{user}", query=[("force", "true"), ("action", "login"), ("action_message", "Log in")]),
            wish("GET", f"{base}/call/{user}", query=[("force", "true"), ("locale", "es")]),
            wish("POST", f"{base}/email/{user}"),
            wish("GET", f"{base}/verify/{TYPED[:7]}/{user}", query=[("force", "true")]),
            wish("POST", f"{base}/phones/verification/start", {"via": "sms", "country_code": "34", "phone_number": "600000007"}, form="form"),
            wish("GET", f"{base}/phones/verification/check", query=[*number, ("verification_code", TYPED[:4])]),
            wish("GET", f"{base}/phones/verification/status", query=number),
            wish("GET", f"{base}/phones/info", query=number),
            wish("GET", f"{base}/app/details"),
            wish("GET", f"{base}/app/stats"),
            wish("GET", f"{base}/reporting/events", query=[("query[event][eq]", "token_invalid"), ("query[time][gte]", "2026-11-22T00:00:00Z"), ("page", "1"), ("per_page", "9")]),
            wish("POST", f"/onetouch/{kind}/users/{user}/approval_requests", ask),
            wish("POST", f"/onetouch/{kind}/users/{user}/approval_requests", ask, form="form"),
            wish("GET", f"/onetouch/{kind}/approval_requests/{uuid}"),
        ]  # fmt: skip
    found.append(
        Wish("GET", f"/protected/json/verify/{TYPED[:7]}/{user}", [("api_key", SECRETS["authy key"])])
    )
    return found


async def _afilnet(live: LiveServer) -> list[Wish]:
    who: Pairs = [("user", NAME), ("password", SECRETS["afilnet password"])]
    basic = base64.b64encode(f"{NAME}:{SECRETS['afilnet password']}".encode()).decode()
    calls: list[dict[str, str]] = [
        {"class": "otp", "method": "generateotp", "type": "mobile", "destination": PHONE, "length": "12", "otpformat": "all"},
        {"class": "otp", "method": "verifyotp", "destination": PHONE, "code": TYPED},
        {"class": "sms", "method": "sendsms", "from": "Shop", "to": PHONE, "sms": TEXT, "output": "xml"},
        {"class": "sms", "method": "sendsmsfromtemplate", "to": PHONE, "idtemplate": "T1", "params": "NAME:Ana"},
        {"class": "voice", "method": "sendvoice", "to": PHONE, "message": TEXT, "language": "en"},
        {"class": "email", "method": "sendemail", "subject": "Hi", "to": "ana@example.org", "email": f"<p>{TEXT}</p>"},
        {"class": "whatsapp", "method": "sendmessage", "platformid": "1", "destination": PHONE, "message": TEXT},
        {"class": "sms", "method": "getdeliverystatus", "messages": "01900000-0000-7000-8000-000000000000,x"},
        {"class": "user", "method": "getbalance"},
    ]  # fmt: skip
    await _call(live, Wish("GET", "/api/http/", [*calls[0].items(), *who]))
    found = []
    for call in calls:
        found += [
            Wish("GET", "/api/http/", [*call.items(), *who]),
            Wish("POST", "/API/http", None, None, "form", call | dict(who)),
            Wish("POST", "/api/basic/", None, [("Authorization", f"Basic {basic}")], "json", call),
            Wish("POST", "/api/jwt/", list(call.items()), [("Authorization", "Bearer a.b.c")]),
        ]
    envelope = (
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><verifyotp>'
        f"<user>{NAME}</user><password>{SECRETS['afilnet password']}</password><destination>{PHONE}</destination>"
        f"<code>{TYPED}</code></verifyotp></soap:Body></soap:Envelope>"
    )
    return [
        *found,
        Wish("POST", "/api/jwt/token", None, None, "form", dict(who)),
        Wish(
            "POST",
            "/api/soap/",
            None,
            [("Content-Type", "text/xml; charset=utf-8")],
            "raw",
            envelope.encode(),
        ),
        Wish("GET", "/api/soap/", [("wsdl", "")]),
    ]


async def _unityvox(live: LiveServer) -> list[Wish]:
    who: Pairs = [("accountnumber", ACCOUNT), ("apikey", SECRETS["unityvox key"])]
    base = "/api/get-api/v1/OTP-api"
    ask: Pairs = [*who, ("ref_id", "TPL1"), ("phone_number", "13055550100")]
    session = (await _call(live, Wish("GET", base, ask)))["sessionID"]
    check: Pairs = [*who, ("sessionid", session), ("otp_code", TYPED)]
    return [
        Wish("GET", base, ask),
        Wish("POST", base.upper(), None, None, "form", dict(ask)),
        Wish("GET", f"{base}/verify", check),
        Wish("POST", f"{base}/verify", None, None, "form", dict(check)),
        Wish("POST", f"{base}/verify", None, None, "json", dict(check)),
        Wish("PUT", f"{base}/verify/", check),
    ]


async def _octopush(live: LiveServer) -> list[Wish]:
    head: Pairs = [("api-login", NAME), ("api-key", SECRETS["octopush key"])]
    public = "/v1/public"
    ask: dict[str, Any] = {
        "phone_number": "+33611223344",
        "text": "Code {code}",
        "channel": "sms",
        "code_length": 12,
    }
    ask |= {"validity_period": 600, "max_wrong_attempts": 3, "recipient_ip": "192.0.2.1", "sender": "Shop"}
    token = (await _call(live, Wish("POST", f"{public}/service/otp/generate", None, head, "json", ask)))[
        "otp_request_token"
    ]
    return [
        Wish("POST", f"{public}/service/otp/generate", None, head, "json", ask),
        Wish("PUT", f"{public}/service/otp/validate", None, head, "json", {"otp_request_token": token, "code": TYPED}),
        Wish("POST", f"{public}/service/otp/validate", None, head, "json", {"phone_number": "+33611223344", "code": TYPED}),
        Wish("POST", f"{public}/sms-campaign/send", None, head, "json", {"recipients": [{"phone_number": "+33611223344"}], "text": TEXT}),
        Wish("GET", f"{public}/wallet/check-balance", None, head),
        Wish("GET", f"{public}/wallet/check-credits", [("country_codes[]", "FR")], head),
    ]  # fmt: skip


def _reports() -> list[Wish]:
    path = "/gateway/reports/kannel/01900000-0000-7000-8000-000000000000/" + "a" * 32
    return [
        Wish("GET", path, [("status", "1")]),
        Wish("POST", path, None, None, "form", {"MessageStatus": "delivered"}),
    ]


def _told() -> list[Wish]:
    """What the transcripts send, with these accounts and without their codes."""
    authorized = base64.b64encode(f"{NAME}:{SECRETS['afilnet password']}".encode()).decode()
    found = of_transcripts({"code": TYPED, "wrong": TYPED, "key": SECRETS["authy key"]})
    for wish in found:
        wish.headers = [
            (
                name,
                _ours(value, authorized)
                if name.lower() in {"api-key", "authorization", "x-authy-api-key"}
                else value,
            )
            for name, value in wish.headers
        ]
        wish.query = [(name, _ours(value, authorized)) for name, value in wish.query]
        if isinstance(wish.body, dict):
            wish.body = {name: _ours(value, authorized) for name, value in wish.body.items()}
    return found


def _ours(value: Any, authorized: str) -> Any:
    told = {
        "s3cret": SECRETS["afilnet password"],
        "UVKEY1": SECRETS["unityvox key"],
        "OCTOKEY": SECRETS["octopush key"],
    }
    if isinstance(value, str) and value.startswith("Basic "):
        return f"Basic {authorized}"
    return told.get(value, value) if isinstance(value, str) else value
