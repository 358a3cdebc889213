from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from placet_server.ports import BrokenPlanError, Plan, Sql, StoreUnavailableError, plan, step
from placet_server.storage import SqliteStore, open_store
from placet_server.storage.writer import Ran
from support.auditing import check_log
from support.plans import (
    ADD_OUTBOX,
    COUNTER,
    ENTRIES,
    FAILURES,
    ORGANIZATION,
    OUTBOX,
    RENAME_ALL,
    TAKE,
    TAKEN,
    counted,
    create,
)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path / "placet.sqlite")
    yield opened
    await opened.close()


def batches_of(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of every batch from now on; the writer does its work as ever."""
    sizes: list[int] = []
    finish = store._writer.finish

    def noted(plans: list[Plan], ran: Ran | Exception | None, aside: list[Plan]) -> list[int | Exception]:
        sizes.append(len(plans))
        return finish(plans, ran, aside)

    monkeypatch.setattr(store._writer, "finish", noted)
    return sizes


def left_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def names(store: SqliteStore) -> list[str]:
    return [lookup.decode() for (lookup,) in await store.rows(TAKEN)]


async def test_a_plan_is_readable_as_soon_as_it_is_answered(store: SqliteStore) -> None:
    """Guard, further step and log entry are all there for the next reader."""
    assert await store.write(create("a")) == 0
    assert await names(store) == ["a"]
    assert await store.rows(OUTBOX) == [("a",)]
    assert await store.row(ENTRIES) is not None


async def test_a_guard_that_takes_no_row_leaves_nothing_behind(store: SqliteStore) -> None:
    """The second taker of a name is told the guard's number; neither its outbox row nor its log entry is written."""
    await store.write(create("a"))
    assert await store.write(plan(step(TAKE, b"a"), step(ADD_OUTBOX, "b", "b"))) == 1
    assert await store.rows(OUTBOX) == [("a",)]
    assert len(await store.rows(ENTRIES)) == 1


async def test_a_later_guard_undoes_the_earlier_ones(store: SqliteStore) -> None:
    """With two guards the number of the failed one is answered, and what the first one took is free again."""
    await store.write(plan(step(COUNTER, b"s"), guards=0))
    answers = await asyncio.gather(*(store.write(counted(f"n{number:03}", b"s", 3)) for number in range(5)))
    assert answers == [0, 0, 0, 2, 2]
    assert await names(store) == ["n000", "n001", "n002"]
    assert await store.row(FAILURES, (b"s",)) == (3,)
    assert await store.write(counted("n000", b"s", 9)) == 1
    assert await store.row(FAILURES, (b"s",)) == (3,)
    assert len(await store.rows(ENTRIES)) == 3


async def test_many_callers_share_few_commits(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one batch is on its way all others gather; every caller is answered, none waits for ever."""
    sizes = batches_of(store, monkeypatch)
    answers = await asyncio.gather(*(store.write(create(f"n{number:03}")) for number in range(200)))
    assert answers == [0] * 200
    assert sum(sizes) == 200
    assert len(sizes) <= 4
    assert len(await store.rows(ENTRIES)) == 200


async def test_plans_are_written_in_the_order_in_which_they_came(store: SqliteStore) -> None:
    """Rows and log entries follow the order of the calls, and log numbers have no gap where a guard said no."""
    wanted = [f"n{number:03}" for number in range(50)]
    twice = [name for name in wanted for _ in range(2)]
    answers = await asyncio.gather(*(store.write(create(name)) for name in twice))
    assert answers == [0, 1] * 50
    assert await names(store) == wanted
    assert [row[0] for row in await store.rows(OUTBOX)] == wanted
    entries = await store.rows(ENTRIES)
    assert [number for number, _ in entries] == list(range(50))
    assert [name for name in wanted for _, body in entries if f'"{name}"' in body] == wanted
    assert await check_log(store, []) is None


@pytest.mark.parametrize(
    "bad",
    [
        plan(step(TAKE, b"bad"), step(ADD_OUTBOX, "n000", "conflict")),
        plan(step(TAKE, b"bad"), step(RENAME_ALL, rows=7)),
        plan(step(TAKE, b"bad"), step(RENAME_ALL, rows=7), step(ADD_OUTBOX, "x", "late")),
        plan(step(TAKE, b"bad"), step(Sql("wrong", "UPDATE nowhere SET a = 1"))),
        plan(step(TAKE, b"bad"), step(ADD_OUTBOX, "x", "\ud800")),
        plan(step(TAKE, b"bad"), step(COUNTER, 1 << 70)),
        plan(step(TAKE, b"bad"), step(RENAME_ALL), guards=2),
    ],
    ids=[
        "conflict",
        "row-count",
        "row-count-in-the-middle",
        "bad-sql",
        "surrogate",
        "huge-integer",
        "guard-of-many",
    ],
)
async def test_a_broken_plan_fails_alone(store: SqliteStore, bad: Plan) -> None:
    """A plan that fails after its guard is undone whole and told so; all others of its batch are written, in order."""
    await store.write(Plan(tuple(step(ORGANIZATION, name, name) for name in "abc"), guards=0))
    calls = [store.write(create(f"n{number:03}")) for number in range(20)]
    guards = [store.write(plan(step(TAKE, name))) for name in (b"before", b"behind")]
    calls[10:10] = [guards[0], store.write(bad), guards[1]]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers.pop(11), BrokenPlanError)
    assert answers == [0] * 22
    assert await names(store) == ["before", "behind", *(f"n{number:03}" for number in range(20))]
    assert len(await store.rows(OUTBOX)) == 20
    assert await check_log(store, []) is None


async def test_a_later_guard_sees_what_an_earlier_plan_of_the_batch_did(store: SqliteStore) -> None:
    """Of many concurrent takers of one name exactly one wins, in one batch as in many."""
    answers = await asyncio.gather(*(store.write(create("one")) for _ in range(100)))
    assert sorted(answers) == [0] + [1] * 99


async def test_a_caller_that_gives_up_does_not_disturb_the_others(store: SqliteStore) -> None:
    """A cancelled call's plan is still written or not as a whole; its neighbours get their answers."""
    tasks = [asyncio.create_task(store.write(create(f"n{number:03}"))) for number in range(10)]
    await asyncio.sleep(0)
    tasks[5].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers.pop(5), asyncio.CancelledError)
    assert answers == [0] * 9
    assert await names(store) == [f"n{number:03}" for number in range(10)]


async def test_too_many_waiting_plans_are_turned_away(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit a caller is told to come back; those already waiting are served."""
    monkeypatch.setattr("placet_server.storage.sqlite._MAX_WAITING", 5)
    answers = await asyncio.gather(
        *(store.write(create(f"n{number:03}")) for number in range(10)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, StoreUnavailableError)]
    assert answers.count(0) == 5
    assert [answer.reason for answer in refused] == ["crowded"] * 5


async def test_close_finishes_what_was_accepted(tmp_path: Path) -> None:
    """Writes in flight are answered before the file is let go; later ones are refused, as are reads."""
    path = tmp_path / "placet.sqlite"
    store = await open_store(path)
    writing = [asyncio.create_task(store.write(create(f"n{number:03}"))) for number in range(50)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*writing) == [0] * 50
    for late in (store.write(create("late")), store.row(TAKEN)):
        with pytest.raises(StoreUnavailableError) as refused:
            await late
        assert refused.value.reason == "closed"
    await store.close()
    assert left_in(tmp_path) == ["placet.sqlite", "placet.sqlite.lock"]
    again = await open_store(path)
    assert len(await names(again)) == 50
    await again.close()


async def test_numbers_of_the_log_go_on_after_a_restart(tmp_path: Path) -> None:
    """The tree is read back, so entry numbers and root continue as if the store had never been closed."""
    for run in range(3):
        store = await open_store(tmp_path / "placet.sqlite")
        await asyncio.gather(*(store.write(create(f"{run}-{number}")) for number in range(7)))
        assert [number for number, _ in await store.rows(ENTRIES)] == list(range(7 * run + 7))
        assert await check_log(store, []) is None
        await store.close()


async def test_a_reader_cannot_write(store: SqliteStore) -> None:
    """The reading side refuses every change, even one that sneaks in as a query."""
    with pytest.raises((StoreUnavailableError, sqlite3.OperationalError)):
        await store.rows(Sql("sneaky", "DELETE FROM facts RETURNING name"))
    with pytest.raises(sqlite3.OperationalError):
        await store.row(Sql("wrong", "SELECT nothing FROM nowhere"))
