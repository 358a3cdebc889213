"""The socket's rules: which frame may come next, as one table for both ends, without any IO."""

from __future__ import annotations

from typing import Final, Literal

from placet_protocol.errors import OutOfTurnError
from placet_protocol.frames import (
    Ack,
    Challenge,
    Done,
    Error,
    Frame,
    Hello,
    Item,
    Role,
    Seen,
    Welcome,
)

Phase = Literal["new", "challenged", "greeted", "open", "closed"]

_NEXT: Final[dict[tuple[Phase, Role, type[Frame]], Phase]] = {
    ("new", "server", Challenge): "challenged",
    ("challenged", "device", Hello): "greeted",
    ("greeted", "server", Welcome): "open",
    ("open", "server", Item): "open",
    ("open", "server", Done): "open",
    ("open", "device", Ack): "open",
    ("open", "device", Seen): "open",
    ("new", "server", Error): "closed",
    ("challenged", "server", Error): "closed",
    ("greeted", "server", Error): "closed",
    ("open", "server", Error): "closed",
}
_OTHER: Final[dict[Role, Role]] = {"server": "device", "device": "server"}


class Conversation:
    """One connection as the end ``role`` sees it: tell it every frame, before sending and after decoding."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self._phase: Phase = "new"
        self._devices: frozenset[str] = frozenset()
        self._greetings = 0

    @property
    def phase(self) -> Phase:
        """Where the conversation stands: ``open`` once items may travel, ``closed`` after an error."""
        return self._phase

    def sent(self, frame: Frame) -> None:
        """This end is about to send a frame; raises ``OutOfTurnError`` if it may not."""
        self._take(self._role, frame)

    def received(self, frame: Frame) -> None:
        """The other end sent a frame; raises ``OutOfTurnError`` if it may not: close the connection then."""
        self._take(_OTHER[self._role], frame)

    def _take(self, sender: Role, frame: Frame) -> None:
        phase = _NEXT.get((self._phase, sender, type(frame)))
        if phase is None:
            raise OutOfTurnError(f"no {type(frame).__name__.lower()} from the {sender} while {self._phase}")
        match frame:
            case Hello(proofs=proofs):
                self._greetings = len(proofs)
            case Welcome(devices=devices):
                if len(devices) > self._greetings:
                    raise OutOfTurnError("more devices are welcomed than said hello")
                self._devices = frozenset(devices)
            case Item(did=did) if did not in self._devices:
                raise OutOfTurnError("an item for a device that was not welcomed")
            case _:
                pass
        self._phase = phase
