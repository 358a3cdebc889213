"""Receivers on loopback that answer as they are told, and keep what they got."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Reply = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """One listening server: its base URL, and each post as (path, headers, body)."""

    url: str
    posts: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def count(self, wanted: int, within: float = 20.0) -> None:
        """Wait until that many posts have come."""
        async with asyncio.timeout(within), self.arrived:
            await self.arrived.wait_for(lambda: len(self.posts) >= wanted)


@asynccontextmanager
async def receiver(reply: Reply | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port of 127.0.0.1; without ``reply`` it answers 204."""
    kept = Receiver("")

    async def take(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        async with kept.arrived:
            kept.posts.append((request.path_qs, {k.lower(): v for k, v in request.headers.items()}, body))
            kept.arrived.notify_all()
        return await reply(request, body) if reply else web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    kept.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield kept
    finally:
        await runner.cleanup()
