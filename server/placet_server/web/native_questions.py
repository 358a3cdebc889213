"""What an application sends and gets about approval requests, and the way from the one to a draft in clean text."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from placet_protocol.approval import FIELDS_MAX, HIDDEN_MAX, LABEL_MAX, MESSAGE_MAX, VALUE_MAX
from placet_server.domain.approvals import State
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Application, Approval, ApprovalDraft, ApprovalStatus, Created
from placet_server.domain.webhooks import check_url
from placet_server.web.native_users import TfaId
from placet_server.web.wire import After, Limit, WaitQuery, encode, rfc3339, shown

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


class StateAnswer(Struct, omit_defaults=True):
    """How a question stands; ``decided_at`` is when it ended, however it ended."""

    id: str
    status: ApprovalStatus
    tfa_id: int
    created_at: str
    expires_at: str
    reason: str | None = None
    decided_at: str | None = None
    seen_at: str | None = None
    device: str | None = None


class ApprovalAnswer(StateAnswer, omit_defaults=True):
    """A question, how it stands, and what was asked."""

    message: str | None = None
    details: DetailsAnswer | None = None
    number_mode: str | None = None
    context: Context | None = None
    callback_url: str | None = None


class CreatedAnswer(ApprovalAnswer, omit_defaults=True):
    """A new question; ``number`` is for the application's own screen and in this answer only.

    ``devices`` is how many active devices the person has; with none it waits for one.
    """

    number: str | None = None
    devices: int | None = None


class ApprovalQuery(WaitQuery, forbid_unknown_fields=True):
    """How long the answer may wait for the end, and whether it says what was asked."""

    details: bool = False


class ApprovalsQuery(Struct, forbid_unknown_fields=True):
    """Which requests; times are RFC 3339 with a zone, the first included, the last not."""

    status: ApprovalStatus | None = None
    tfa_id: TfaId | None = None
    created_from: Annotated[datetime, Meta(tz=True)] | None = None
    created_to: Annotated[datetime, Meta(tz=True)] | None = None
    limit: Limit = 50
    after: After | None = None


class ApprovalsPage(Struct):
    """A page of requests, newest first; ``next`` goes into ``after``, null at the end. A page may be short before that."""

    items: list[ApprovalAnswer]
    next: str | None


class ReceiptAnswer(Struct):
    """The signed proof of a decision: a compact JWS."""

    receipt: str


_NO_DETAILS: Final = Details()
_NO_CONTEXT: Final = Context()


def draft_of(wanted: ApprovalBody, application: Application) -> ApprovalDraft:
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


def state_of(state: State) -> StateAnswer:
    """How a question stands."""
    return StateAnswer(
        state.id,
        state.status,
        state.tfa_id,
        rfc3339(state.created_at),
        rfc3339(state.expires_at),
        state.reason,
        None if state.decided_at is None else rfc3339(state.decided_at),
        None if state.seen_at is None else rfc3339(state.seen_at),
        state.device,
    )


def answer_of(approval: Approval) -> ApprovalAnswer:
    """A question as it is told to the application that asked."""
    return ApprovalAnswer(*_fields(approval))


def created_of(created: Created) -> CreatedAnswer:
    """A new question as it is told once."""
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
        approval.reason,
        None if approval.decided_at is None else rfc3339(approval.decided_at),
        None if approval.seen_at is None else rfc3339(approval.seen_at),
        approval.device,
        draft.message,
        DetailsAnswer(draft.visible, draft.hidden),
        draft.number,
        context,
        draft.callback_url,
    )
