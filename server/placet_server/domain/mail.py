"""The values of messages: what is to be carried, how it stands, and what a deliverer needs of it."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from placet_server.domain.destinations import Destination
from placet_server.domain.texts import DEFAULT_LANGUAGE, Text
from placet_server.ports import Channel

MessageStatus = Literal["queued", "sending", "sent", "delivered", "undelivered", "failed", "expired"]
MessageKind = Literal["code", "text"]
Reported = Literal["sent", "delivered", "undelivered"]
Gender = Literal["female", "male"]

UNSENT: Final = frozenset({"queued", "sending"})


class MessageDraft(Struct, frozen=True, kw_only=True):
    """A message: one text for each channel that may carry it, the first one that does wins.

    ``other`` is where channels go that do not reach ``to``: a person's address beside their number, or the number beside
    the address. ``code`` is the code inside the texts, ``send_at`` when to begin, ``expires_at`` when it is of no more use (ms UTC).
    """

    to: Destination
    channels: tuple[Channel, ...]
    texts: dict[Channel, Text]
    expires_at: int
    kind: MessageKind = "text"
    sender: str | None = None
    language: str = DEFAULT_LANGUAGE
    gender: Gender = "female"
    code: str | None = None
    send_at: int | None = None
    other: Destination | None = None


class MessageInfo(Struct, frozen=True):
    """How a message stands, without destination and text; times in ms UTC.

    ``channel`` and ``gateway`` are those that took it. ``parts`` are those of its text message.
    """

    id: str
    application: str
    kind: MessageKind
    status: MessageStatus
    channels: tuple[Channel, ...]
    channel: Channel | None
    gateway: str | None
    to: str
    parts: int
    attempts: int
    reason: str | None
    reference: str | None
    code_id: str | None
    created_at: int
    updated_at: int
    expires_at: int


class Due(Struct, frozen=True):
    """A message as its deliverer needs it, with the destination as it is dialled.

    ``tried`` names ``channel:gateway`` pairs that are done with it. ``held_until`` (ms UTC) is set while it was claimed for
    this process as it was written.
    """

    id: str
    application_id: str
    kind: MessageKind
    status: MessageStatus
    channels: tuple[Channel, ...]
    to: Destination
    texts: dict[Channel, Text]
    sender: str | None
    language: str
    gender: Gender
    code: str | None
    code_id: str | None
    tried: tuple[str, ...]
    attempts: int
    due_at: int
    created_at: int
    expires_at: int
    held_until: int = 0
    other: Destination | None = None
    channel: Channel | None = None
    """By which a gateway took it."""

    def at(self, channel: Channel | None) -> Destination:
        """Where a channel goes; where the message goes first when none is named."""
        other = self.other
        return self.to if other is None or channel is None or not reaches(channel, other) else other


def reaches(channel: Channel, destination: Destination) -> bool:
    """Whether a channel goes to destinations of this kind."""
    return (channel == "email") == (destination.kind == "email")
