"""``/v1/phone_verifications``: does this person answer this number? Without a user, and with the type of the line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct

from placet_server.domain.destinations import masked
from placet_server.domain.onecode import RESTRICTED
from placet_server.domain.services import Domain
from placet_server.domain.shapes import Shape
from placet_server.domain.verifications import Started, VerificationStatus
from placet_server.faces import Face
from placet_server.ports import PhoneInfo, Step
from placet_server.web.gate import Call, Doc, Gate
from placet_server.web.native_codeforms import (
    SENDING,
    TEXT_MAX,
    CheckAnswer,
    Gender,
    Given,
    Language,
    Length,
    Seconds,
    Sender,
    Template,
    checked,
    sender_of,
)
from placet_server.web.native_recipients import Ip, NumberBody, Secret, ip_of
from placet_server.web.once import HEADER, Once
from placet_server.web.wire import UUID, json_body, reply, shown

PhoneChannel = Literal["sms", "voice", "whatsapp"]


class VerificationBody(NumberBody, forbid_unknown_fields=True, kw_only=True):
    """A number to verify. While a verification counts, the same number gets the same code again."""

    channel: PhoneChannel = "sms"
    length: Length | None = None
    code: Given | None = None
    seconds_to_expire: Seconds | None = None
    text: Template | None = None
    sender: Sender | None = None
    language: Language | None = None
    gender: Gender = "female"
    recipient_ip: Ip | None = None


class LineAnswer(Struct, omit_defaults=True):
    """What the range of a number tells: of its first owner, not of who has the number now."""

    type: Literal["mobile", "landline", "voip", "unknown"]
    carrier: str | None = None
    region: Annotated[str, Meta(description="ISO 3166.")] | None = None
    display: Annotated[str, Meta(description="The number as people write it internationally.")] | None = None


class VerificationAnswer(Struct, omit_defaults=True):
    """How a verification stands; ``repeated`` when the code of an earlier call was sent again."""

    id: str
    status: VerificationStatus
    destination: str
    seconds_to_expire: int
    restricted: bool
    tries_left: int | None = None
    message_id: str | None = None
    repeated: bool | None = None
    line: LineAnswer | None = None


class CheckOfVerificationBody(Struct, forbid_unknown_fields=True):
    """What the person typed."""

    code: Secret


class CheckOfNumberBody(NumberBody, forbid_unknown_fields=True, kw_only=True):
    """What the person typed, and the number to which the code went."""

    code: Secret


class VerificationRoutes:
    """The routes of phone verifications."""

    def __init__(self, domain: Domain) -> None:
        self._verifications = domain.phone_verifications
        self._once = Once(domain.idempotency)

    async def start(self, request: web.Request, call: Call) -> web.Response:
        """Send a code to a number."""
        wanted = await json_body(request, VerificationBody)
        to = wanted.destination()
        call.note(destination=to.address)
        text = None if wanted.text is None else shown("text", wanted.text, TEXT_MAX, newline=True)
        sender = sender_of(wanted.sender, (wanted.channel,))
        ip = ip_of(wanted.recipient_ip) or ""

        async def make(keep: Callable[[Started], Step] | None) -> Started:
            made = await self._verifications.start(
                call.by,
                to,
                call.now,
                channel=wanted.channel,
                shape=None if wanted.length is None else Shape(wanted.length),
                value=wanted.code,
                seconds=wanted.seconds_to_expire,
                text=text,
                sender=sender,
                language=wanted.language,
                gender=wanted.gender,
                ip=ip,
                extra_guard=keep,
            )
            call.note(subject=made.id)
            return made

        def answer(made: Started) -> VerificationAnswer:
            return VerificationAnswer(
                made.id,
                "pending",
                masked(to),
                made.seconds_left,
                wanted.channel in RESTRICTED,
                message_id=made.message_id,
                repeated=made.repeated,
                line=_line(made.info),
            )

        async def shown_once(made: Started) -> VerificationAnswer:
            return answer(made)

        return await self._once.answer(request, call, wanted, make, answer, shown_once)

    async def get(self, request: web.Request, call: Call) -> web.Response:
        """How a verification stands."""
        found = await self._verifications.status(call.by, call.now, id=request.match_info["id"])
        return reply(
            200,
            VerificationAnswer(
                found.id,
                found.status,
                found.destination,
                found.seconds_left,
                not RESTRICTED.isdisjoint(found.channels),
                tries_left=found.left,
                line=_line(found.info),
            ),
        )

    async def check(self, request: web.Request, call: Call) -> web.Response:
        """Whether this is the code of this verification."""
        wanted = await json_body(request, CheckOfVerificationBody)
        found = await self._verifications.status(call.by, call.now, id=request.match_info["id"])
        return checked(
            await self._verifications.check(call.by, None, wanted.code, call.now, id=found.id), call
        )

    async def check_number(self, request: web.Request, call: Call) -> web.Response:
        """Whether this is the code that went to a number."""
        wanted = await json_body(request, CheckOfNumberBody)
        to = wanted.destination()
        call.note(destination=to.address)
        return checked(await self._verifications.check(call.by, to, wanted.code, call.now), call)


def mount(gate: Gate, router: web.UrlDispatcher, face: Face, domain: Domain) -> None:
    """Add the routes of phone verifications."""
    routes = VerificationRoutes(domain)
    gate.add(
        router,
        "POST",
        "/v1/phone_verifications",
        routes.start,
        face=face,
        scope="codes",
        doc=Doc(
            "Send a code to a telephone number to see whether its person answers",
            VerificationAnswer,
            201,
            body=VerificationBody,
            refusals=(*SENDING, "idempotency_conflict"),
            headers=(HEADER,),
        ),
    )
    gate.add(
        router,
        "POST",
        f"/v1/phone_verifications/{UUID}/check",
        routes.check,
        face=face,
        scope="codes",
        doc=Doc(
            "Check what the person typed; a right code verifies the number",
            CheckAnswer,
            body=CheckOfVerificationBody,
            refusals=("not_found", "throttled"),
        ),
    )
    gate.add(
        router,
        "POST",
        "/v1/phone_verifications/check",
        routes.check_number,
        face=face,
        scope="codes",
        doc=Doc(
            "Check what the person typed against the newest verification of a number",
            CheckAnswer,
            body=CheckOfNumberBody,
            refusals=("invalid_destination", "throttled"),
        ),
    )
    gate.add(
        router,
        "GET",
        f"/v1/phone_verifications/{UUID}",
        routes.get,
        face=face,
        scope="codes",
        doc=Doc(
            "How a verification stands, and what the number tells",
            VerificationAnswer,
            refusals=("not_found",),
        ),
    )


def _line(info: PhoneInfo) -> LineAnswer:
    return LineAnswer(info.type, info.carrier or None, info.region or None, info.display or None)
