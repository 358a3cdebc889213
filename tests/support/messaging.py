"""A messenger at work on a real core, between gateways that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from placet_server.carriers import Carriers
from placet_server.delivery.messenger import Messenger
from placet_server.domain.destinations import Destination
from placet_server.domain.mail import MessageDraft, MessageInfo
from placet_server.domain.onecode import CodeDraft
from placet_server.domain.texts import Text
from placet_server.gateways.base import Carrier
from placet_server.plugin import Gateway, Outgoing
from placet_server.ports import Bus
from placet_server.testing import SeededEntropy
from support.answering import ORIGIN, World

ANA = Destination("phone", "+48600100200")
MAIL = Destination("email", "ana@example.org")


def numbered(number: int) -> Destination:
    """One of many telephones."""
    return Destination("phone", f"+48600{number % 90 + 10}{number:04}")


class Post:
    """What messages are sent by, and what became of them."""

    def __init__(self, made: World, messenger: Messenger, carriers: Carriers) -> None:
        self.world = made
        self.messenger = messenger
        self.carriers = carriers

    async def send(self, to: Destination = ANA, *channels: Any, seconds: int = 600, **changes: Any) -> str:
        """A plain message; its id."""
        wanted = channels or (("sms",) if to.kind == "phone" else ("email",))
        draft = MessageDraft(
            to=to,
            channels=wanted,
            texts={channel: Text(f"Hello by {channel}") for channel in wanted},
            expires_at=self.world.now + seconds * 1000,
            **changes,
        )
        info = await self.world.domain.messages.send(self.world.caller, draft, self.world.now)
        return info.id

    async def code(self, to: Destination = ANA, *channels: Any, **changes: Any) -> Any:
        """A new code on its way: what was issued."""
        draft = CodeDraft(destination=to, channels=channels or ("sms",), **changes)
        return await self.world.domain.codes.issue(self.world.caller, draft, self.world.now)

    async def info(self, message_id: str) -> MessageInfo:
        """How a message stands."""
        return await self.world.domain.messages.get(None, message_id)

    async def until(
        self, message_id: str, status: str, *, rounds: int = 0, within: float = 30.0
    ) -> MessageInfo:
        """Wait until a message has this state, after so many rounds at least."""
        async with asyncio.timeout(within):
            while True:
                info = await self.info(message_id)
                if info.status == status and info.attempts >= rounds:
                    return info
                await asyncio.sleep(0.005)

    async def idle(self) -> None:
        """Wait until no message is in a gateway's hands."""
        async with asyncio.timeout(30):
            while self.messenger._busy:  # noqa: ASYNC110 - nothing tells when the last one is done
                await asyncio.sleep(0.005)

    async def report(self, message: Outgoing, state: Any) -> bool:
        """What a gateway says of a message that it was given."""
        assert message.report_url is not None
        secret = message.report_url.rpartition("/")[2]
        return await self.world.domain.deliveries.reported(message.id, secret, state, self.world.now)

    async def later(self, seconds: float) -> None:
        """Let so much time pass on the server's clock, and look into the table."""
        self.world.clock.advance(seconds=seconds)
        await self.world.domain.deliveries.expire(self.world.now)
        self.messenger.wake()

    async def kinds(self) -> list[str]:
        """The events that an application was told, oldest first; it needs a webhook."""
        items = await self.world.domain.outbox.due(self.world.now + 10**9)
        return [str(item.body.payload).split('"type":"')[1].split('"')[0] for item in items if item.body]


@asynccontextmanager
async def post(
    made: World,
    *gateways: Gateway,
    deadline: float = 8.0,
    schedule: Sequence[float] = (5.0, 10.0, 20.0),
    bus: Bus | None = None,
    grace: float = 5.0,
    at_once: int = 32,
) -> AsyncIterator[Post]:
    """A messenger at work; afterwards it has ended cleanly."""
    carriers = Carriers([Carrier(gateway, timeout=deadline, at_once=at_once) for gateway in gateways])
    made.domain.guard._routes = carriers
    messenger = Messenger(
        made.domain.deliveries,
        made.domain.applications,
        carriers,
        bus or made.bus,
        made.clock,
        SeededEntropy("waits"),
        ORIGIN,
        schedule=schedule,
        grace=grace,
    )
    task = asyncio.create_task(messenger.run())
    await asyncio.sleep(0)
    try:
        yield Post(made, messenger, carriers)
    finally:
        messenger.stop()
        await task
