from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec import structs

from placet_server.ports import BrokenPlanError, Plan, Sql, StoreUnavailableError, plan, step
from placet_server.storage import SqliteStore, open_store
from placet_server.storage.writer import Outcome, Ran
from support.auditing import check_log
from support.plans import COUNTER, ENTRIES, FAILURES, TAKE, TAKEN, create

COUNT_LONG = Sql(
    "count_long",
    "UPDATE throttles SET failures = (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)"
    " SELECT count(*) FROM n) WHERE subject = ?",
)


class Places:
    """Which batches ran in the loop's thread: for each, how many plans and what became of them there.

    ``aside`` says how many plans each commit took with it that did not run there.
    """

    def __init__(self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[tuple[int, Ran | Exception]] = []
        self.aside: list[int] = []
        self.loop = threading.get_ident()
        writer = store._writer
        begin, finish = writer.begin, writer.finish

        def noted(plans: Sequence[Plan]) -> Ran | Exception:
            assert threading.get_ident() == self.loop
            self.begun.append((len(plans), begin(plans)))
            return self.begun[-1][1]

        def elsewhere(
            plans: Sequence[Plan], ran: Ran | Exception | None, aside: Sequence[Plan] = ()
        ) -> list[Outcome]:
            assert threading.get_ident() != self.loop
            self.aside.append(len(aside))
            return finish(plans, ran, aside)

        monkeypatch.setattr(writer, "begin", noted)
        monkeypatch.setattr(writer, "finish", elsewhere)

    def given_up(self) -> list[int]:
        """SQLite's codes for what could not be run in the loop."""
        return [
            int(getattr(ran, "sqlite_errorcode", -1)) for _, ran in self.begun if isinstance(ran, Exception)
        ]


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path / "placet.sqlite")
    yield opened
    await opened.close()


async def taken(store: SqliteStore) -> list[str]:
    return [lookup.decode() for (lookup,) in await store.rows(TAKEN)]


