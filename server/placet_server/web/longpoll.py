"""Long polls: answer at once when something has happened, otherwise when it does or when the time is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from placet_server.ports import Bus, Clock, Topic
from placet_server.web.gate import Gate


class Ending(Protocol):
    """Something that ends by itself at ``expires_at`` (ms UTC)."""

    @property
    def expires_at(self) -> int:
        """When."""
        ...


E = TypeVar("E", bound=Ending)


async def poll(
    gate: Gate,
    clock: Clock,
    bus: Bus,
    topic: Topic,
    key: str,
    until: int,
    read: Callable[[int], Awaitable[E]],
    settled: Callable[[E], bool],
) -> E:
    """What ``read(now)`` gives once it is settled, at the latest at ``until`` (ms UTC) or when the server ends.

    It is read inside the watch, so that no change falls between reading and watching.
    """
    with bus.watch(topic, key) as changed:
        while True:
            now = clock.now()
            value = await read(now)
            if settled(value) or now >= until or gate.closing:
                return value
            await gate.wait(changed, max(1, min(until, value.expires_at) - now) / 1000)
