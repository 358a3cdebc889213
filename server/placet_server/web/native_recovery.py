"""``/v1/users/{tfa_id}/recovery_codes``: ten codes on paper for the day when the device is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct

from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.faces import Face
from placet_server.ports import Step
from placet_server.web.gate import Call, Doc, Gate
from placet_server.web.native_users import TFA_ID
from placet_server.web.once import HEADER, Once
from placet_server.web.wire import json_body, reply


class RecoveryCodesAnswer(Struct, omit_defaults=True):
    """How many unused codes there are; ``codes`` are in the answer that made them only."""

    left: int
    codes: tuple[str, ...] | None = None


class RecoveryBody(Struct, forbid_unknown_fields=True):
    """A recovery code as the person typed it; letter case, spaces and dashes make no difference."""

    code: Annotated[str, Meta(min_length=1, max_length=64, description="What the person typed.")]


class RecoveryAnswer(Struct):
    """Whether this was an unused code of the user. It is spent by this answer."""

    matched: bool
    outcome: Literal["matched", "mismatch", "used", "no_codes"]
    left: int


def mount(gate: Gate, router: web.UrlDispatcher, face: Face, domain: Domain) -> None:
    """Add the routes of recovery codes."""
    users, recovery = domain.users, domain.recovery_codes
    once = Once(domain.idempotency)

    async def make(request: web.Request, call: Call) -> web.Response:
        user = await users.ref(call.by.org, int(request.match_info["tfa_id"]))

        def made(keep: Callable[[tuple[str, ...]], Step] | None) -> Awaitable[tuple[str, ...]]:
            return recovery.make(call.by, user, call.now, extra_guard=keep)

        async def shown_once(codes: tuple[str, ...]) -> RecoveryCodesAnswer:
            return RecoveryCodesAnswer(len(codes), codes)

        return await once.answer(
            request, call, None, made, lambda codes: RecoveryCodesAnswer(len(codes)), shown_once
        )

    async def left(request: web.Request, call: Call) -> web.Response:
        user = await users.ref(call.by.org, int(request.match_info["tfa_id"]))
        return reply(200, RecoveryCodesAnswer(await recovery.left(user)))

    async def verify(request: web.Request, call: Call) -> web.Response:
        wanted = await json_body(request, RecoveryBody)
        user = await users.ref(call.by.org, int(request.match_info["tfa_id"]))
        outcome = await recovery.spend(call.by, user, wanted.code, call.now)
        call.note(code=outcome)
        if outcome == "throttled":
            wait = await recovery.wait(call.by, user, call.now)
            raise RefusedError("throttled", "Too many wrong codes for this user.", retry_after=wait)
        said = "no_codes" if outcome == "no_token" else outcome
        return reply(200, RecoveryAnswer(outcome == "matched", said, await recovery.left(user)))

    gate.add(
        router,
        "POST",
        f"/v1/users/{TFA_ID}/recovery_codes/verify",
        verify,
        face=face,
        scope="codes",
        doc=Doc(
            "Check a recovery code; an unused one is spent",
            RecoveryAnswer,
            body=RecoveryBody,
            refusals=("user_not_found", "throttled"),
        ),
    )
    gate.add(
        router,
        "POST",
        f"/v1/users/{TFA_ID}/recovery_codes",
        make,
        face=face,
        scope="codes",
        doc=Doc(
            "Make ten recovery codes; earlier ones end",
            RecoveryCodesAnswer,
            201,
            refusals=("user_not_found", "idempotency_conflict"),
            headers=(HEADER,),
        ),
    )
    gate.add(
        router,
        "GET",
        f"/v1/users/{TFA_ID}/recovery_codes",
        left,
        face=face,
        scope="codes",
        doc=Doc("How many recovery codes a user has left", RecoveryCodesAnswer, refusals=("user_not_found",)),
    )
