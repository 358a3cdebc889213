"""What the server writes about calls and about itself."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import random
from pathlib import Path

import pytest

from placet_server.ports import Plan, Row, Sql, StoreUnavailableError, Value
from placet_server.storage import open_store
from placet_server.testing import ClearSealer
from placet_server.web.apilog import KEPT_MAX, ApiLog, Noted
from placet_server.web.logging import event, log
from support.gated import logged

COLUMNS = 17
COUNT = Sql("count", "SELECT count(*) FROM api_log")


def noted(number: int) -> Noted:
    row = (f"{number:06d}", number, "native", "GET", "/v1/users", 200, None, "127.0.0.1", None, None, 50)
    return Noted(row, "agent/1", {}, "", (), {})


class Refusing:
    """A store that is full until it is told otherwise."""

    def __init__(self) -> None:
        self.full = True
        self.taken = 0
        self.writes = 0

    async def write(self, plan: Plan) -> int:
        if self.full:
            raise StoreUnavailableError("full")
        self.writes += 1
        self.taken += sum(len(step.params) // COLUMNS for step in plan.steps)
        return 0

    async def lull(self) -> None:
        pass

    async def row(self, sql: Sql, params: tuple[Value, ...] = ()) -> Row | None:
        raise NotImplementedError

    async def rows(self, sql: Sql, params: tuple[Value, ...] = ()) -> list[Row]:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class Holding(Refusing):
    """A store that is full, and says so when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()

    async def write(self, plan: Plan) -> int:
        self.asked.set()
        await self.answers.wait()
        return await super().write(plan)


async def test_rows_are_written_without_being_asked_and_at_the_end(tmp_path: Path) -> None:
    """What was noted is in the store a moment later, and the rest when the log stops."""
    store = await open_store(tmp_path / "log.db")
    apilog = ApiLog(store, ClearSealer(), every=0.01)
    apilog.start()
    for number in range(1200):
        apilog.add(noted(number))
    async with asyncio.timeout(20):
        while await store.row(COUNT) != (1200,):  # noqa: ASYNC110 - the log has no event for a written batch
            await asyncio.sleep(0.01)
    apilog.add(noted(5000))
    await apilog.stop()
    assert await store.row(COUNT) == (1201,)
    await store.close()


async def test_writing_what_was_noted_ends_while_calls_go_on(tmp_path: Path) -> None:
    """What was noted before is written, however fast further calls come; who waits for that need not wait for them."""
    store = await open_store(tmp_path / "placet.sqlite")
    apilog = ApiLog(store, ClearSealer())
    numbers = itertools.count()

    async def calls() -> None:
        while True:
            for _ in range(10):
                apilog.add(noted(next(numbers)))
            await asyncio.sleep(0)

    for _ in range(300):
        apilog.add(noted(next(numbers)))
    going_on = asyncio.create_task(calls())
    async with asyncio.timeout(20):
        await apilog.flush()
    going_on.cancel()
    (written,) = await store.row(COUNT) or (0,)
    assert written >= 300
    await apilog.stop()
    assert await store.row(COUNT) == (next(numbers),)
    await store.close()


async def test_rows_that_are_refused_while_the_log_stops_are_kept() -> None:
    """A stop waits for what is on its way to the store; what that refuses is among what was not written."""
    store = Holding()
    apilog = ApiLog(store, ClearSealer(), every=0.0)
    for number in range(300):
        apilog.add(noted(number))
    apilog.start()
    async with asyncio.timeout(20):
        await store.asked.wait()
        stopping = asyncio.create_task(apilog.stop())
        for _ in range(3):
            await asyncio.sleep(0)
        store.answers.set()
        await stopping
    assert len(apilog._rows) + len(apilog._noted) == 300


async def test_the_more_rows_wait_the_more_are_written_at_once() -> None:
    """A log that has fallen behind catches up in few writes, each of which may wait for a slow disk."""
    store = Refusing()
    store.full = False
    apilog = ApiLog(store, ClearSealer())
    for number in range(4_000):
        apilog.add(noted(number))
    await apilog.flush()
    assert store.taken == 4_000
    assert store.writes < 20


async def test_a_full_store_loses_the_oldest_rows_only_and_says_so() -> None:
    """Rows wait for the store within a bound; what did not fit is counted in the log."""
    store = Refusing()
    apilog = ApiLog(store, ClearSealer())
    async with logged() as out:
        for number in range(KEPT_MAX + 7):
            apilog.add(noted(number))
        await apilog.flush()
        assert json.loads(out.getvalue().splitlines()[-1])["rows"] == 7
        store.full = False
        await apilog.flush()
    assert store.taken == KEPT_MAX


async def test_log_02_any_value_stays_one_escaped_line() -> None:
    """Line ends, escapes, bidi and other characters in values give exactly one ASCII line of JSON an event."""
    chance = random.Random(2)
    hostile = [
        "\r\n",
        '\n{"event":"forged"}',
        "\x1b[2J",
        "\u202e",
        "\u2028",
        "\x85",
        "\x00",
        "\ud800",
        "\u200b",
        '"',
        "\\",
    ]
    values = ["".join(chance.choices([*hostile, "a", " "], k=chance.randint(1, 9))) for _ in range(500)]
    async with logged() as out:
        for value in values:
            event("hostile", value=value)
    lines = out.getvalue().split("\n")
    assert lines.pop() == ""
    assert len(lines) == 500
    for line, value in zip(lines, values, strict=True):
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line)["value"] == value


async def test_log_01_libraries_write_no_values() -> None:
    """Arguments and exception texts of aiohttp and asyncio do not reach the log; their place does."""
    async with logged() as out:
        try:
            int("GET /?api_key=secret")
        except ValueError:
            logging.getLogger("aiohttp.server").exception("Error handling request from %s", "secret")
            logging.getLogger("asyncio").exception("secret in a formatted message")
        logging.getLogger("aiohttp.access").info("GET /?api_key=secret")
    assert "secret" not in out.getvalue()
    assert [json.loads(line)["error"] for line in out.getvalue().splitlines()] == ["ValueError", "ValueError"]


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
async def test_levels_are_respected(level: int) -> None:
    """An event below the level costs nothing and writes nothing."""
    async with logged() as out:
        log.setLevel(level)
        try:
            event("detail", level=logging.DEBUG)
        finally:
            log.setLevel(logging.NOTSET)
    assert bool(out.getvalue()) == (level == logging.DEBUG)
