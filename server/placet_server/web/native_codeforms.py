"""What an application sends and gets about one-time codes, and the way from the one to a draft."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from aiohttp import web
from msgspec import Meta, Struct

from placet_server.domain.destinations import Destination, masked
from placet_server.domain.onecode import RESTRICTED, Checked, CodeDraft, CodeInfo, CodeStatus, Issued
from placet_server.domain.policies import Policies
from placet_server.domain.refusals import Code, RefusedError
from placet_server.domain.senders import fits_phones
from placet_server.domain.shapes import Shape
from placet_server.domain.values import User
from placet_server.ports import Channel
from placet_server.web.gate import Call
from placet_server.web.native_recipients import Ip, Purpose, RecipientBody, Secret, ip_of, purpose_of
from placet_server.web.wire import reply, rfc3339, shown

TEXT_MAX: Final = 1600
SUBJECT_MAX: Final = 120
SENDER_MAX: Final = 64
Language = Literal[
    "en-US", "en-GB", "el-GR", "pl-PL", "hu-HU", "sv-SE", "de-DE",
    "es-ES", "es-LA", "fr-FR", "it-IT", "pt-BR", "ru-RU",
]  # fmt: skip
Gender = Literal["female", "male"]
Characters = Literal["digits", "upper", "lower", "special"]
Channels = Annotated[
    list[Channel], Meta(min_length=1, max_length=4, description="Tried in this order until one is accepted.")
]
Length = Annotated[int, Meta(ge=4, le=32)]
Seconds = Annotated[int, Meta(ge=1, le=2_592_000, description="More than policy is cut to policy.")]
Sender = Annotated[str, Meta(min_length=1, max_length=SENDER_MAX)]
Template = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=TEXT_MAX,
        description="With {code}, and perhaps {minutes}, {hh:mm:ss} and {app}.",
    ),
]
Subject = Annotated[str, Meta(min_length=1, max_length=SUBJECT_MAX)]
Given = Annotated[str, Meta(pattern="^[!-~]{4,32}$", description="A code of your own instead of a new one.")]
Outcome = Literal["matched", "mismatch", "expired", "used", "unknown", "exhausted"]
SENDING: Final[tuple[Code, ...]] = (
    "invalid_text",
    "invalid_destination",
    "channel_not_allowed",
    "country_not_allowed",
    "not_a_mobile",
    "no_route",
    "no_credit",
    "too_many_codes",
)
"""For what a message may not be sent."""


class CodeBody(RecipientBody, forbid_unknown_fields=True, kw_only=True):
    """A code, what it looks like, how long it counts, and by which channel it goes.

    Absent values are policies of the application, for a message without text the built-in text of ``language``. With
    ``deliver`` false nothing is sent, nobody has to be named, and the answer holds the code.
    """

    channel: Channel | None = None
    channels: Channels | None = None
    deliver: bool = True
    length: Length | None = None
    alphabet: Annotated[list[Characters], Meta(min_length=1, max_length=4)] | None = None
    unconfusing: Annotated[bool, Meta(description="Without 0 O o 1 I l 5 S 2 Z 8 B.")] = False
    code: Given | None = None
    seconds_to_expire: Seconds | None = None
    tries: Annotated[int, Meta(ge=1, le=100, description="More than policy is cut to policy.")] | None = None
    purpose: Purpose | None = None
    recipient_ip: Ip | None = None
    text: Template | None = None
    subject: Subject | None = None
    sender: Sender | None = None
    language: Language | None = None
    gender: Gender = "female"


class CodeAnswer(Struct, omit_defaults=True):
    """A code without the code.

    ``restricted``: it went by a channel that others can listen to or take over. ``message_status`` is how far the
    message came.
    """

    id: str
    status: CodeStatus
    created_at: str
    expires_at: str
    tries: int
    tries_left: int
    channels: tuple[Channel, ...]
    restricted: bool
    destination: str | None = None
    purpose: str | None = None
    message_id: str | None = None
    message_status: str | None = None


class NewCodeAnswer(CodeAnswer, omit_defaults=True):
    """A new code; ``seconds_to_expire`` as policy allowed it. ``code`` is there with ``deliver`` false only."""

    seconds_to_expire: int | None = None
    code: str | None = None


class CheckBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """What the person typed; ``purpose`` and ``recipient_ip`` must be those of the code."""

    code: Secret
    purpose: Purpose | None = None
    recipient_ip: Ip | None = None


class CheckOfBody(RecipientBody, forbid_unknown_fields=True, kw_only=True):
    """What the person typed, and to whom the newest code of that purpose went."""

    code: Secret
    purpose: Purpose | None = None
    recipient_ip: Ip | None = None


class CheckAnswer(Struct):
    """Whether the code is the right one, now. A right one is spent by this answer."""

    matched: bool
    outcome: Outcome
    tries_left: int


def one_order(channel: Channel | None, channels: list[Channel] | None) -> tuple[Channel, ...]:
    """The channels to try; raises ``invalid_request`` for two orders and for a channel that is named twice."""
    if channel is not None and channels is not None:
        raise RefusedError("invalid_request", "Give channel or channels, not both.")
    chosen = tuple(channels or ()) if channel is None else (channel,)
    if len(set(chosen)) < len(chosen):
        raise RefusedError("invalid_request", "channels names a channel twice.")
    return chosen


def sender_of(sender: str | None, channels: tuple[Channel, ...]) -> str | None:
    """Who is shown as sender; raises ``invalid_text``, and ``invalid_request`` for what no gateway of a channel takes."""
    if sender is None:
        return None
    name = shown("sender", sender, SENDER_MAX)
    if set(channels) - {"email"} and not fits_phones(name):
        detail = "sender: but for e-mail it is a number, or up to eleven letters, digits and spaces."
        raise RefusedError("invalid_request", detail)
    return name


def draft_of(wanted: CodeBody, policies: Policies, to: Destination | None, user: User | None) -> CodeDraft:
    """The code that was asked for; raises ``invalid_request`` and ``invalid_text``."""
    channels = one_order(wanted.channel, wanted.channels)
    if not wanted.deliver:
        if channels or wanted.text or wanted.subject or wanted.sender:
            raise RefusedError(
                "invalid_request", "With deliver false there is no channel, text, subject or sender."
            )
    elif not channels:
        channels = _usual(policies, to, user)
    return CodeDraft(
        destination=to,
        user=user,
        shape=_shape(wanted, policies),
        value=wanted.code,
        seconds=wanted.seconds_to_expire,
        tries=wanted.tries,
        purpose=purpose_of(wanted.purpose),
        ip=ip_of(wanted.recipient_ip),
        channels=channels,
        text=None if wanted.text is None else shown("text", wanted.text, TEXT_MAX, newline=True),
        subject=None if wanted.subject is None else shown("subject", wanted.subject, SUBJECT_MAX),
        sender=sender_of(wanted.sender, channels),
        language=wanted.language,
        gender=wanted.gender,
    )


def issued_of(made: Issued, draft: CodeDraft, now: int, *, secret: bool = False) -> NewCodeAnswer:
    """A new code; with ``secret`` the answer holds it."""
    return NewCodeAnswer(
        id=made.id,
        status="live",
        created_at=rfc3339(now),
        expires_at=rfc3339(made.expires_at),
        tries=made.tries,
        tries_left=made.tries,
        channels=made.channels,
        restricted=not RESTRICTED.isdisjoint(made.channels),
        destination=None if made.destination is None else masked(made.destination),
        purpose=draft.purpose or None,
        message_id=made.message_id,
        message_status=None if made.message_id is None else "queued",
        seconds_to_expire=made.seconds,
        code=made.value if secret else None,
    )


def answer_of(info: CodeInfo) -> CodeAnswer:
    """How a code stands."""
    return CodeAnswer(
        info.id,
        info.status,
        rfc3339(info.created_at),
        rfc3339(info.expires_at),
        info.tries,
        info.left,
        info.channels,
        info.restricted,
        info.destination or None,
        info.purpose or None,
        info.message_id,
        info.message_status,
    )


def checked(outcome: Checked, call: Call) -> web.Response:
    """The answer to a check; raises ``throttled``, which says nothing about the code."""
    call.note(code=outcome.outcome)
    if outcome.code_id is not None:
        call.note(subject=outcome.code_id)
    if outcome.outcome == "throttled":
        raise RefusedError(
            "throttled", "Too many wrong codes for this recipient.", retry_after=max(1, outcome.wait)
        )
    return reply(200, CheckAnswer(outcome.outcome == "matched", outcome.outcome, outcome.left))


def _usual(policies: Policies, to: Destination | None, user: User | None) -> tuple[Channel, ...]:
    """The channels when a call names none: those of the policy, otherwise text message or e-mail."""
    if policies.code_channels:
        return policies.code_channels
    by_email = to.kind == "email" if to is not None else user is not None and user.phone is None
    return ("email",) if by_email else ("sms",)


def _shape(wanted: CodeBody, policies: Policies) -> Shape | None:
    """The shape that was asked for, None when nothing of it was named."""
    kinds = wanted.alphabet or ("digits",)
    if wanted.length is None and wanted.alphabet is None and not wanted.unconfusing:
        return None
    return Shape(
        length=wanted.length or policies.code_length,
        digits="digits" in kinds,
        upper="upper" in kinds,
        lower="lower" in kinds,
        special="special" in kinds,
        unconfusing=wanted.unconfusing,
    )
