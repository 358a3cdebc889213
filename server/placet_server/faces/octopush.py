"""The Octopush OTP API: a tolerant JSON dialect.

    POST     /v1/public/service/otp/generate   {"phone_number":"+33611223344","text":"Code {code}",…}
    PUT|POST /v1/public/service/otp/validate   {"otp_request_token":"otp_…" and/or "phone_number":…,"code":"123456"}
    POST     /v1/public/sms-campaign/send      {"recipients":[{"phone_number":…}],"text":…}
    GET      /v1/public/wallet/check-balance, /v1/public/wallet/check-credits
    credentials: headers api-login and api-key, else Authorization: Basic

    200 {"code":0,"message":"success","ticket_number":"sms…","otp_request_token":"otp_…"}
    4xx {"code":199,"message":"Wrong OTP code.","remaining_number_of_attempts":2}

    validate: 101 credentials > 194 nothing names a code > 195 no code > 198 unknown, used > 197 expired > 196 locked > 199

Quirks that clients depend on: ``message`` is compared with the text "success"; a wrong value is repaired, cast or
ignored and the code is sent all the same (only credentials, account, body and phone number refuse); without a token the
last code sent to the number counts and there is no falling back to an older one; a used code is 198.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final, NamedTuple

from aiohttp import web

from placet_server.domain.codes import CodeDraft, Outcome
from placet_server.domain.destinations import Destination
from placet_server.domain.mail import MessageDraft
from placet_server.domain.refusals import Code, RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.texts import Text
from placet_server.domain.values import Caller
from placet_server.faces import octopushwords as words
from placet_server.faces import params
from placet_server.faces.rack import as_list
from placet_server.faces.switches import switch
from placet_server.web.gate import Call, Gate
from placet_server.web.peer import PEER
from placet_server.web.problems import HEADERS

RECIPIENTS_MAX: Final = 100
_LIFE_MS: Final = 24 * 3_600_000
_DIGITS36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_TOKEN_LENGTH: Final = 24
_BY: Final = web.RequestKey("octopush_caller", Caller)


class Reply(NamedTuple):
    """How one outcome is said: HTTP status, Octopush's number and words; ``switch`` names what may replace the number."""

    status: int
    code: int
    message: str
    switch: str | None = None


MISSING_BOTH: Final = Reply(400, 194, "At least phone number or request token is mandatory.")
MISSING_CODE: Final = Reply(400, 195, "The code field is mandatory.")
NOT_FOUND: Final = Reply(400, 198, "OTP Request not found.")
FORBIDDEN: Final = Reply(403, 207, "Forbidden.")
NO_BODY: Final = Reply(400, 100, "Request body is missing or is not valid JSON.", "error_no_body")
NO_PHONE: Final = Reply(400, 110, "The phone_number field is mandatory.", "error_no_phone")
BAD_PHONE: Final = Reply(400, 117, "The phone_number is not valid.", "error_bad_phone")
UNAUTHORIZED: Final = Reply(401, 101, "Unauthorized.")
TOO_MANY: Final = Reply(429, 125, "Too many requests.")
FAILED: Final = Reply(500, 125, "Undefined error.", "error_failed")

OUTCOMES: Final[dict[Outcome, Reply]] = {
    "matched": Reply(200, 0, "success"),
    "mismatch": Reply(400, 199, "Wrong OTP code."),
    "expired": Reply(400, 197, "OTP Request expired."),
    "exhausted": Reply(400, 196, "Maximum amount of wrong attempts has been reached."),
    "used": NOT_FOUND,
    "unknown": NOT_FOUND,
    "throttled": TOO_MANY,
}

_BY_NUMBER: Final = {said.code: said for said in OUTCOMES.values()}

REFUSALS: Final[dict[Code, Reply]] = {
    "invalid_request": NO_BODY,
    "invalid_text": Reply(400, 100, "The text holds characters that cannot be sent."),
    "unauthorized": UNAUTHORIZED,
    "forbidden": FORBIDDEN,
    "not_found": Reply(404, 100, "There is nothing at this path."),
    "user_not_found": NOT_FOUND,
    "user_conflict": FORBIDDEN,
    "name_taken": FORBIDDEN,
    "enrollment_ended": FORBIDDEN,
    "enrollment_refused": FORBIDDEN,
    "wrong_check": FORBIDDEN,
    "reason_required": FORBIDDEN,
    "invalid_decision": FORBIDDEN,
    "already_decided": FORBIDDEN,
    "not_pending": FORBIDDEN,
    "not_decided": FORBIDDEN,
    "invalid_proof": FORBIDDEN,
    "use_nonce": FORBIDDEN,
    "device_revoked": FORBIDDEN,
    "device_pending": FORBIDDEN,
    "on_hold": TOO_MANY,
    "too_many_pending": TOO_MANY,
    "throttled": TOO_MANY,
    "rate_limited": TOO_MANY,
    "ip_not_allowed": FORBIDDEN,
    "invalid_destination": BAD_PHONE,
    "country_not_allowed": FORBIDDEN,
    "channel_not_allowed": FORBIDDEN,
    "not_a_mobile": BAD_PHONE,
    "no_route": FAILED,
    "no_credit": Reply(402, 104, "Not enough credit.", "error_no_credit"),
    "too_many_codes": TOO_MANY,
    "idempotency_conflict": FORBIDDEN,
    "too_large": Reply(413, 100, "Request body is too large."),
    "unsupported_media_type": NO_BODY,
    "method_not_allowed": Reply(405, 100, "Method not allowed."),
    "timeout": NO_BODY,
    "unavailable": Reply(503, 125, "Undefined error."),
    "internal": FAILED,
}


