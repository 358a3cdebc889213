"""Gateways as the server opens them, from settings, with secrets in private files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from placet_server.carriers import Carriers, open_carriers
from placet_server.delivery.egress import ANYWHERE, Egress
from placet_server.plugin import Gateway, GatewayKit, Outgoing
from placet_server.settings import Settings
from placet_server.testing import ManualClock

PHONE = "+48600100200"

T = TypeVar("T")


def secret(folder: Path, text: str, name: str = "secret") -> str:
    """A private file that holds a secret; its path."""
    file = folder / name
    file.touch(0o600)
    file.write_text(text + "\n")
    return str(file)


@asynccontextmanager
async def carriers(
    folder: Path,
    tables: Mapping[str, Mapping[str, Any]],
    *,
    given: Iterable[Gateway] = (),
    total: float = 15.0,
) -> AsyncIterator[Carriers]:
    """The gateways of these tables, with a real way out."""
    way = Egress(allow=ANYWHERE, total=total, url_max=8_192, connect=5)
    kit = GatewayKit(way, ManualClock(), folder)
    opened = open_carriers(Settings(data=folder, gateway=tables), kit, local=False, given=given)
    try:
        yield opened
    finally:
        await opened.close()
        await way.close()


def outgoing(**changes: Any) -> Outgoing:
    """A code on its way by text message."""
    facts: dict[str, Any] = {
        "id": "0199a000-0000-7000-8000-000000000001",
        "channel": "sms",
        "to": PHONE,
        "text": "Your code is 271828.",
        "code": "271828",
        "seconds": 600,
    }
    return Outgoing(**(facts | changes))


async def eventually(
    look: Callable[[], Awaitable[T]], good: Callable[[T], object], within: float = 30.0
) -> T:
    """Look until what is seen is good."""
    async with asyncio.timeout(within):
        while True:
            seen = await look()
            if good(seen):
                return seen
            await asyncio.sleep(0.01)
