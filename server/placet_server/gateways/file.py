"""``file``: appends each message to a private file, one line of JSON each."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

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

    def __init__(self, name: str, settings: FileSettings, kit: GatewayKit) -> None:
        self.name = name
        self.path: Final = settings.path or kit.data / FILE_NAME
        self._clock: Final[Clock] = kit.clock
        self._file: int | None = None
        self._cut = False

    async def send(self, message: Outgoing) -> Carried:
        """Append one line in one write, so that lines of several processes stay whole."""
        at = datetime.fromtimestamp(self._clock.now() / 1000, UTC).isoformat(timespec="milliseconds")
        line = Line(
            message.id,
            at.replace("+00:00", "Z"),
            message.channel,
            message.to,
            message.sender,
            message.text,
            message.language,
            message.gender,
        )
        written = (b"\n" if self._cut else b"") + msgspec.json.encode(line) + b"\n"
        try:
            count = os.write(self._opened(), written)
        except OSError as error:
            return Carried("later", reason=f"the file cannot be written: {error.strerror}")
        self._cut = count < len(written)  # on a disk that is full; the next line begins anew
        if self._cut:
            return Carried("later", reason="the disk of the file is full")
        return Carried("accepted", message.id)

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        if self._file is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self.path, flags, _PRIVATE)
            os.fchmod(self._file, _PRIVATE)
        return self._file
