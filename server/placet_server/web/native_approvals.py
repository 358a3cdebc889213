"""``/v1/approval_requests``: asking a person, learning the answer, keeping the proof."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from aiohttp import web
from msgspec import Meta, Struct

from placet_protocol.approval import FIELDS_MAX, HIDDEN_MAX, LABEL_MAX, MESSAGE_MAX, VALUE_MAX
from placet_server.domain.applications import check_url
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import (
    FINAL_STATES,
    Application,
    Approval,
    ApprovalDraft,
    ApprovalStatus,
    Created,
)
from placet_server.faces import Face
from placet_server.ports import Bus, Clock, Step
from placet_server.web.gate import Call, Doc, Gate
from placet_server.web.longpoll import poll
from placet_server.web.native_users import TfaId
from placet_server.web.once import HEADER, Once
from placet_server.web.wire import (
    UUID,
    After,
    Limit,
    WaitQuery,
    encode,
    json_body,
    milliseconds,
    query,
    reply,
    rfc3339,
    shown,
)

AGENT_MAX: Final = 256
PLACE_MAX: Final = 64
Url = Annotated[str, Meta(min_length=8, max_length=2048)]
Label = Annotated[str, Meta(min_length=1, max_length=LABEL_MAX)]
Text = Annotated[str, Meta(min_length=1, max_length=VALUE_MAX)]
Fields = Annotated[dict[Label, Text], Meta(max_length=FIELDS_MAX)]
Pairs = Annotated[list[tuple[Label, Text]], Meta(max_length=FIELDS_MAX)]


class Details(Struct, forbid_unknown_fields=True):
    """What the person sees, in this order, and what only the receipt commits to (at most 4,096 bytes of JSON)."""

    visible: Fields | Pairs = {}
    hidden: dict[str, Any] = {}


class Context(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """From where the person is acting, as the application knows it; shown to them."""

    ip: Annotated[str, Meta(min_length=1, max_length=PLACE_MAX)] | None = None
    place: Annotated[str, Meta(min_length=1, max_length=PLACE_MAX)] | None = None
    agent: Annotated[str, Meta(min_length=1, max_length=AGENT_MAX)] | None = None


class Logo(Struct, forbid_unknown_fields=True):
    """A picture's address; it is kept and shown as text, never fetched by the server."""

    res: Literal["default", "low", "med", "high"]
    url: Url


class ApprovalBody(Struct, forbid_unknown_fields=True):
    """A question to a person. Absent values are the application's policies; a call may only be stricter."""

    tfa_id: TfaId
    message: Annotated[str, Meta(min_length=1, max_length=MESSAGE_MAX)]
    details: Details | None = None
    context: Context | None = None
    seconds_to_expire: (
        Annotated[int, Meta(ge=1, le=86_400, description="More than policy approval.max_ttl is refused.")]
        | None
    ) = None
    number: (
        Annotated[
            str,
            Meta(
                pattern="^(none|entry:[2-6])$",
                description="How many digits the person copies to the device; less than policy is refused.",
            ),
        ]
        | None
    ) = None
    callback_url: Url | None = None
    logos: Annotated[list[Logo], Meta(max_length=4)] = []


class DetailsAnswer(Struct):
    """The details as they were asked; ``visible`` as pairs, in order."""

    visible: tuple[tuple[str, str], ...]
    hidden: dict[str, Any]


class ApprovalAnswer(Struct, omit_defaults=True):
    """A question and what became of it; ``decided_at`` is when it ended, however it ended."""

    id: str
    status: ApprovalStatus
    tfa_id: int
    created_at: str
    expires_at: str
    message: str
    details: DetailsAnswer
    number_mode: str
    reason: str | None = None
    decided_at: str | None = None
    seen_at: str | None = None
    device: str | None = None
    context: Context | None = None
    callback_url: str | None = None


class CreatedAnswer(ApprovalAnswer, omit_defaults=True):
    """A new question; ``number`` is for the application's own screen and in this answer only.

    ``devices`` is how many active devices the person has; with none it waits for one.
    """

    number: str | None = None
    devices: int | None = None


