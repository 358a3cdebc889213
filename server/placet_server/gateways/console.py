"""``console``: prints each message on the server's standard output, to try things out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from placet_server.plugin import Carried, GatewayKit, Outgoing
from placet_server.ports import Channel

_ALL: Final[frozenset[Channel]] = frozenset({"sms", "voice", "email", "whatsapp"})


class ConsoleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set."""


class ConsoleGateway:
    """Carries every channel to the terminal of whoever runs the server."""

    settings = ConsoleSettings
    channels = _ALL
    local: Literal[True] = True

    def __init__(self, name: str, _settings: ConsoleSettings, _kit: GatewayKit) -> None:
        self.name = name

    async def send(self, message: Outgoing) -> Carried:
        """Print one message."""
        (carried,) = self.take((message,))
        return carried

    def take(self, messages: Sequence[Outgoing]) -> Sequence[Carried]:
        """Print channel, destination and text; lines of the text are indented, so that none looks like a head."""
        for message in messages:
            body = message.text.replace("\n", "\n    ")
            sys.stdout.write(f"{message.channel} to {message.to}:\n    {body}\n")
        sys.stdout.flush()
        return [Carried("accepted", message.id) for message in messages]

    async def close(self) -> None:
        """Nothing is open."""
