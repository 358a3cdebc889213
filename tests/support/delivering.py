"""A dispatcher at work beside receivers that follow a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from placet_server.delivery.dispatcher import Dispatcher
from placet_server.delivery.egress import Egress
from placet_server.delivery.webhooks import SCHEDULE, WebhookSender
from placet_server.domain import outbox
from placet_server.domain.outbox import Item
from placet_server.ports import Plan
from placet_server.testing import SeededEntropy
from support.answering import World
from support.receivers import Receiver, receiver

LOOPBACK = ["127.0.0.0/8"]
Script = list[tuple[int, Mapping[str, str]]]


class Pushes:
    """Takes push rows and remembers them; fails while it is told to."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.broken = False

    async def needed(self, items: Sequence[Item]) -> set[str]:
        """Always."""
        return {item.id for item in items}

    async def push(self, item: Item, now: int) -> int | None:
        """Note the row."""
        self.taken.append(item.id)
        if self.broken:
            raise ValueError(now)
        return None

    async def close(self) -> None:
        """Nothing goes out."""


class Delivering:
    """A core with a dispatcher that can be started, stopped and started again."""

    def __init__(self, made: World) -> None:
        self.world = made
        self.pushes = Pushes()
        self.entropy = SeededEntropy("events")

    @asynccontextmanager
    async def running(
        self, *, total: float = 5, schedule: tuple[float, ...] = SCHEDULE, per_host: int = 4, grace: float = 5
    ) -> AsyncIterator[Dispatcher]:
        """A dispatcher at work; afterwards it has ended cleanly."""
        domain, egress = self.world.domain, Egress(allow=LOOPBACK, total=total)
        dispatcher = Dispatcher(
            domain.outbox,
            domain.applications,
            WebhookSender(egress),
            self.pushes,
            self.world.bus,
            self.world.clock,
            SeededEntropy("jitter"),
            schedule=schedule,
            per_host=per_host,
            grace=grace,
        )
        task = asyncio.create_task(dispatcher.run())
        try:
            yield dispatcher
        finally:
            dispatcher.stop()
            await task
            await egress.close()

    async def event(
        self, subject: str = "thing", *, callback: str | None = None, publish: bool = True
    ) -> str:
        """An event for the application; its id."""
        application = await self.world.domain.applications.by_id(self.world.application.id)
        steps = outbox.event(
            self.world.domain.outbox._sealer,
            self.entropy,
            application,
            "approval_request.approved",
            subject,
            {"id": subject},
            self.world.now,
            callback,
        )
        written = Plan(steps, 0)
        await self.world.store.write(written)
        if publish:
            outbox.announce(self.world.bus, written)
        return str(steps[0].params[0]).partition(".")[0]

    async def hook(self, url: str) -> str:
        """A webhook of the application; its secret."""
        made = await self.world.domain.applications.add_webhook("Acme", url, self.world.now)
        assert made.secret is not None
        return made.secret

    async def empty(self) -> bool:
        """Whether nothing is left to deliver."""
        return await self.world.count("outbox") == 0


@asynccontextmanager
async def scripted(*script: int | tuple[int, Mapping[str, str]]) -> AsyncIterator[Receiver]:
    """A receiver that answers by a script, then 204."""
    answers: Script = [each if isinstance(each, tuple) else (each, {}) for each in script]

    async def reply(request: web.Request, body: bytes) -> web.Response:
        del request, body
        status, headers = answers.pop(0) if answers else (204, {})
        return web.Response(status=status, headers=headers)

    async with receiver(reply) as kept:
        yield kept