class ApprovalsQuery(Struct, forbid_unknown_fields=True):
    """Which requests; times are RFC 3339 with a zone, the first included, the last not."""

    status: ApprovalStatus | None = None
    tfa_id: TfaId | None = None
    created_from: Annotated[datetime, Meta(tz=True)] | None = None
    created_to: Annotated[datetime, Meta(tz=True)] | None = None
    limit: Limit = 50
    after: After | None = None


class ApprovalsPage(Struct):
    """A page of requests, newest first; ``next`` goes into ``after``, null at the end."""

    items: list[ApprovalAnswer]
    next: str | None


class ReceiptAnswer(Struct):
    """The signed proof of a decision: a compact JWS."""

    receipt: str


def mount(gate: Gate, router: web.UrlDispatcher, face: Face, domain: Domain, clock: Clock, bus: Bus) -> None:
    """Add the routes of approval requests."""
    approvals = domain.approvals
    once = Once(domain.idempotency)

    async def create(request: web.Request, call: Call) -> web.Response:
        wanted = await json_body(request, ApprovalBody)
        caller = call.by
        draft = _draft(wanted, caller.application)
        user = await domain.users.by_tfa_id(caller.org, wanted.tfa_id)
        if HEADER not in request.headers:
            return reply(201, _created(await approvals.create(caller, user, draft, call.now)))

        def make(keep: Callable[[Created], Step] | None) -> Awaitable[Created]:
            return approvals.create(caller, user, draft, call.now, keep)

        async def shown_once(made: Created) -> CreatedAnswer:
            return _created(made)

        return await once.answer(request, call, wanted, make, _created, shown_once)

    async def get(request: web.Request, call: Call) -> web.Response:
        application, approval_id = call.by.application.id, request.match_info["id"]
        if request.rel_url.raw_query_string:
            wanted = query(request, WaitQuery)
            found = await poll(
                gate,
                clock,
                bus,
                "approval",
                approval_id,
                call.now + wanted.wait * 1000,
                lambda now: approvals.get(application, approval_id, now),
                lambda approval: approval.status in FINAL_STATES,
            )
        else:
            found = await approvals.get(application, approval_id, call.now)
        return reply(200, _answer(found))

    async def listing(request: web.Request, call: Call) -> web.Response:
        wanted = query(request, ApprovalsQuery)
        page = await approvals.page(
            call.by.application.id,
            call.now,
            status=wanted.status,
            tfa_id=wanted.tfa_id,
            created_from=None if wanted.created_from is None else milliseconds(wanted.created_from),
            created_to=None if wanted.created_to is None else milliseconds(wanted.created_to),
            after=wanted.after,
            limit=wanted.limit,
        )
        return reply(200, ApprovalsPage([_answer(approval) for approval in page.items], page.next))

    async def cancel(request: web.Request, call: Call) -> web.Response:
        found = await approvals.cancel(call.by.application.id, request.match_info["id"], call.now)
        return reply(200, _answer(found))

    async def receipt(request: web.Request, call: Call) -> web.Response:
        signed = await domain.receipts.receipt(call.by.application.id, request.match_info["id"])
        return reply(200, ReceiptAnswer(signed))

    gate.add(
        router,
        "POST",
        "/v1/approval_requests",
        create,
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
        listing,
        face=face,
        scope="approvals",
        doc=Doc("List approval requests of this application", ApprovalsPage, query=ApprovalsQuery),
    )
    gate.add(
        router,
        "GET",
        f"/v1/approval_requests/{UUID}",
        get,
        face=face,
        scope="approvals",
        doc=Doc(
            "An approval request; `wait` answers when it has ended",
            ApprovalAnswer,
            query=WaitQuery,
            refusals=("not_found",),
        ),
    )
    gate.add(
        router,
        "POST",
        f"/v1/approval_requests/{UUID}/cancel",
        cancel,
        face=face,
        scope="approvals",
        doc=Doc("Take a question back", ApprovalAnswer, refusals=("not_found", "not_pending")),
    )
    gate.add(
        router,
        "GET",
        f"/v1/approval_requests/{UUID}/receipt",
        receipt,
        face=face,
        scope="approvals",
        doc=Doc("The signed proof of the decision", ReceiptAnswer, refusals=("not_found", "not_decided")),
    )


