from __future__ import annotations

import asyncio

from placet_server.delivery.bus import LocalBus


async def test_a_watcher_wakes_for_its_own_key_only() -> None:
    """Who waits for one request is not woken by another, and leaves nothing behind when it stops waiting."""
    bus = LocalBus()
    with bus.watch("approval", "a") as event, bus.watch("approval", "a") as second:
        bus.publish("approval", "b")
        bus.publish("device", "a")
        assert not event.is_set()
        bus.publish("approval", "a")
        await asyncio.wait_for(event.wait(), 10)
        assert second.is_set()
    bus.publish("approval", "a")
    assert bus._watched == {}


async def test_a_listener_hears_each_key_until_it_ends() -> None:
    """Listeners hear every key of their topic in order; ending twice does no harm."""
    bus = LocalBus()
    heard: list[str] = []
    end = bus.listen("outbox", heard.append)
    bus.publish("outbox", "1")
    bus.publish("user", "2")
    bus.publish("outbox", "3")
    end()
    end()
    bus.publish("outbox", "4")
    assert heard == ["1", "3"]
