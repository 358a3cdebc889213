"""The UnityVox "SMS OTP" API as its documented samples speak it.

    GET|POST|PUT /api/get-api/v1/OTP-api          accountnumber, apikey, ref_id, phone_number
    GET|POST|PUT /api/get-api/v1/OTP-api/verify   accountnumber, apikey, sessionid, otp_code

    {"version":"1.00","code":"022","status":"success","resultstring":"Success",
     "phone_number":"13055550100","sessionID":"0f6c…","statusmessage":"Message sent successfully"}

    request   024 credentials > 020 ref_id > 028 phone > 029 rate > 021 balance > 022 sent
    verify    024 credentials or session > 026 used > 023 expired or locked > 025 mismatch > 027 matched

Quirks that clients depend on: the HTTP status of an error is 200 (a switch), clients branch on ``status``; parameters
come by query, form, JSON or multipart under names in any case, the key also as header ``Api-Key``; the path is known in
any case and with a slash behind it; the documented sample sends ``123456]`` as code; each request is a session of its
own, and 021 carries a session id that belongs to nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from typing import Any, Final, NamedTuple

from aiohttp import web

from placet_server.domain.codes import CodeDraft, Outcome
from placet_server.domain.destinations import phone
from placet_server.domain.ids import is_id
from placet_server.domain.refusals import Code, RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.shapes import Shape
from placet_server.domain.values import Caller
from placet_server.faces import params
from placet_server.faces.paths import any_case
from placet_server.faces.switches import switch
from placet_server.web.gate import Call, Gate
from placet_server.web.peer import PEER
from placet_server.web.problems import HEADERS

_LENGTH: Final = 6
_NOT_DIGITS: Final = re.compile(r"[^0-9]")
_SENT: Final = web.RequestKey("unityvox", dict[str, str])
_BY: Final = web.RequestKey("unityvox_caller", Caller)


class Reply(NamedTuple):
    """One documented answer; ``session`` says whether it carries ``sessionID``."""

    code: str
    message: str
    session: bool = True
    status: int | None = None


SENT: Final = Reply("022", "Message sent successfully")
NO_TEMPLATE: Final = Reply("020", "Invalid or empty Message ref_id", session=False)
NO_BALANCE: Final = Reply("021", "No Plan or Balance in account")
NO_ENTRY: Final = Reply("024", "Invalid API / SessionId Combination - No Entry Exists")
BAD_PHONE: Final = Reply("028", "Invalid or empty phone_number", session=False)
TOO_MANY: Final = Reply("029", "Too many requests", session=False)
FAILED: Final = Reply("029", "Service unavailable", session=False, status=503)
NOT_HERE: Final = Reply("024", "There is nothing at this path", session=False, status=404)

OUTCOMES: Final[dict[Outcome, Reply]] = {
    "matched": Reply("027", "OTP Matched"),
    "mismatch": Reply("025", "OTP Mismatch"),
    "expired": Reply("023", "OTP Expired"),
    "exhausted": Reply("023", "OTP Expired"),
    "used": Reply("026", "OTP already used"),
    "unknown": NO_ENTRY,
    "throttled": Reply("029", "Too many requests"),
}

REFUSALS: Final[dict[Code, Reply]] = {
    "invalid_request": BAD_PHONE,
    "invalid_text": NO_TEMPLATE,
    "unauthorized": NO_ENTRY,
    "forbidden": NO_ENTRY,
    "not_found": NOT_HERE,
    "user_not_found": NO_ENTRY,
    "user_conflict": NO_ENTRY,
    "name_taken": NO_ENTRY,
    "enrollment_ended": NO_ENTRY,
    "enrollment_refused": NO_ENTRY,
    "wrong_check": NO_ENTRY,
    "reason_required": NO_ENTRY,
    "invalid_decision": NO_ENTRY,
    "already_decided": NO_ENTRY,
    "not_pending": NO_ENTRY,
    "not_decided": NO_ENTRY,
    "invalid_proof": NO_ENTRY,
    "use_nonce": NO_ENTRY,
    "device_revoked": NO_ENTRY,
    "device_pending": NO_ENTRY,
    "on_hold": TOO_MANY,
    "too_many_pending": TOO_MANY,
    "throttled": TOO_MANY,
    "rate_limited": TOO_MANY,
    "ip_not_allowed": NO_ENTRY,
    "invalid_destination": BAD_PHONE,
    "country_not_allowed": BAD_PHONE,
    "channel_not_allowed": NO_BALANCE,
    "not_a_mobile": BAD_PHONE,
    "no_route": NO_BALANCE,
    "no_credit": NO_BALANCE,
    "too_many_codes": TOO_MANY,
    "idempotency_conflict": TOO_MANY,
    "too_large": BAD_PHONE,
    "unsupported_media_type": BAD_PHONE,
    "method_not_allowed": Reply("024", "Method not allowed", session=False, status=405),
    "timeout": BAD_PHONE,
    "unavailable": FAILED,
    "internal": FAILED,
}


class UnityVoxFace:
    """Reads UnityVox's credentials and says no in UnityVox's words."""

    name = "unityvox"

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    async def authenticate(self, request: web.Request, now: int) -> Caller | None:
        """The application of account number and key; contradicting parameters are as good as none."""
        try:
            sent = await _read(request)
        except RefusedError as refused:
            if refused.code != "invalid_request":
                raise
            return None
        account, key = sent.get("accountnumber"), sent.get("apikey") or request.headers.get("Api-Key")
        if not account or not key:
            return None
        caller = await self._domain.credentials.by_pair("unityvox", account, key, now, request[PEER])
        if caller is not None:
            request[_BY] = caller
        return caller

    def refusal(self, request: web.Request, refused: RefusedError, request_id: str) -> web.Response:
        """The documented error that comes nearest; without balance it carries a session that belongs to nothing."""
        said = REFUSALS[refused.code]
        sent = request.get(_SENT, {})
        session = sent.get("sessionid", "")[:64]
        if said.code == "021":
            session = str(uuid.UUID(bytes=hashlib.sha256(request_id.encode()).digest()[:16], version=4))
        response = _answer(request, said, session=session)
        if refused.retry_after is not None:
            response.headers["Retry-After"] = str(refused.retry_after)
        return response

    def routes(self, gate: Gate, router: web.UrlDispatcher) -> None:
        """Serve both paths, in any letter case."""
        base = "/api/get-api/v1/OTP-api"
        for path, other, handler in (
            (base, any_case(base), self._request),
            (f"{base}/verify", any_case(f"{base}/verify"), self._verify),
        ):
            for method in ("GET", "POST", "PUT"):
                gate.add(router, method, path, handler, face=self, scope="codes")
                gate.add(router, method, other, handler, face=self, scope="codes")

    async def _request(self, request: web.Request, call: Call) -> web.Response:
        sent = await _read(request)
        template = call.by.settings.get("templates", {}).get(sent.get("ref_id", ""))
        if template is None:
            call.note(code=NO_TEMPLATE.code)
            return _answer(request, NO_TEMPLATE)
        typed = _NOT_DIGITS.sub("", sent.get("phone_number", "")).removeprefix("00")
        if not 7 <= len(typed) <= 15:
            call.note(code=BAD_PHONE.code)
            return _answer(request, BAD_PHONE)
        destination = phone(typed)
        draft = CodeDraft(
            destination=destination,
            shape=Shape(_LENGTH),
            seconds=switch(call.by, "seconds"),
            tries=switch(call.by, "tries"),
            channels=("sms",),
            text=_text(template, switch(call.by, "placeholder")),
            sender=call.by.settings.get("sender"),
        )
        issued = await self._domain.codes.issue(call.by, draft, call.now, ip=call.ip)
        call.note(
            code=SENT.code,
            destination=destination.address,
            subject=issued.id,
            length=len(issued.value),
            seconds=issued.seconds,
            tries=issued.tries,
        )
        told = destination.address.removeprefix("+")
        as_number = switch(call.by, "phone_number_type") == "number"
        return _answer(request, SENT, phone_number=int(told) if as_number else told, session=issued.id)

    async def _verify(self, request: web.Request, call: Call) -> web.Response:
        sent = await _read(request)
        session = sent.get("sessionid", "")[:64]
        if not is_id(session.lower()):
            call.note(code=NO_ENTRY.code)
            return _answer(request, NO_ENTRY, session=session)
        typed = _NOT_DIGITS.sub("", sent.get("otp_code", ""))
        checked = await self._domain.codes.check(call.by, typed, call.now, code_id=session.lower())
        said = OUTCOMES[checked.outcome]
        call.note(code=said.code, subject=checked.code_id, outcome=checked.outcome)
        return _answer(request, said, session=session)


async def _read(request: web.Request) -> dict[str, str]:
    """The parameters under lower-case names, trimmed; raises ``invalid_request`` where two say different things."""
    if _SENT in request:
        return request[_SENT]
    sent: dict[str, str] = {}
    for name, value in (await params.read(request)).items():
        text = str(value).strip() if isinstance(value, str | int) else ""
        if sent.setdefault(name.lower(), text) != text:
            raise RefusedError("invalid_request", f"{name[:40]!r} is given twice, with two values.")
    request[_SENT] = sent
    return sent


def _text(template: str, placeholder: str) -> str:
    """The template with one spelling of the code's place, which is its end where it names none."""
    if placeholder:
        template = template.replace(placeholder, "{code}")
    text = template.replace("{otp}", "{code}")
    return text if "{code}" in text else f"{text.rstrip()} {{code}}"


def _answer(
    request: web.Request, said: Reply, *, phone_number: str | int | None = None, session: str = ""
) -> web.Response:
    good = said.code in {"022", "027"}
    told: dict[str, Any] = {
        "version": "1.00",
        "code": said.code,
        "status": "success" if good else "error",
        "resultstring": "Success" if good else "Failure",
    }
    if phone_number is not None:
        told["phone_number"] = phone_number
    if said.session:
        told["sessionID"] = session
    told["statusmessage"] = said.message
    by = request.get(_BY)
    usual = 200 if good or by is None else int(switch(by, "error_status"))
    response = web.Response(
        status=said.status or usual, body=json.dumps(told, separators=(",", ":")).encode(), headers=HEADERS
    )
    if by is not None and (origin := switch(by, "allow_origin")):
        response.headers["Access-Control-Allow-Origin"] = origin
    return response
