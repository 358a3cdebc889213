"""The rows of messages: how they are made, read, and sealed."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from placet_protocol.jose import b64u
from placet_server.domain.destinations import Destination, Kind, masked
from placet_server.domain.ids import made_at
from placet_server.domain.mail import Due, Gender, MessageDraft, MessageInfo, reaches
from placet_server.domain.segments import parts
from placet_server.domain.texts import Text
from placet_server.domain.values import Caller
from placet_server.ports import Channel, Row, Sealer, Sql, Step, UnsealableError, step

_SECRET_BYTES: Final = 24

_ADD: Final = Sql(
    "message_add",
    "INSERT INTO messages (id, application, owner, code, kind, status, channels, parts, attempts, tried, due_at,"
    " expires_at, updated_at, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?)",
)
DUE_COLUMNS: Final = (
    "id, application, kind, status, channels, code, tried, attempts, due_at, expires_at, sealed, channel"
)
INFO_COLUMNS: Final = (
    "id, application, kind, status, channels, channel, gateway, parts, attempts, reason, reference, code, updated_at,"
    " expires_at, recipient, sealed"
)


class _Sealed(Struct, frozen=True, array_like=True):
    """What is sealed of a message."""

    kind: Kind
    address: str
    texts: dict[Channel, Text]
    sender: str | None
    language: str
    gender: Gender
    code: str | None
    other: tuple[Kind, str] | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Sealed).decode


def owner(caller: Caller) -> str:
    """To whom a code or message belongs: the application, or on a face the credential."""
    return caller.application.id if caller.face == "native" else caller.credential


def add(
    sealer: Sealer,
    caller: Caller,
    message_id: str,
    draft: MessageDraft,
    code_id: str | None,
    now: int,
    held_until: int,
) -> Step:
    """The row of a new message, claimed already by who holds it until then."""
    body = _Sealed(
        draft.to.kind,
        draft.to.address,
        draft.texts,
        draft.sender,
        draft.language,
        draft.gender,
        draft.code,
        None if draft.other is None else (draft.other.kind, draft.other.address),
    )
    return step(
        _ADD,
        message_id,
        caller.application.id,
        owner(caller),
        code_id,
        draft.kind,
        "sending" if held_until else "queued",
        " ".join(draft.channels),
        parts_of(draft),
        1 if held_until else 0,
        held_until or draft.send_at or now,
        draft.expires_at,
        now,
        sealer.seal("pii", "messages", message_id, _encode(body)),
    )


def fresh(
    caller: Caller,
    message_id: str,
    draft: MessageDraft,
    code_id: str | None,
    now: int,
    held_until: int,
) -> Due:
    """A new message for the deliverer who holds it until then; to them it is as if they read it queued."""
    return Due(
        id=message_id,
        application_id=caller.application.id,
        kind=draft.kind,
        status="queued",
        channels=draft.channels,
        to=_dialled(draft.to.kind, draft.to.address),
        texts=draft.texts,
        sender=draft.sender,
        language=draft.language,
        gender=draft.gender,
        code=draft.code,
        code_id=code_id,
        tried=(),
        attempts=0,
        due_at=now,
        created_at=now,
        expires_at=draft.expires_at,
        held_until=held_until,
        other=None if draft.other is None else _dialled(draft.other.kind, draft.other.address),
    )


def told(due: Due, status: str, channel: Channel | None, reason: str) -> tuple[str, dict[str, str]]:
    """The event that tells of a message's new state, and what it says."""
    data = {
        "message_id": due.id,
        "code_id": due.code_id,
        "channel": channel,
        "destination": masked(due.at(channel or due.channel)),
        "reason": reason or None,
    }
    kind = "code" if due.kind == "code" else "message"
    said = {name: value for name, value in data.items() if value is not None}
    return f"{kind}.{'failed' if status == 'expired' else status}", said


def new_info(caller: Caller, message_id: str, draft: MessageDraft, now: int) -> MessageInfo:
    """What is told of a new message."""
    return MessageInfo(
        id=message_id,
        application=caller.application.id,
        kind=draft.kind,
        status="queued",
        channels=draft.channels,
        channel=None,
        gateway=None,
        to=masked(draft.to),
        parts=parts_of(draft),
        attempts=0,
        reason=None,
        reference=None,
        code_id=None,
        created_at=now,
        updated_at=now,
        expires_at=draft.expires_at,
    )


def parts_of(draft: MessageDraft) -> int:
    """How many parts the text message has, 1 where there is none."""
    text = draft.texts.get("sms")
    return 1 if text is None else parts(text.text)


def secret(sealer: Sealer, message_id: str) -> str:
    """The secret part of the address to which the delivery of a message is reported: 192 bits, kept nowhere."""
    return b64u(sealer.mac("report", message_id.encode("utf-8", "replace"))[:_SECRET_BYTES])


def due(sealer: Sealer, row: Row) -> Due | None:
    """A row of ``DUE_COLUMNS`` as a deliverer needs it; None when it is erased or does not open."""
    message_id, application, kind, status, channels, code, tried, attempts, due_at, expires_at, sealed, by = (
        row
    )
    if sealed is None:
        return None
    try:
        body = _decode(sealer.open("pii", "messages", message_id, sealed))
    except UnsealableError:
        return None
    return Due(
        id=message_id,
        application_id=application,
        kind=kind,
        status=status,
        channels=tuple(channels.split()),
        to=_dialled(body.kind, body.address),
        texts=body.texts,
        sender=body.sender,
        language=body.language,
        gender=body.gender,
        code=body.code,
        code_id=code,
        tried=tuple(tried.split()),
        attempts=attempts,
        due_at=due_at or 0,
        created_at=made_at(message_id),
        expires_at=expires_at,
        other=None if body.other is None else _dialled(*body.other),
        channel=by,
    )


def recipient(sealer: Sealer, due: Due) -> bytes:
    """What is kept of the destination when a message is erased."""
    return sealer.seal("pii", "recipients", due.id, masked(due.at(due.channel)).encode())


def info(sealer: Sealer, row: Row) -> MessageInfo:
    """A row of ``INFO_COLUMNS`` as it is told."""
    (message_id, application, kind, status, channels, channel, gateway, parts_of_text, attempts, reason, reference,
     code, updated_at, expires_at, kept, sealed) = row  # fmt: skip
    return MessageInfo(
        id=message_id,
        application=application,
        kind=kind,
        status=status,
        channels=tuple(channels.split()),
        channel=channel,
        gateway=gateway,
        to=_recipient(sealer, message_id, kept, sealed, channel),
        parts=parts_of_text,
        attempts=attempts,
        reason=reason,
        reference=reference,
        code_id=code,
        created_at=made_at(message_id),
        updated_at=updated_at,
        expires_at=expires_at,
    )


def _dialled(kind: Kind, address: str) -> Destination:
    return Destination(kind, Destination(kind, address).dialled)


def _recipient(
    sealer: Sealer, message_id: str, kept: bytes | None, sealed: bytes | None, channel: Channel | None
) -> str:
    """The masked destination, '' when nothing opens."""
    try:
        if kept is not None:
            return sealer.open("pii", "recipients", message_id, kept).decode()
        if sealed is not None:
            body = _decode(sealer.open("pii", "messages", message_id, sealed))
            other = None if body.other is None else Destination(*body.other)
            if other is not None and channel is not None and reaches(channel, other):
                return masked(other)
            return masked(Destination(body.kind, body.address))
    except UnsealableError:
        pass  # told as unknown; the rest of the row is still of use
    return ""
