from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from placet_server.delivery.turns import Turns, ended
from placet_server.testing import ManualClock


class Table:
    """What a deliverer does in its turns: writes down what it was given, and when it looked."""

    def __init__(self, *, busy: tuple[str, ...] = (), idle: float = 30.0) -> None:
        self.clock = ManualClock()
        self.taken: list[str] = []
        self.looks: list[float] = []
        self.due_at: int | None = None
        self.broken = 0
        self.moved = asyncio.Event()
        self.turns = Turns(self.clock, self.take, self.look, busy, idle=idle, trouble="not read")

    async def take(self, ids: list[str]) -> None:
        self.taken += ids
        self.moved.set()

    async def look(self) -> int | None:
        self.looks.append(asyncio.get_running_loop().time())
        self.moved.set()
        if self.broken:
            self.broken -= 1
            raise OSError
        return self.due_at

    async def until(self, told: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not told():
                self.moved.clear()
                await self.moved.wait()

    async def looked(self, times: int) -> float:
        """Wait until the table was looked into so often; the seconds since the first time."""
        await self.until(lambda: len(self.looks) >= times)
        return self.looks[-1] - self.looks[0]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.turns.run())
        await self.looked(1)
        try:
            yield
        finally:
            self.turns.stop()
            async with asyncio.timeout(1):
                await task


async def test_what_is_heard_is_taken_once_and_at_once() -> None:
    """Ids come in the order in which they were heard, also those from before the first turn; the table rests."""
    table = Table()
    table.turns.hear("a")
    async with table.running():
        assert table.taken == ["a"]
        table.turns.hear("b")
        table.turns.hear("c")
        await table.until(lambda: len(table.taken) >= 3)
        table.turns.wake()
        await asyncio.sleep(0.02)
    assert table.taken == ["a", "b", "c"]
    assert len(table.looks) == 1


async def test_the_table_is_looked_into_when_its_next_row_is_due() -> None:
    """At the time that the last look told, or earlier when somebody asks for it; without rows after ``idle`` seconds."""
    table = Table()
    table.due_at = table.clock.now() + 200
    async with table.running():
        assert 0.2 <= await table.looked(2) < 1
        table.due_at = None
        table.turns.look_in(0)
        await table.looked(3)
        table.turns.look_in(0.1)
        table.turns.look_in(5)
        await table.looked(4)
        assert 0.1 <= table.looks[3] - table.looks[2] < 1
    table = Table(idle=0.05)
    async with table.running():
        assert 0.05 <= await table.looked(2) < 1


async def test_what_is_under_way_makes_no_busy_loop() -> None:
    """A row that is due because its deliverer is still at it has the table looked into once a second."""
    table = Table(busy=("row",))
    table.due_at = table.clock.now()
    async with table.running():
        assert await table.looked(2) >= 1


async def test_a_table_that_cannot_be_read_is_read_again(caplog: pytest.LogCaptureFixture) -> None:
    """The failure is logged, a second goes by, and the turns go on."""
    table = Table()
    table.broken = 1
    with caplog.at_level(logging.ERROR, "placet"):
        async with table.running():
            assert 1 <= await table.looked(2) < 5
            table.turns.hear("a")
            await asyncio.sleep(0.02)
    assert [record.message for record in caplog.records] == ["not read"]
    assert table.taken == ["a"]


async def test_what_is_under_way_gets_its_grace() -> None:
    """What ends in time ends by itself; what hangs is cancelled, and awaited."""
    quick = asyncio.create_task(asyncio.sleep(0.05))
    hangs = asyncio.create_task(asyncio.sleep(60))
    await ended((quick, hangs), 0.3)
    assert not quick.cancelled()
    assert hangs.cancelled()
    await ended((), 60)
