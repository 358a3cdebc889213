"""``/v1/…/enrollments`` and devices: how a person's device joins, and how it leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Literal

from aiohttp import web
from msgspec import Meta, Struct

from placet_protocol.approval import NAME_MAX
from placet_server.domain.services import Domain
from placet_server.domain.values import Device, Enrollment
from placet_server.faces import Face
from placet_server.ports import Bus, Clock, Step
from placet_server.web.gate import Call, Doc, Gate
from placet_server.web.longpoll import poll
from placet_server.web.native_users import TFA_ID
from placet_server.web.once import HEADER, Once
from placet_server.web.qr import QrForm, picture
from placet_server.web.wire import UUID, WaitQuery, json_body, no_content, query, reply, rfc3339, shown

REASON_MAX: Final = 256
_MOVING: Final = frozenset({"open", "redeemed"})


class EnrollmentBody(Struct, forbid_unknown_fields=True):
    """An invitation for one device; ``reason`` is needed for a further device and needs scope devices:admin."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_MAX)] | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=REASON_MAX)] | None = None
    qr: QrForm = "none"


class EnrollmentAnswer(Struct, omit_defaults=True):
    """An invitation; ``uri`` and ``qr`` hold the one-time token and are in the answer that made it only."""

    id: str
    status: Literal["open", "redeemed", "confirmed", "void", "expired"]
    created_at: str
    expires_at: str
    device: str | None = None
    uri: str | None = None
    qr: str | None = None


class CheckBody(Struct, forbid_unknown_fields=True):
    """The six digits that the device shows."""

    check: Annotated[str, Meta(pattern="^[0-9]{6}$")]


class DeviceAnswer(Struct, omit_defaults=True):
    """A person's authenticator."""

    id: str
    name: str
    platform: str
    status: Literal["pending", "active", "revoked"]
    created_at: str
    revoked_at: str | None = None


class DevicesAnswer(Struct):
    """All devices of a user."""

    items: list[DeviceAnswer]


def mount(gate: Gate, router: web.UrlDispatcher, face: Face, domain: Domain, clock: Clock, bus: Bus) -> None:
    """Add the routes of enrolments and devices."""
    enrollments, devices = domain.enrollments, domain.devices
    once = Once(domain.idempotency)

    async def create(request: web.Request, call: Call) -> web.Response:
        wanted = await json_body(request, EnrollmentBody, optional=True)
        user = await domain.users.by_tfa_id(call.by.org, int(request.match_info["tfa_id"]))
        name = shown("name", wanted.name, NAME_MAX) if wanted.name else None
        reason = shown("reason", wanted.reason, REASON_MAX) if wanted.reason else None

        def make(keep: Callable[[Enrollment], Step] | None) -> Awaitable[Enrollment]:
            return enrollments.open(call.by, user, name, reason, call.now, keep)

        async def shown_once(made: Enrollment) -> EnrollmentAnswer:
            answer = _answer(made)
            answer.uri = made.uri
            answer.qr = await picture(made.uri or "", wanted.qr)
            return answer

        return await once.answer(request, call, wanted, make, _answer, shown_once)

    async def get(request: web.Request, call: Call) -> web.Response:
        wanted = query(request, WaitQuery)
        org, enrollment_id = call.by.org, request.match_info["id"]
        found = await enrollments.status(org, enrollment_id, call.now)
        before = found.status
        if wanted.wait and before in _MOVING:
            found = await poll(
                gate,
                clock,
                bus,
                "enrollment",
                enrollment_id,
                call.now + wanted.wait * 1000,
                lambda now: enrollments.status(org, enrollment_id, now),
                lambda value: value.status != before,
            )
        return reply(200, _answer(found))

    async def confirm(request: web.Request, call: Call) -> web.Response:
        wanted = await json_body(request, CheckBody)
        found = await enrollments.confirm(call.by.org, request.match_info["id"], wanted.check, call.now)
        return reply(200, _answer(found))

    async def of_user(request: web.Request, call: Call) -> web.Response:
        user = await domain.users.by_tfa_id(call.by.org, int(request.match_info["tfa_id"]))
        return reply(200, DevicesAnswer([_device(device) for device in await devices.of_user(user.id)]))

    async def revoke(request: web.Request, call: Call) -> web.Response:
        await devices.revoke(call.by.org, request.match_info["id"], "application", call.now)
        return no_content()

    gate.add(
        router,
        "POST",
        f"/v1/users/{TFA_ID}/enrollments",
        create,
        face=face,
        scope="users",
        doc=Doc(
            "Invite a device: a URI to be shown as QR code",
            EnrollmentAnswer,
            201,
            body=EnrollmentBody,
            refusals=("user_not_found", "reason_required", "invalid_text", "idempotency_conflict"),
            headers=(HEADER,),
        ),
    )
    gate.add(
        router,
        "GET",
        f"/v1/enrollments/{UUID}",
        get,
        face=face,
        scope="users",
        doc=Doc(
            "How far an enrolment is; `wait` answers at the next change",
            EnrollmentAnswer,
            query=WaitQuery,
            refusals=("not_found",),
        ),
    )
    gate.add(
        router,
        "POST",
        f"/v1/enrollments/{UUID}/confirm",
        confirm,
        face=face,
        scope="users",
        doc=Doc(
            "Confirm the six digits that the device shows",
            EnrollmentAnswer,
            body=CheckBody,
            refusals=("not_found", "wrong_check", "enrollment_ended", "device_pending"),
        ),
    )
    gate.add(
        router,
        "GET",
        f"/v1/users/{TFA_ID}/devices",
        of_user,
        face=face,
        scope="users",
        doc=Doc("Devices of a user", DevicesAnswer, refusals=("user_not_found",)),
    )
    gate.add(
        router,
        "DELETE",
        f"/v1/devices/{UUID}",
        revoke,
        face=face,
        scope="users",
        doc=Doc("Revoke a device at once", status=204, refusals=("not_found",)),
    )


def _answer(enrollment: Enrollment) -> EnrollmentAnswer:
    return EnrollmentAnswer(
        enrollment.id,
        enrollment.status,
        rfc3339(enrollment.created_at),
        rfc3339(enrollment.expires_at),
        enrollment.device,
    )


def _device(device: Device) -> DeviceAnswer:
    return DeviceAnswer(
        device.id,
        device.name,
        device.platform,
        device.status,
        rfc3339(device.created_at),
        None if device.revoked_at is None else rfc3339(device.revoked_at),
    )
