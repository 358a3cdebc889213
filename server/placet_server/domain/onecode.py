"""The values of one-time codes: how one is asked for, what is told of it, and what a check says."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from msgspec import Struct

from placet_server.domain.destinations import Destination, Kind
from placet_server.domain.mail import Gender, MessageStatus
from placet_server.domain.shapes import Shape
from placet_server.domain.values import UserRef
from placet_server.ports import Channel

Outcome = Literal["matched", "mismatch", "expired", "used", "unknown", "exhausted", "throttled"]
CodeStatus = Literal["live", "matched", "expired", "exhausted", "cancelled", "replaced"]

RESTRICTED: Final[frozenset[Channel]] = frozenset({"sms", "voice", "email"})
"""Channels that others can listen to or take over (NIST SP 800-63B-4 §3.1.3.3; e-mail by our own rule)."""


class CodeDraft(Struct, frozen=True, kw_only=True):
    """A code as it is asked for; what is None is as the application's policies say.

    For ``user`` without ``destination`` each channel goes to the user's number or address, as it needs. Without ``channels`` nothing
    is sent, and nobody need be named. ``value`` is a code of the caller's own; ``ip`` binds to the address of the
    person's session; ``text`` is a template with ``{code}``, ``{minutes}``, ``{hh:mm:ss}``, ``{app}``. ``replaces`` ends
    the owner's live codes for the same person and purpose.
    """

    destination: Destination | None = None
    user: UserRef | None = None
    shape: Shape | None = None
    value: str | None = None
    seconds: int | None = None
    tries: int | None = None
    purpose: str = ""
    ip: str | None = None
    channels: tuple[Channel, ...] = ()
    text: str | None = None
    subject: str | None = None
    sender: str | None = None
    language: str | None = None
    gender: Gender = "female"
    replaces: bool = False


class Issued(NamedTuple):
    """A new code. ``value`` is the code itself, for who must hand it out.

    ``seconds``, ``tries`` and ``channels`` are those that policy allowed.
    """

    id: str
    value: str
    expires_at: int
    tries: int
    destination: Destination | None
    message_id: str | None
    seconds: int
    channels: tuple[Channel, ...] = ()


class Checked(NamedTuple):
    """What a check says; ``left`` tries and ``seconds_left`` are of the code that was tried.

    ``wait``: seconds until another try is compared, where this one was throttled.
    """

    outcome: Outcome
    left: int = 0
    code_id: str | None = None
    seconds_left: int = 0
    wait: int = 0


class CodeInfo(Struct, frozen=True):
    """A code without the code; times in ms UTC. ``destination`` is masked, '' where there is none.

    ``restricted``: it went by a channel that others can listen to or take over.
    """

    id: str
    status: CodeStatus
    channels: tuple[Channel, ...]
    destination: str
    purpose: str
    tries: int
    left: int
    created_at: int
    expires_at: int
    message_id: str | None
    message_status: MessageStatus | None
    restricted: bool


class Found(NamedTuple):
    """A code's row as ``codes`` reads it, in the order of its columns."""

    id: str
    written: CodeStatus
    tries: int
    left: int
    expires_at: int
    message_id: str | None
    user_id: str | None
    sealed: bytes
    message_status: MessageStatus | None
    ip: bytes | None

    def status(self, now: int) -> CodeStatus:
        """How it stands; that a code's time is over is written nowhere."""
        return "expired" if self.written == "live" and self.expires_at <= now else self.written


class Kept(Struct, frozen=True, array_like=True):
    """What is sealed of a code: enough to send another in its place. ``value`` is there where the same is sent again."""

    kind: Kind | None
    address: str
    purpose: str
    channels: tuple[Channel, ...]
    shape: Shape
    seconds: int
    text: str | None
    subject: str | None
    sender: str | None
    language: str
    gender: Gender
    value: str | None = None
    other_address: str = ""

    @property
    def other(self) -> Destination | None:
        """Where channels go that do not reach the destination."""
        if not self.other_address:
            return None
        return Destination("phone" if self.kind == "email" else "email", self.other_address)

    @property
    def destination(self) -> Destination | None:
        """Where it goes."""
        return None if self.kind is None else Destination(self.kind, self.address)
