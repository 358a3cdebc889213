"""A server with a credential of one of the faces that send codes, and the far end where the codes arrive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from placet_server.domain.calllog import LoggedCall, Sought
from placet_server.testing import LiveServer, live_server

PHONE = "+33611223344"


class Desk:
    """The server, and what its ``file`` gateway carried."""

    def __init__(self, live: LiveServer, folder: Path) -> None:
        self.live = live
        self.file = folder / "messages.jsonl"

    async def ask(
        self, method: str, path: str, data: str | bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of one call."""
        body = data.encode() if isinstance(data, str) else data
        async with self.live.http.request(
            method, self.live.url + path, data=body or None, headers=headers
        ) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, json.loads(await answer.read())

    async def arrived(self, count: int) -> list[dict[str, Any]]:
        """The first ``count`` messages at the far end, once they are there."""
        async with asyncio.timeout(20):
            while len(lines := self._lines()) < count:  # noqa: ASYNC110 - a file tells nobody when it grows
                await asyncio.sleep(0.01)
        return lines

    def sent(self) -> int:
        """How many messages arrived until now."""
        return len(self._lines())

    def _lines(self) -> list[dict[str, Any]]:
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@asynccontextmanager
async def desk(folder: Path, face: str, name: str, secret: str, **more: Any) -> AsyncIterator[Desk]:
    """A server on ``folder`` whose application ``acme`` has one credential of this face."""
    async with live_server(folder, clock=more.pop("clock", None)) as live:
        await live.api_key("acme")
        await add(live, face, name, secret, **more)
        yield Desk(live, folder)


async def add(live: LiveServer, face: str, name: str, secret: str, **more: Any) -> None:
    """A further credential of that face for the same application."""
    await live.domain.credentials.add(
        face, "acme", secret, more.pop("settings", {}), live.clock.now(), name=name, **more
    )


async def found(live: LiveServer, face: str, destination: str) -> LoggedCall:
    """The newest call of a face that the API log knows under a destination, once it is written."""
    sought = Sought(face=face, destination=destination)
    async with asyncio.timeout(20):
        while not (page := await live.domain.calls.search(sought, None, 1)).items:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    call = page.items[0]
    assert isinstance(call, LoggedCall)
    return call