async def test_statements_run_in_the_loop_and_commits_elsewhere(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop runs the statements of every batch itself and never syncs; nothing of that is given up."""
    places = Places(store, monkeypatch)
    assert await asyncio.gather(*(store.write(create(f"n{number:03}")) for number in range(100))) == [0] * 100
    assert sum(count for count, _ in places.begun) == 100
    assert places.given_up() == []


async def test_a_statement_that_takes_long_does_not_hold_up_the_loop(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after a moment and done beside the loop, with all plans of its batch, each once and in order."""
    await store.write(plan(step(COUNTER, b"s"), guards=0))
    places = Places(store, monkeypatch)
    slow = plan(step(TAKE, b"slow"), step(COUNT_LONG, b"s", rows=1))
    plans = [create("a"), create("b"), slow, create("c"), create("b")]
    assert await asyncio.gather(*(store.write(each) for each in plans)) == [0, 0, 0, 0, 1]
    assert places.given_up() == [sqlite3.SQLITE_INTERRUPT]
    assert await taken(store) == ["a", "b", "c", "slow"]
    assert await store.row(FAILURES, (b"s",)) == (1_000_000,)
    assert len(await store.rows(ENTRIES)) == 3
    assert await check_log(store, []) is None


async def test_a_lock_of_somebody_else_does_not_hold_up_the_loop(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop asks for it without waiting; a write waits in the other thread until the lock is free, or is refused."""
    other = sqlite3.connect(tmp_path / "placet.sqlite", isolation_level=None, check_same_thread=False)
    places, loop = Places(store, monkeypatch), asyncio.get_running_loop()
    for name in ("first", "second"):
        other.execute("BEGIN IMMEDIATE")
        asked = loop.time()
        writing = asyncio.create_task(store.write(create(name)))
        for _ in range(6):  # until the loop has tried
            await asyncio.sleep(0)
        assert loop.time() - asked < 0.9  # a wait for the lock lasts a second
        other.execute("COMMIT")
        assert await writing == 0
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError) as refused:
        await store.write(create("refused"))
    assert refused.value.reason == "SQLITE_BUSY"
    other.execute("COMMIT")
    other.close()
    assert places.given_up() == [sqlite3.SQLITE_BUSY] * 3
    assert await store.write(create("third")) == 0
    assert await taken(store) == ["first", "second", "third"]
    assert await check_log(store, []) is None


async def test_a_batch_is_closed_before_it_holds_up_the_loop(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many plans wait, those of one batch have a bounded number of statements; order and answers stay."""
    monkeypatch.setattr("placet_server.storage.sqlite._STEPS_A_BATCH", 10)
    places = Places(store, monkeypatch)
    answers = await asyncio.gather(*(store.write(create(f"n{number // 2:03}")) for number in range(100)))
    assert answers == [0, 1] * 50
    assert max(count for count, _ in places.begun) == 5
    bodies = [body for _, body in await store.rows(ENTRIES)]
    assert [name for name in await taken(store) for body in bodies if f'"{name}"' in body] == await taken(
        store
    )
    assert await check_log(store, []) is None


async def test_what_is_written_aside_is_not_run_in_the_loop(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plans that write much for nobody leave the loop to callers, go one by one with the commits, and fail alone."""
    places = Places(store, monkeypatch)
    aside = [structs.replace(create(name), aside=True) for name in ("c", "d", "a")]
    plans = [create("a"), create("b"), *aside, create("e"), create("f")]
    assert await asyncio.gather(*(store.write(each) for each in plans)) == [0, 0, 0, 0, 1, 0, 0]
    assert [count for count, _ in places.begun] == [4]
    assert places.aside == [1, 1, 1]
    assert await taken(store) == ["a", "b", "c", "d", "e", "f"]
    assert [number for number, _ in await store.rows(ENTRIES)] == [0, 1, 2, 3, 4, 5]
    assert await check_log(store, []) is None


async def test_what_is_written_aside_can_spoil_nothing_else(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan aside that is broken is refused; the callers' plans in the same commit are written, and its rows are not."""
    places = Places(store, monkeypatch)
    whole = create("spoilt")
    broken = structs.replace(
        whole, aside=True, steps=(*whole.steps, step(Sql("no", "INSERT INTO nothing VALUES (1)")))
    )
    answers = await asyncio.gather(
        store.write(create("a")), store.write(broken), store.write(create("b")), return_exceptions=True
    )
    assert [answers[0], type(answers[1]), answers[2]] == [0, BrokenPlanError, 0]
    assert places.aside == [1]
    assert await taken(store) == ["a", "b"]
    assert await check_log(store, []) is None


async def test_what_is_written_aside_leaves_room_for_callers(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk has no room for what is aside, that alone is refused."""
    await store.write(create("before"))
    places = Places(store, monkeypatch)
    connection = store._writer._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 10}")
    keep = Sql("facts_add", "INSERT INTO facts (name, value) VALUES (?, ?)")
    large = Plan((step(keep, "large", bytes(200_000)),), guards=0, aside=True)
    answers = await asyncio.gather(
        store.write(create("a")), store.write(large), store.write(create("b")), return_exceptions=True
    )
    assert [answers[0], answers[2]] == [0, 0]
    assert isinstance(answers[1], StoreUnavailableError)
    assert answers[1].reason == "SQLITE_FULL"
    assert places.aside == [1, 0]  # and once more without
    broken = plan(step(Sql("no", "INSERT INTO nothing VALUES (1)")), guards=0)
    others = await asyncio.gather(*map(store.write, (create("c"), broken, large)), return_exceptions=True)
    assert [others[0], *map(type, others[1:])] == [0, BrokenPlanError, StoreUnavailableError]
    assert await taken(store) == ["a", "b", "before", "c"]
    assert await check_log(store, []) is None


async def test_a_batch_does_not_gather_for_ever(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that has gathered for its time begins, whatever the turns of the loop may still bring."""
    monkeypatch.setattr("placet_server.storage.sqlite._PATIENCE", 0.0)
    monkeypatch.setattr("placet_server.storage.sqlite._QUIET", 10**9)
    places = Places(store, monkeypatch)
    async with asyncio.timeout(5):
        assert await store.write(create("a")) == 0
    assert [count for count, _ in places.begun] == [1]


async def test_a_batch_gathers_while_the_turns_of_the_loop_bring_more(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers that come one a turn share a commit; after some turns without one it begins, and a full one at once."""
    monkeypatch.setattr("placet_server.storage.sqlite._PATIENCE", 60.0)
    places = Places(store, monkeypatch)

    async def after(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await store.write(create(f"n{turns:02}"))

    assert await asyncio.gather(*map(after, range(20))) == [0] * 20
    assert [count for count, _ in places.begun] == [20]
    monkeypatch.setattr("placet_server.storage.sqlite._ENOUGH", 5)
    assert await asyncio.gather(*map(after, range(20, 40))) == [0] * 20
    assert places.begun[1][0] == 5
    assert sum(count for count, _ in places.begun) == 40


async def test_a_lull_is_when_the_batch_is_on_its_way(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody waits for begins after the statements of those who write, before their commit, or else at once."""
    places = Places(store, monkeypatch)
    async with asyncio.timeout(5):
        await store.lull()
    assert places.begun == []
    writing = [asyncio.create_task(store.write(create(name))) for name in "ab"]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await store.lull()
    assert [count for count, _ in places.begun] == [2]
    assert not any(each.done() for each in writing)
    assert await asyncio.gather(*writing) == [0, 0]
    waits = asyncio.create_task(store.lull())
    for _ in range(2):
        await asyncio.sleep(0)
    assert store._lulled
    waits.cancel()
    async with asyncio.timeout(5):
        await store.close()
        await store.lull()
    assert places.aside == [0]


async def test_a_commit_that_fails_refuses_the_batch_and_leaves_nothing(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statements that ran in the loop are undone when they cannot be committed; the log goes on as if they had not been."""
    await store.write(create("before"))
    commit = store._writer._commit

    def full(*_parts: Ran) -> list[Outcome]:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(store._writer, "_commit", full)
    refused = await asyncio.gather(*(store.write(create(name)) for name in "abc"), return_exceptions=True)
    assert [type(answer) for answer in refused] == [StoreUnavailableError] * 3
    monkeypatch.setattr(store._writer, "_commit", commit)
    assert await store.write(create("after")) == 0
    assert await taken(store) == ["after", "before"]
    assert [number for number, _ in await store.rows(ENTRIES)] == [0, 1]
    assert await check_log(store, []) is None