class OctopushFace:
    """Reads Octopush's credentials and says no in Octopush's words."""

    name = "octopush"

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    async def authenticate(self, request: web.Request, now: int) -> Caller | None:
        """The application of login and key, from their headers, else from Basic authorization."""
        login, key = request.headers.get("api-login"), request.headers.get("api-key")
        if not login or not key:
            login, key = _basic(request.headers.get("Authorization", ""))
        if not login or not key:
            return None
        caller = await self._domain.credentials.by_pair(
            "octopush", login.strip(), key.strip(), now, request[PEER]
        )
        if caller is not None:
            request[_BY] = caller
        return caller

    def refusal(self, request: web.Request, refused: RefusedError, _request_id: str) -> web.Response:
        """Number and words, as ``validate`` and its siblings document them."""
        response = _answer(request, REFUSALS[refused.code])
        if refused.retry_after is not None:
            response.headers["Retry-After"] = str(refused.retry_after)
        return response

    def routes(self, gate: Gate, router: web.UrlDispatcher) -> None:
        """Serve every path of this face."""
        public = "/v1/public"
        for method, path, handler in (
            ("POST", "service/otp/generate", self._generate),
            ("PUT", "service/otp/validate", self._validate),
            ("POST", "service/otp/validate", self._validate),
            ("POST", "sms-campaign/send", self._campaign),
            ("GET", "wallet/check-balance", self._balance),
            ("GET", "wallet/check-credits", self._credits),
        ):
            gate.add(router, method, f"{public}/{path}", handler, face=self, scope="codes")
        gate.add_rest(router, self, public)

    async def _generate(self, request: web.Request, call: Call) -> web.Response:
        sent = await _body(request)
        if not words.text(sent.get("phone_number")):
            return _answer(request, NO_PHONE)
        wished = words.channel(sent.get("channel"), switch(call.by, "channel"))
        if wished == "voice" and call.by.settings.get("no_voice"):
            return _answer(request, FORBIDDEN)
        draft = CodeDraft(
            destination=words.number(sent.get("phone_number")),
            shape=words.shape(sent, call.by),
            seconds=words.whole(
                sent.get("validity_period"), 3, 10_000_000, switch(call.by, "validity_period")
            ),
            tries=words.attempts(sent.get("max_wrong_attempts"), switch(call.by, "max_wrong_attempts")),
            ip=words.address(sent.get("recipient_ip")),
            channels=(wished,),
            text=words.template(sent.get("text")),
            sender=words.sender(sent.get("sender"), switch(call.by, "sender")),
            language=words.language(sent.get("voice_language"), switch(call.by, "voice_language")),
            gender=words.gender(sent.get("voice_gender"), switch(call.by, "voice_gender")),
        )
        try:
            issued = await self._domain.codes.issue(call.by, draft, call.now, ip=call.ip)
        except RefusedError as refused:
            if refused.code != "no_route" or wished == "sms":
                raise
            wished = "sms"  # a channel without transport is sent as a text message
            issued = await self._domain.codes.issue(call.by, words.as_sms(draft), call.now, ip=call.ip)
        kind = "voice" if wished == "voice" else "sms"
        return _answer(
            request,
            OUTCOMES["matched"]._replace(status=int(switch(call.by, "generate_status"))),
            ticket_number=_ticket(kind, issued.message_id or issued.id),
            otp_request_token=token_of(issued.id),
        )

    async def _validate(self, request: web.Request, call: Call) -> web.Response:
        sent = await _body(request)
        token, number = words.text(sent.get("otp_request_token")), words.text(sent.get("phone_number"))
        typed = words.text(sent.get("code"))
        if not token and not number:
            return _answer(request, MISSING_BOTH)
        if not typed:
            return _answer(request, MISSING_CODE)
        code_id = id_of(token) if token else None
        destination: Destination | None = None
        try:
            destination = words.number(number) if number else None
        except RefusedError:
            return _answer(request, NOT_FOUND)
        if token and code_id is None:
            return _answer(request, NOT_FOUND)
        checked = await self._domain.codes.check(
            call.by,
            typed,
            call.now,
            code_id=code_id,
            destination=destination,
            ip=words.address(sent.get("recipient_ip")),
        )
        if checked.outcome == "mismatch":
            return _answer(request, OUTCOMES["mismatch"], remaining_number_of_attempts=checked.left)
        said = OUTCOMES[checked.outcome]
        if checked.outcome == "used":
            said = _BY_NUMBER[int(switch(call.by, "used_code"))]
        return _answer(request, said)

    async def _campaign(self, request: web.Request, call: Call) -> web.Response:
        sent = await _body(request)
        recipients = sent.get("recipients")
        numbers = [
            words.number(item.get("phone_number") if isinstance(item, dict) else item)
            for item in (recipients if isinstance(recipients, list) else [])[:RECIPIENTS_MAX]
        ]
        text = words.plain(sent.get("text"))
        if not numbers:
            return _answer(request, NO_PHONE)
        if not text:
            return _answer(request, Reply(400, 110, "The text field is mandatory."))
        sender = words.sender(sent.get("sender"), switch(call.by, "sender"))
        tickets = [
            await self._domain.messages.send(
                call.by,
                MessageDraft(
                    to=to,
                    channels=("sms",),
                    texts={"sms": Text(text)},
                    expires_at=call.now + _LIFE_MS,
                    sender=sender,
                ),
                call.now,
                ip=call.ip,
            )
            for to in dict.fromkeys(numbers)
        ]
        price = call.by.price or 0
        return _answer(
            request,
            Reply(201, 0, "success"),
            sms_ticket=_ticket("sms", tickets[0].id),
            number_of_contacts=len(tickets),
            total_cost=price * len(tickets) / 10_000,
            number_of_sms_needed=len(tickets),
            residual_credit=await self._amount(call),
        )

    async def _balance(self, _request: web.Request, call: Call) -> web.Response:
        return _plain({"amount": await self._amount(call), "unit": switch(call.by, "unit")})

    async def _credits(self, request: web.Request, call: Call) -> web.Response:
        price = call.by.price or 0
        amount = await self._amount(call)
        count = int(amount * 10_000 // price) if price else int(amount)
        asked = as_list((await params.read(request)).get("country_codes"))
        codes = [text for code in asked if len(text := words.text(code)) == 2 and text.isalpha()] or ["FR"]
        voice = 0 if call.by.settings.get("no_voice") else count
        return _plain(
            {
                code.upper(): {"premium_sms": count, "vocal_sms": voice, "low_cost_sms": count, "hlr": 0}
                for code in codes[:250]
            }
        )

    async def _amount(self, call: Call) -> float:
        balance = await self._domain.credentials.balance(call.by)
        return (switch(call.by, "unlimited_balance") * 10_000 if balance is None else balance) / 10_000


async def _body(request: web.Request) -> dict[str, Any]:
    """The parameters; raises ``invalid_request`` where there is no object at all."""
    sent = await params.read(request)
    if not sent and not request.rel_url.raw_query_string:
        raise RefusedError("invalid_request", "The body is no JSON object.")
    return sent


def token_of(code_id: str) -> str:
    """The request token of a code: ``otp_`` and 24 characters; it holds the id, so nothing has to be kept."""
    value = int(code_id.replace("-", ""), 16)
    # The six constant bits of a UUID version 7 are left out: what is left fits 24 characters.
    value = (value >> 80) << 74 | ((value >> 64) & 0xFFF) << 62 | (value & ((1 << 62) - 1))
    text = ""
    while value:
        value, rest = divmod(value, 36)
        text = _DIGITS36[rest] + text
    return "otp_" + text.rjust(_TOKEN_LENGTH, "0")


def id_of(token: str) -> str | None:
    """The id of the code that a request token names, or None for what is no token."""
    digits = token.removeprefix("otp_")
    if len(digits) != _TOKEN_LENGTH or not set(digits) <= set(_DIGITS36):
        return None
    value = int(digits, 36)
    if value >> 122:
        return None
    value = (
        (value >> 74) << 80
        | 0x7 << 76
        | ((value >> 62) & 0xFFF) << 64
        | 0b10 << 62
        | (value & ((1 << 62) - 1))
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _ticket(kind: str, message_id: str) -> str:
    return kind + message_id.replace("-", "")[-12:]


def _basic(header: str) -> tuple[str | None, str | None]:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        login, colon, key = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    return (login, key) if colon else (None, None)


def _answer(request: web.Request, said: Reply, **more: object) -> web.Response:
    by = request.get(_BY)
    code = said.code if by is None or said.switch is None else switch(by, said.switch)
    return _plain({"code": code, "message": said.message, **more}, said.status)


def _plain(told: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=json.dumps(told, separators=(",", ":")).encode(), headers=HEADERS)