_NO_DETAILS: Final = Details()
_NO_CONTEXT: Final = Context()


def _draft(wanted: ApprovalBody, application: Application) -> ApprovalDraft:
    """The question in clean text within policy; raises ``invalid_text`` or ``invalid_request`` naming the place."""
    policies = application.policies
    ttl = wanted.seconds_to_expire or policies.approval_ttl
    if ttl > policies.approval_max_ttl:
        raise RefusedError(
            "invalid_request", f"seconds_to_expire: policy approval.max_ttl is {policies.approval_max_ttl}."
        )
    details = wanted.details or _NO_DETAILS
    if details.hidden and len(encode(details.hidden)) > HIDDEN_MAX:
        raise RefusedError("invalid_request", f"details.hidden has more than {HIDDEN_MAX} bytes as JSON.")
    if wanted.callback_url is not None:
        _check_callback(wanted.callback_url, application)
    for place, logo in enumerate(wanted.logos):
        _check_url(f"logos[{place}]", logo.url)
    context = wanted.context or _NO_CONTEXT
    return ApprovalDraft(
        shown("message", wanted.message, MESSAGE_MAX, newline=True),
        ttl,
        wanted.number or policies.approval_number,
        _visible(details.visible),
        details.hidden,
        context.ip and shown("context.ip", context.ip, PLACE_MAX),
        context.place and shown("context.place", context.place, PLACE_MAX),
        context.agent and shown("context.agent", context.agent, AGENT_MAX),
        tuple((logo.res, logo.url) for logo in wanted.logos),
        wanted.callback_url,
    )


def _visible(fields: dict[str, str] | list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    pairs = fields.items() if isinstance(fields, dict) else fields
    return tuple(
        (
            shown(f"details.visible[{place}] label", label, LABEL_MAX),
            shown(f"details.visible[{place}] value", value, VALUE_MAX),
        )
        for place, (label, value) in enumerate(pairs)
    )


def _check_callback(url: str, application: Application) -> None:
    """Raise unless policy lets the server call there: host and port of a registered webhook, or callback.hosts."""
    _check_url("callback_url", url)
    parts = urlsplit(url)
    hosts = application.policies.callback_hosts
    if "*" in hosts or parts.hostname in hosts or _authority(url) in hosts:
        return
    if _authority(url) not in {_authority(webhook.url) for webhook in application.webhooks}:
        raise RefusedError(
            "invalid_request",
            "callback_url: its host is neither that of a registered webhook nor in policy callback.hosts.",
        )


def _check_url(place: str, url: str) -> None:
    try:
        check_url(url)
    except RefusedError as error:
        raise RefusedError(error.code, f"{place}: {error.detail}") from None


def _authority(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or {'http': 80, 'https': 443}[parts.scheme]}"


def _answer(approval: Approval) -> ApprovalAnswer:
    return ApprovalAnswer(*_fields(approval))


def _created(created: Created) -> CreatedAnswer:
    return CreatedAnswer(*(*_fields(created.approval), created.number, created.devices))


def _fields(approval: Approval) -> tuple[Any, ...]:
    draft = approval.draft
    context = None
    if draft.ip or draft.place or draft.agent:
        context = Context(draft.ip, draft.place, draft.agent)
    return (
        approval.id,
        approval.status,
        approval.tfa_id,
        rfc3339(approval.created_at),
        rfc3339(approval.expires_at),
        draft.message,
        DetailsAnswer(draft.visible, draft.hidden),
        draft.number,
        approval.reason,
        None if approval.decided_at is None else rfc3339(approval.decided_at),
        None if approval.seen_at is None else rfc3339(approval.seen_at),
        approval.device,
        context,
        draft.callback_url,
    )
