"""Phone verifications and phone information on the Authy face.

POST phones/verification/start      via, country_code, phone_number, code_length, locale, custom_code, custom_message
GET  phones/verification/check      country_code, phone_number, verification_code
GET  phones/verification/status     uuid, or country_code and phone_number
GET  phones/info                    country_code, phone_number

Quirks: within ten minutes the same code is sent again; the members of a bad parameter's message are in Authy's words
(``Invalid parameter: country_code - Parameter is required``); ``custom_message`` has ``{{code}}`` where the code goes; one
client sends the parameters of a GET in its body.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from placet_server.domain.destinations import Destination
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.shapes import Shape
from placet_server.domain.values import Caller
from placet_server.faces import params
from placet_server.faces.authyapp import AUTHS, CALLS, SMS
from placet_server.faces.authynumbers import info_text, number_of, spelled, started_text
from placet_server.faces.authyparts import (
    CHANNELS_OFF,
    PROTECTED,
    Row,
    grouped,
    integer,
    parameter,
    required,
    wanted_language,
)
from placet_server.faces.authyreplies import (
    PHONE_CHECKS,
    UNKNOWN_LOCALE,
    Reply,
    disabled,
    error,
    ok,
    refused,
)
from placet_server.faces.authysandbox import Sandbox
from placet_server.faces.switches import switch
from placet_server.ports import Channel, PhoneInfo
from placet_server.web.gate import Call

SECONDS: Final = 600
TEXT_MAX: Final = 300
TYPES: Final = {"mobile": "cellphone", "landline": "landline", "voip": "voip"}
"""Authy's words for the types of ranges; for ``unknown`` the switch ``unclear_range`` has them."""
_CODE: Final = re.compile(r"[A-Za-z0-9]{4,10}", re.ASCII)
_PLACE: Final = re.compile(r"\{\{\s*code\s*\}\}")
_NOT_CUSTOM: Final = "Phone verification couldn't be created: custom codes are not allowed."
_NO_TEXT: Final = "Phone verification couldn't be created: custom messages are not allowed."


class PhoneRoutes:
    """Verifies telephone numbers, and tells what their ranges are."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    def rows(self) -> tuple[Row, ...]:
        """The routes of this part."""
        sandbox = Sandbox(self._domain)
        verification = f"{PROTECTED}/phones/verification"
        return (
            Row("POST", f"{verification}/start", self._start, "codes", sandbox.start),
            Row("GET", f"{verification}/check", self._check, "codes", sandbox.check),
            Row("GET", f"{verification}/status", self._status, "codes", sandbox.status),
            Row("GET", f"{PROTECTED}/phones/info", self._info, "codes", sandbox.info),
        )

    async def _start(self, request: web.Request, call: Call) -> web.Response:
        sent = await params.read(request)
        number = number_of(sent)
        channel: Channel = "voice" if parameter(sent, "via").lower() == "call" else "sms"
        length = integer("code_length", text, 4, 10) if (text := parameter(sent, "code_length")) else 0
        value, template = parameter(sent, "custom_code"), parameter(sent, "custom_message", TEXT_MAX)
        locale = parameter(sent, "locale")
        if value and not switch(call.by, "custom_code"):
            return disabled(request, call.by, "60021", _NOT_CUSTOM)
        if template and not switch(call.by, "custom_message"):
            return disabled(request, call.by, "60091", _NO_TEXT)
        if value and not _CODE.fullmatch(value):
            raise RefusedError("invalid_request", "custom_code - has 4 to 10 letters and digits")
        if template and not _PLACE.search(template):
            raise RefusedError("invalid_request", "custom_message - has no {{code}}")
        language = wanted_language(call.by, locale)
        if language is None:
            return error(request, UNKNOWN_LOCALE)
        try:
            started = await self._domain.phone_verifications.start(
                call.by,
                number,
                call.now,
                channel=channel,
                shape=Shape(length or switch(call.by, "verification_length")),
                value=value or None,
                seconds=SECONDS,
                text=_PLACE.sub("{code}", template) or None,
                language=language,
                ip=call.ip,
            )
        except RefusedError as why:
            if why.code in {"no_route", "channel_not_allowed"}:
                return disabled(request, call.by, *CHANNELS_OFF[channel])
            raise
        call.note(
            subject=started.id,
            channel=channel,
            length=len(started.code),
            seconds=started.seconds_left,
            line=started.info.type,
            repeated=started.repeated,
        )
        self._domain.usage.add(call.by.application.id, CALLS if channel == "voice" else SMS, call.now)
        return ok(
            request,
            carrier=started.info.carrier or "Unknown",
            is_cellphone=_type(call.by, started.info) == "cellphone",
            is_ported=False,
            message=started_text(call.by, number, channel, locale),
            seconds_to_expire=started.seconds_left,
            uuid=started.id,
            success=True,
        )

    async def _check(self, request: web.Request, call: Call) -> web.Response:
        sent = await params.read(request)
        number, value = number_of(sent), required(sent, "verification_code")
        checked = await self._domain.phone_verifications.check(call.by, number, value, call.now)
        call.note(subject=checked.code_id)
        said = PHONE_CHECKS[checked.outcome]
        if said.status == 200:
            self._domain.usage.add(call.by.application.id, AUTHS, call.now)
            return ok(request, message=said.message, success=True)
        if said.code == "60023":
            said = said._replace(message=f"No pending verifications for {_pending(call.by, number)} found.")
        if said.status == 429:
            return refused(request, call.by, RefusedError("throttled", ""))
        return error(request, said)

    async def _status(self, request: web.Request, call: Call) -> web.Response:
        sent = await params.read(request)
        uuid = parameter(sent, "uuid")
        verifications = self._domain.phone_verifications
        try:
            if uuid:
                found = await verifications.status(call.by, call.now, id=uuid)
            else:
                found = await verifications.status(call.by, call.now, destination=number_of(sent))
        except RefusedError as why:
            if why.code != "not_found":
                raise
            return error(request, Reply(404, "60023", "Phone verification not found"))
        return ok(
            request,
            message="Phone Verification status.",
            status=found.status,
            seconds_to_expire=found.seconds_left,
            success=True,
        )

    async def _info(self, request: web.Request, call: Call) -> web.Response:
        number = number_of(await params.read(request))
        info = self._domain.phone_verifications.info(number)
        return ok(
            request,
            message=info_text(call.now),
            type=_type(call.by, info),
            provider=info.carrier or "Unknown",
            ported=False,
            success=True,
        )


def _type(caller: Caller, info: PhoneInfo) -> str:
    """What a number is; a client that wants a cellphone would turn away a whole continent whose ranges do not tell."""
    word: str = TYPES.get(info.type) or switch(caller, "unclear_range")
    return word


def _pending(caller: Caller, number: Destination) -> str:
    return spelled(number) if switch(caller, "no_pending") == "prefixed" else grouped(number.national)
