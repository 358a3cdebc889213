"""``/v1/approval_requests``: asking a person, learning the answer, keeping the proof."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from placet_server.domain.services import Domain
from placet_server.domain.values import FINAL_STATES, Created
from placet_server.faces import Face
from placet_server.ports import Bus, Clock, Step
from placet_server.web.gate import Call, Doc, Gate
from placet_server.web.longpoll import poll
from placet_server.web.native_questions import (
    ApprovalAnswer,
    ApprovalBody,
    ApprovalQuery,
    ApprovalsPage,
    ApprovalsQuery,
    CreatedAnswer,
    ReceiptAnswer,
    answer_of,
    created_of,
    draft_of,
    state_of,
)
from placet_server.web.once import HEADER, Once
from placet_server.web.wire import UUID, json_body, milliseconds, query, reply


class ApprovalRoutes:
    """The routes of approval requests."""

    def __init__(self, gate: Gate, domain: Domain, clock: Clock, bus: Bus) -> None:
        self._gate = gate
        self._applications = domain.applications
        self._users = domain.users
        self._approvals = domain.approvals
        self._receipts = domain.receipts
        self._clock = clock
        self._bus = bus
        self._once = Once(domain.idempotency)

    async def create(self, request: web.Request, call: Call) -> web.Response:
        """Ask a person."""
        wanted = await json_body(request, ApprovalBody)
        caller = call.by
        draft = draft_of(wanted, caller.application)
        if draft.callback_url is not None:
            self._applications.check_callable(draft.callback_url)
        call.note(user=wanted.tfa_id)
        user = await self._users.ref(caller.org, wanted.tfa_id)
        if HEADER not in request.headers:
            created = await self._approvals.create(caller, user, draft, call.now)
            call.note(subject=created.approval.id)
            return reply(201, created_of(created))

        def make(keep: Callable[[Created], Step] | None) -> Awaitable[Created]:
            return self._approvals.create(caller, user, draft, call.now, keep)

        async def shown_once(made: Created) -> CreatedAnswer:
            return created_of(made)

        return await self._once.answer(request, call, wanted, make, created_of, shown_once)

    async def get(self, request: web.Request, call: Call) -> web.Response:
        """How a request stands."""
        application, approval_id = call.by.application.id, request.match_info["id"]
        if not request.rel_url.raw_query_string:
            return reply(200, state_of(await self._approvals.state(application, approval_id, call.now)))
        wanted = query(request, ApprovalQuery)
        state = await poll(
            self._gate,
            self._clock,
            self._bus,
            "approval",
            approval_id,
            call.now + wanted.wait * 1000,
            lambda now: self._approvals.state(application, approval_id, now),
            lambda state: state.status in FINAL_STATES,
        )
        if wanted.details:
            return reply(
                200, answer_of(await self._approvals.get(application, approval_id, self._clock.now()))
            )
        return reply(200, state_of(state))

    async def listing(self, request: web.Request, call: Call) -> web.Response:
        """A page of requests."""
        wanted = query(request, ApprovalsQuery)
        page = await self._approvals.page(
            call.by.application.id,
            call.now,
            status=wanted.status,
            tfa_id=wanted.tfa_id,
            created_from=None if wanted.created_from is None else milliseconds(wanted.created_from),
            created_to=None if wanted.created_to is None else milliseconds(wanted.created_to),
            after=wanted.after,
            limit=wanted.limit,
        )
        return reply(200, ApprovalsPage([answer_of(approval) for approval in page.items], page.next))

    async def cancel(self, request: web.Request, call: Call) -> web.Response:
        """Take a question back."""
        found = await self._approvals.cancel(call.by.application.id, request.match_info["id"], call.now)
        return reply(200, answer_of(found))

    async def receipt(self, request: web.Request, call: Call) -> web.Response:
        """The proof of a decision."""
        signed = await self._receipts.receipt(call.by.application.id, request.match_info["id"])
        return reply(200, ReceiptAnswer(signed))


def mount(gate: Gate, router: web.UrlDispatcher, face: Face, domain: Domain, clock: Clock, bus: Bus) -> None:
    """Add the routes of approval requests."""
    routes = ApprovalRoutes(gate, domain, clock, bus)
    gate.add(
        router,
        "POST",
        "/v1/approval_requests",
        routes.create,
        face=face,
        scope="approvals",
        doc=Doc(
            "Ask a person",
            CreatedAnswer,
            201,
            body=ApprovalBody,
            refusals=(
                "invalid_text",
                "user_not_found",
                "on_hold",
                "too_many_pending",
                "idempotency_conflict",
            ),
            headers=(HEADER,),
        ),
    )
    gate.add(
        router,
        "GET",
        "/v1/approval_requests",
        routes.listing,
        face=face,
        scope="approvals",
        doc=Doc("List approval requests of this application", ApprovalsPage, query=ApprovalsQuery),
    )
    gate.add(
        router,
        "GET",
        f"/v1/approval_requests/{UUID}",
        routes.get,
        face=face,
        scope="approvals",
        doc=Doc(
            "How an approval request stands; `wait` answers when it has ended, `details=true` tells what was asked",
            ApprovalAnswer,
            query=ApprovalQuery,
            refusals=("not_found",),
        ),
    )
    gate.add(
        router,
        "POST",
        f"/v1/approval_requests/{UUID}/cancel",
        routes.cancel,
        face=face,
        scope="approvals",
        doc=Doc("Take a question back", ApprovalAnswer, refusals=("not_found", "not_pending")),
    )
    gate.add(
        router,
        "GET",
        f"/v1/approval_requests/{UUID}/receipt",
        routes.receipt,
        face=face,
        scope="approvals",
        doc=Doc("The signed proof of the decision", ReceiptAnswer, refusals=("not_found", "not_decided")),
    )
