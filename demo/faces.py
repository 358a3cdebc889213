"""``python3 dev.py demo --face NAME``: an integration of another service, changed in nothing but its host.

The customer's credentials are brought along, the calls are those of that service's own samples, and the code is read at
the far end, where the ``file`` gateway leaves it. Every claim that is printed was checked.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import ClientSession

from demo.narrate import Narrator, check
from demo.programs import Programs

FACES: Final = ("authy", "afilnet", "unityvox", "octopush")
_WAIT: Final = 20
_LOGGED: Final = 1.0  # the log is written within a second
_AUTHY_KEY: Final = "d57d919d11e6b221c9bf6f7c882028f9"


class Customer:
    """An application that was written for another service; it knows nothing of Placet but the address."""

    def __init__(self, url: str, session: ClientSession, messages: Path, say: Narrator) -> None:
        self._url, self._session, self._messages, self._say = url, session, messages, say
        self.calls = 0

    async def call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Any:  # noqa: ANN401 - any JSON
        """One call as that service's samples make it; a dictionary is sent as JSON, a text as a form."""
        data = json.dumps(body) if isinstance(body, dict) else body
        media = "application/json" if isinstance(body, dict) else "application/x-www-form-urlencoded"
        sent = {"Content-Type": media, **(headers or {})} if data else headers
        self._say.wire(f"{method} {path}", str(data or ""))
        self.calls += 1
        async with self._session.request(method, self._url + path, data=data, headers=sent) as answer:
            text = await answer.text()
            self._say.wire(f"  {answer.status}", text)
            return json.loads(text)

    async def arrived(self, channel: str) -> str:
        """The code in the newest message of a channel, once it is there."""
        async with asyncio.timeout(_WAIT):
            while True:
                lines = self._messages.read_text().splitlines() if self._messages.exists() else []
                for message in map(json.loads, reversed(lines)):
                    if message["channel"] == channel:
                        self._say.fact(f"{channel} to {message['to']}: {message['text']}")
                        runs = re.findall(r"\d(?:[\d ,.]*\d)?", message["text"])
                        return max((re.sub(r"\D", "", run) for run in runs), key=len)  # others are minutes
                await asyncio.sleep(0.02)


async def show(face: str, folder: Path) -> None:
    """Play the part of one face; ends with status 1 when a step does not come out as it must."""
    say, programs = Narrator(), Programs(folder)
    async with programs.serving() as url, ClientSession() as session:
        say.step("The operator brings along what the customer has: application and credential")
        await programs.operator("application", "add", "shop")
        await programs.operator(
            "credential", "add", "--face", face, "--application", "shop", *_CREDENTIALS[face]
        )
        say.fact(f"{face}: {' '.join(_CREDENTIALS[face])}")
        customer = Customer(url, session, programs.server_data / "messages.jsonl", say)
        await _PARTS[face](customer, say)
        say.step("The operator's log shows the calls, with secrets and codes masked")
        await asyncio.sleep(_LOGGED)
        calls = (await programs.operator("log", "search", "--face", face))["calls"]
        for call in reversed(calls):
            said = json.dumps(call["detail"], ensure_ascii=False)
            say.wire(f"{call['at']}  {call['ip']}  {call['method']} {call['route']}  {call['status']}", said)
        check(len(calls) == customer.calls, "the log tells of every call")
    say.done(f"An integration of {face} works by changing its host.")


async def _authy(customer: Customer, say: Narrator) -> None:
    key = {"X-Authy-API-Key": _AUTHY_KEY}
    say.step("Register a user, as Authy's clients do")
    form = urlencode(
        {"user[email]": "ada@example.com", "user[cellphone]": "405-342-5699", "user[country_code]": "1"}
    )
    user = (await customer.call("POST", "/protected/json/users/new", form, key))["user"]["id"]
    say.step("OneCode by text message, verified once")
    check(
        (await customer.call("GET", f"/protected/json/sms/{user}?force=true", headers=key))["success"], "sent"
    )
    code = await customer.arrived("sms")
    path = f"/protected/json/verify/{code}/{user}"
    first = await customer.call("GET", path, headers=key)
    again = await customer.call("GET", path, headers=key)
    check(first["token"] == "is valid" and again["success"] is False, "a code verifies exactly once")  # noqa: S105 - a word of the wire
    say.step("Phone verification without a user, by a call")
    where = {"via": "call", "country_code": "1", "phone_number": "405-342-5699"}
    await customer.call("POST", "/protected/json/phones/verification/start", where, key)
    query = urlencode({**where, "verification_code": await customer.arrived("voice")})
    checked = await customer.call("GET", f"/protected/json/phones/verification/check?{query}", headers=key)
    check(checked["success"], "the spoken code verifies")
    say.step("A push approval request, and what its status says")
    question = {"message": "Sign in?", "details": {"Location": "Utrecht"}, "seconds_to_expire": 300}
    asked = await customer.call("POST", f"/onetouch/json/users/{user}/approval_requests", question, key)
    uuid = asked["approval_request"]["uuid"]
    status = await customer.call("GET", f"/onetouch/json/approval_requests/{uuid}", headers=key)
    check(status["approval_request"]["status"] == "pending", "the request waits for the person")


