"""``/v1/codes``: one-time codes that the server makes, a channel carries, and a person types."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from placet_server.domain.destinations import Destination
from placet_server.domain.onecode import Issued
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.faces import Face
from placet_server.ports import Step
from placet_server.web.gate import Call, Doc, Gate
from placet_server.web.native_codeforms import (
    SENDING,
    CheckAnswer,
    CheckBody,
    CheckOfBody,
    CodeAnswer,
    CodeBody,
    NewCodeAnswer,
    answer_of,
    checked,
    draft_of,
    issued_of,
)
from placet_server.web.native_recipients import ip_of, purpose_of
from placet_server.web.once import HEADER, Once
from placet_server.web.wire import UUID, json_body, reply


class CodeRoutes:
    """The routes of one-time codes."""

    def __init__(self, domain: Domain) -> None:
        self._users = domain.users
        self._codes = domain.codes
        self._once = Once(domain.idempotency)

    async def issue(self, request: web.Request, call: Call) -> web.Response:
        """Make a code and send it, or hand it out."""
        wanted = await json_body(request, CodeBody)
        by = call.by
        to = wanted.destination() if wanted.deliver else wanted.perhaps()
        user = None if wanted.tfa_id is None else await self._users.by_tfa_id(by.org, wanted.tfa_id)
        draft = draft_of(wanted, by.application.policies, to, user)
        _about(call, to, wanted.tfa_id)

        async def make(keep: Callable[[Issued], Step] | None) -> Issued:
            made = await self._codes.issue(by, draft, call.now, ip=draft.ip or "", extra_guard=keep)
            call.note(subject=made.id)
            if made.seconds != (draft.seconds or made.seconds) or made.tries != (draft.tries or made.tries):
                call.note(seconds_to_expire=made.seconds, tries=made.tries)  # less than was asked
            return made

        async def shown_once(made: Issued) -> NewCodeAnswer:
            return issued_of(made, draft, call.now, secret=not wanted.deliver)

        if HEADER not in request.headers:
            return reply(201, await shown_once(await make(None)))
        return await self._once.answer(
            request, call, wanted, make, lambda made: issued_of(made, draft, call.now), shown_once
        )

    async def get(self, request: web.Request, call: Call) -> web.Response:
        """How a code stands."""
        return reply(200, answer_of(await self._codes.get(call.by, request.match_info["id"], call.now)))

    async def check(self, request: web.Request, call: Call) -> web.Response:
        """Whether this is the code of this id."""
        wanted = await json_body(request, CheckBody)
        outcome = await self._codes.check(
            call.by,
            wanted.code,
            call.now,
            code_id=request.match_info["id"],
            purpose=purpose_of(wanted.purpose),
            ip=ip_of(wanted.recipient_ip),
        )
        if outcome.outcome == "unknown":
            raise RefusedError("not_found", "There is no such code.")
        return checked(outcome, call)

    async def check_newest(self, request: web.Request, call: Call) -> web.Response:
        """Whether this is the newest code that went to somebody."""
        wanted = await json_body(request, CheckOfBody)
        to = wanted.destination()
        user = None if wanted.tfa_id is None else await self._users.ref(call.by.org, wanted.tfa_id)
        _about(call, to, wanted.tfa_id)
        outcome = await self._codes.check(
            call.by,
            wanted.code,
            call.now,
            destination=to,
            user=user,
            purpose=purpose_of(wanted.purpose),
            ip=ip_of(wanted.recipient_ip),
        )
        return checked(outcome, call)

    async def resend(self, request: web.Request, call: Call) -> web.Response:
        """Send a new code in place of this one."""
        made = await self._codes.resend(call.by, request.match_info["id"], call.now)
        return reply(201, answer_of(await self._codes.get(call.by, made.id, call.now)))

    async def cancel(self, request: web.Request, call: Call) -> web.Response:
        """End a code."""
        return reply(200, answer_of(await self._codes.cancel(call.by, request.match_info["id"], call.now)))


def mount(gate: Gate, router: web.UrlDispatcher, face: Face, domain: Domain) -> None:
    """Add the routes of one-time codes."""
    routes = CodeRoutes(domain)
    gate.add(
        router,
        "POST",
        "/v1/codes",
        routes.issue,
        face=face,
        scope="codes",
        doc=Doc(
            "Make a code and send it by a channel; with `deliver` false, hand it out",
            NewCodeAnswer,
            201,
            body=CodeBody,
            refusals=("user_not_found", *SENDING, "idempotency_conflict"),
            headers=(HEADER,),
        ),
    )
    gate.add(
        router,
        "POST",
        f"/v1/codes/{UUID}/check",
        routes.check,
        face=face,
        scope="codes",
        doc=Doc(
            "Check what the person typed; a right code is spent",
            CheckAnswer,
            body=CheckBody,
            refusals=("not_found", "throttled"),
        ),
    )
    gate.add(
        router,
        "POST",
        "/v1/codes/check",
        routes.check_newest,
        face=face,
        scope="codes",
        doc=Doc(
            "Check what the person typed against the newest code that went to them",
            CheckAnswer,
            body=CheckOfBody,
            refusals=("user_not_found", "invalid_destination", "throttled"),
        ),
    )
    gate.add(
        router,
        "GET",
        f"/v1/codes/{UUID}",
        routes.get,
        face=face,
        scope="codes",
        doc=Doc("How a code stands, without the code", CodeAnswer, refusals=("not_found",)),
    )
    gate.add(
        router,
        "POST",
        f"/v1/codes/{UUID}/resend",
        routes.resend,
        face=face,
        scope="codes",
        doc=Doc(
            "Send a new code in place of this one, which ends; 30 seconds after the last at the earliest",
            CodeAnswer,
            201,
            refusals=("not_found", "not_pending", *SENDING),
        ),
    )
    gate.add(
        router,
        "POST",
        f"/v1/codes/{UUID}/cancel",
        routes.cancel,
        face=face,
        scope="codes",
        doc=Doc("End a code", CodeAnswer, refusals=("not_found", "not_pending")),
    )


def _about(call: Call, to: Destination | None, tfa_id: int | None) -> None:
    if to is not None:
        call.note(destination=to.address)
    if tfa_id is not None:
        call.note(user=tfa_id)
