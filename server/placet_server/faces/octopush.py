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
last code sent to the number counts and there is no falling back to an older one; with both the token decides and the
number must be its own, else 198; a used code is 198.

``octopushwords`` understands parameters, ``octopushreplies`` holds what is said, ``octopushcampaign`` what stands beside
the codes.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from aiohttp import web

from placet_server.domain.codes import CodeDraft
from placet_server.domain.destinations import Destination
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import Caller
from placet_server.faces import octopushwords as words
from placet_server.faces import params
from placet_server.faces.octopushcampaign import Campaigns
from placet_server.faces.octopushreplies import (
    BY_NUMBER,
    FORBIDDEN,
    MISSING_BOTH,
    MISSING_CODE,
    NO_PHONE,
    NOT_FOUND,
    OUTCOMES,
    REFUSALS,
    SUCCESS,
    answer,
    number_of,
    plain,
)
from placet_server.faces.paths import any_case
from placet_server.faces.switches import switch
from placet_server.web.gate import Call, Gate
from placet_server.web.peer import PEER

_DIGITS36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_TOKEN_LENGTH: Final = 24
_BY: Final = web.RequestKey("octopush_caller", Caller)


class OctopushFace:
    """Reads Octopush's credentials and says no in Octopush's words."""

    name = "octopush"

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._campaigns = Campaigns(domain)

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
        said = REFUSALS[refused.code]
        told = {"code": number_of(request.get(_BY), said), "message": said.message}
        response = plain(told, said.status)
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
            ("POST", "sms-campaign/send", self._campaigns.send),
            ("GET", "wallet/check-balance", self._campaigns.balance),
            ("GET", "wallet/check-credits", self._campaigns.credits),
        ):
            # The usual spelling is a route of its own: it is found faster, and the log shows it as it is.
            whole = f"{public}/{path}"
            for spelled in (whole, any_case(path, public), any_case(whole)):
                gate.add(router, method, spelled, handler, face=self, scope="codes")
        gate.add_rest(router, self, public)

    async def _generate(self, request: web.Request, call: Call) -> web.Response:
        sent = await _body(request, single=words.SINGLE)
        if not words.text(sent.get("phone_number")):
            return answer(call, NO_PHONE)
        wished = words.channel(sent.get("channel"), switch(call.by, "channel"))
        if wished == "voice" and call.by.settings.get("no_voice"):
            return answer(call, FORBIDDEN)
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
        call.note(
            destination=draft.destination and draft.destination.address,
            subject=issued.id,
            channel=wished,
            length=len(issued.value),
            seconds=issued.seconds,
            tries=issued.tries,
        )
        kind = "voice" if wished == "voice" else "sms"
        return answer(
            call,
            SUCCESS._replace(status=int(switch(call.by, "generate_status"))),
            ticket_number=words.ticket(kind, issued.message_id or issued.id),
            otp_request_token=token_of(issued.id),
        )

    async def _validate(self, request: web.Request, call: Call) -> web.Response:
        sent = await _body(request)
        token, number = words.text(sent.get("otp_request_token")), words.text(sent.get("phone_number"))
        typed = words.text(sent.get("code"))
        if not token and not number:
            return answer(call, MISSING_BOTH)
        if not typed:
            return answer(call, MISSING_CODE)
        code_id = id_of(token) if token else None
        destination: Destination | None = None
        try:
            destination = words.number(number) if number else None
        except RefusedError:
            return answer(call, NOT_FOUND)
        if token and code_id is None:
            return answer(call, NOT_FOUND)
        checked = await self._domain.codes.check(
            call.by,
            typed,
            call.now,
            code_id=code_id,
            destination=destination,
            ip=words.address(sent.get("recipient_ip")),
        )
        call.note(
            destination=destination and destination.address, subject=checked.code_id, outcome=checked.outcome
        )
        if checked.outcome == "mismatch":
            return answer(call, OUTCOMES["mismatch"], remaining_number_of_attempts=checked.left)
        said = OUTCOMES[checked.outcome]
        if checked.outcome == "used":
            said = BY_NUMBER[int(switch(call.by, "used_code"))]
        return answer(call, said)


async def _body(request: web.Request, *, single: frozenset[str] | None = None) -> dict[str, Any]:
    """The parameters; raises ``invalid_request`` where none came at all."""
    if not request.body_exists and not request.rel_url.raw_query_string:
        raise RefusedError("invalid_request", "There is no body.")
    return await params.read(request, single=single)


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


def _basic(header: str) -> tuple[str | None, str | None]:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        login, colon, key = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    return (login, key) if colon else (None, None)