async def _afilnet(customer: Customer, say: Narrator) -> None:
    who = {"user": "demo@example.org", "password": "s3cret"}
    say.step("A code by the sample's URL; this service gives it to the caller, who sends it")
    query = {"class": "otp", "method": "generateotp", **who, "type": "mobile", "destination": "34600000000"}
    wish = {"time": "10", "timetype": "minutes", "length": "6", "otpformat": "numbers", "output": ""}
    made = await customer.call("GET", f"/api/http/?{urlencode({**query, **wish})}")
    code = made["result"]["code"]
    say.step("The next call of the same integration sends it by text message")
    text = {
        "class": "sms",
        "method": "sendsms",
        **who,
        "from": "Shop",
        "to": "34600000000",
        "sms": f"Code {code}",
    }
    check((await customer.call("POST", "/api/http/", urlencode(text)))["status"] == "SUCCESS", "sent")
    check(await customer.arrived("sms") == code, "the text holds the code")
    say.step("Verified once")
    path = "/api/http/?" + urlencode(
        {"class": "otp", "method": "verifyotp", **who, "destination": "34600000000", "code": code}
    )
    said = [(await customer.call("GET", path))["status"] for _ in range(2)]
    check(said == ["SUCCESS", "ERROR"], "a code verifies exactly once")
    say.step("The balance, by the API with HTTP Basic")
    basic = base64.b64encode(f"{who['user']}:{who['password']}".encode()).decode()
    told = await customer.call(
        "GET", "/api/basic/?class=user&method=getbalance", headers={"Authorization": f"Basic {basic}"}
    )
    check(told["status"] == "SUCCESS", "the balance is told")


async def _unityvox(customer: Customer, say: Narrator) -> None:
    who = {"accountnumber": "100200", "apikey": "UVKEY1"}
    path = "/api/get-api/v1/OTP-api"
    say.step("A code by the sample's URL and the customer's own template")
    query = urlencode({**who, "ref_id": "TPL1", "phone_number": "13055550100"})
    asked = await customer.call("GET", f"{path}?{query}")
    check(asked["code"] == "022", "sent")
    code = await customer.arrived("sms")
    say.step("Verified by the sample's form: a wrong code, the right one, and its replay")
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    said = []
    for typed in (wrong, code, code):
        form = urlencode({**who, "sessionid": asked["sessionID"], "otp_code": typed})
        said.append((await customer.call("POST", f"{path}/verify", form))["code"])
    check(said == ["025", "027", "026"], "mismatch, match and use stay apart")


async def _octopush(customer: Customer, say: Narrator) -> None:
    key = {"api-login": "demo@example.org", "api-key": "OCTOKEY"}
    base = "/v1/public/service/otp"
    say.step("A code by voice, with parameters that are only nearly right")
    wish = {
        "phone_number": "0033 6 11 22 33 44",
        "channel": "VOICE_SMS",
        "voice_language": "fr",
        "code_length": "6",
    }
    asked = await customer.call("POST", f"{base}/generate", wish, key)
    check(asked["message"] == "success", "sent")
    code = await customer.arrived("voice")
    say.step("Validated by token and number, once")
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    said = []
    for typed in (wrong, code, code):
        body = {
            "otp_request_token": asked["otp_request_token"],
            "phone_number": "+33611223344",
            "code": typed,
        }
        said.append((await customer.call("PUT", f"{base}/validate", body, key))["code"])
    check(said == [199, 0, 198], "mismatch, match and use stay apart")
    say.step("The balance")
    await customer.call("GET", "/v1/public/wallet/check-balance", headers=key)


_PARTS: Final[dict[str, Callable[[Customer, Narrator], Awaitable[None]]]] = {
    "authy": _authy,
    "afilnet": _afilnet,
    "unityvox": _unityvox,
    "octopush": _octopush,
}
_CREDENTIALS: Final[dict[str, tuple[str, ...]]] = {
    "authy": ("--api-key", _AUTHY_KEY),
    "afilnet": ("--user", "demo@example.org", "--password", "s3cret", "--balance", "10.00"),
    "unityvox": (
        "--account-number",
        "100200",
        "--api-key",
        "UVKEY1",
        "--template",
        "TPL1=Your code is {code}",
    ),
    "octopush": ("--api-login", "demo@example.org", "--api-key", "OCTOKEY", "--balance", "10.00"),
}
