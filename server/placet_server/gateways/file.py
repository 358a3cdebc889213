"""``file``: appends each message to a private file, one line of JSON each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from placet_server.plugin import Carried, GatewayKit, Outgoing
from placet_server.ports import Channel, Clock

FILE_NAME: Final = "messages.jsonl"
_PRIVATE: Final = 0o600


class FileSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the messages go."""

    path: Annotated[
        Path | None, Meta(description="The file; without it `messages.jsonl` in the data folder.")
    ] = None


class Line(Struct, frozen=True):
    """One line of the file."""

    id: str
    at: str
    channel: Channel
    to: str
    sender: str | None
    text: str
    language: str
    gender: str


class FileGateway:
    """Carries every channel into one file of mode 0600, for machines where nobody is to be reached."""

    settings = FileSettings
    channels: frozenset[Channel] = frozenset({"sms", "voice", "email", "whatsapp"})
    local: Literal[True] = True

    def __init__(self, name: str, settings: FileSettings, kit: GatewayKit) -> None:
        self.name = name
        self.path: Final = settings.path or kit.data / FILE_NAME
        self._clock: Final[Clock] = kit.clock
        self._file: int | None = None
        self._cut = False

    async def send(self, message: Outgoing) -> Carried:
        """Append one line."""
        (carried,) = self.take((message,))
        return carried

    def take(self, messages: Sequence[Outgoing]) -> Sequence[Carried]:
        """Append one line each, in one write, so that lines of several processes stay whole."""
        at = datetime.fromtimestamp(self._clock.now() / 1000, UTC).isoformat(timespec="milliseconds")
        lines = [self._line(message, at.replace("+00:00", "Z")) for message in messages]
        begun = b"\n" if self._cut else b""
        try:
            count = os.write(self._opened(), b"".join((begun, *lines)))
        except OSError as error:
            return [Carried("later", reason=f"the file cannot be written: {error.strerror}")] * len(lines)
        said, whole, end = [], len(begun), len(begun)
        for message, line in zip(messages, lines, strict=True):
            end += len(line)
            if end <= count:
                whole = end
                said.append(Carried("accepted", message.id))
            else:
                said.append(Carried("later", reason="the disk of the file is full"))
        if count:
            self._cut = count != whole  # the next line begins anew
        return said

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @staticmethod
    def _line(message: Outgoing, at: str) -> bytes:
        line = Line(
            message.id,
            at,
            message.channel,
            message.to,
            message.sender,
            message.text,
            message.language,
            message.gender,
        )
        return msgspec.json.encode(line) + b"\n"

    def _opened(self) -> int:
        if self._file is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self.path, flags, _PRIVATE)
            os.fchmod(self._file, _PRIVATE)
        return self._file
