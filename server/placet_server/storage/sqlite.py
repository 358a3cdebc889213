"""Gathers the write plans of many callers and commits them together; reads beside it.

There is no timer: a batch gathers while another is on its way to the disk, and for as long as each of the loop's turns
brings more. So batches grow under load, and a single caller waits for some turns in which nothing happens.

The statements of a batch run in the event loop's own thread and its commit in another: a statement takes microseconds,
and a second thread that runs statements fights with the loop for the interpreter at each of them, which costs more than
the statements. Waiting for the disk takes a hundred times as long and holds nobody up. What may not be done in
microseconds (a lock that somebody else has, a statement that runs for long, an error) is done in the other thread, too.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from placet_server.ports import Plan, Row, Sql, StoreUnavailableError, Value
from placet_server.storage.errors import engines_name
from placet_server.storage.files import FileLock, connect_reader, connect_writer, make_private
from placet_server.storage.migrate import migrate
from placet_server.storage.writer import Outcome, Ran, Writer

_MAX_WAITING: Final = 10_000
"""Plans that may wait for a batch; beyond, callers are told to come back instead of waiting for seconds."""

_STEPS_A_BATCH: Final = 512
"""After so many statements a batch is closed, so that the loop is back at its calls after a few milliseconds."""

_ENOUGH: Final = 128
"""So many plans wait for no more."""
_QUIET: Final = 3
"""Turns of the loop without a new plan, after which a batch waits for no more.

A commit gives the interpreter to the other thread twice. While that thread asks for it, it is woken each time that the
loop lets go of it for a moment, dozens of times, which costs the loop more than the statements of a small batch.
"""
_PATIENCE: Final = 0.02
"""Seconds after which a batch waits for no more, however many turns bring more."""

_Waiting = list[tuple[Plan, asyncio.Future[int]]]


class SqliteStore:
    """A ``Store`` in one SQLite file. It belongs to the event loop in which it was opened."""

    def __init__(
        self, lock: FileLock, writer: Writer, reader: sqlite3.Connection, thread: ThreadPoolExecutor
    ) -> None:
        self._lock = lock
        self._writer = writer
        self._reader = reader
        self._thread = thread
        self._loop = asyncio.get_running_loop()
        self._waiting: _Waiting = []
        self._aside: _Waiting = []
        self._lulled: list[asyncio.Future[None]] = []
        self._busy = False
        self._gathers_until = 0.0  # by the loop's clock
        self._committing = False
        self.plans = 0
        """Plans taken since the start; divided by ``commits`` it says how well callers share the disk."""
        self.commits = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self._closed = False
        self._reading = False

    @classmethod
    async def open(cls, path: Path) -> SqliteStore:
        """Take the file's lock, check it, bring its tables up to date; raises ``StoreRefusedError``."""
        lock = FileLock(path)
        thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        try:
            writer, reader = await asyncio.get_running_loop().run_in_executor(thread, _prepare, path)
        except BaseException:
            thread.shutdown(wait=False)
            lock.release()
            raise
        return cls(lock, writer, reader, thread)

    async def write(self, plan: Plan) -> int:
        """Run a plan and answer after the commit is on disk: 0, or the number of the guard that took no row.

        Raises ``StoreUnavailableError`` and ``BrokenPlanError``; nothing was written then. A caller that is cancelled
        while it waits does not know whether its plan was written.
        """
        if self._closed:
            raise StoreUnavailableError("The store is closed.", "closed")
        waiting = self._aside if plan.aside else self._waiting
        if len(waiting) >= _MAX_WAITING:
            raise StoreUnavailableError("Too many writes are waiting.", "crowded")
        future: asyncio.Future[int] = self._loop.create_future()
        waiting.append((plan, future))
        self._wake()
        return await future

    async def lull(self) -> None:
        """Wait until the loop has little to do: all that waited is on its way to the disk, or nobody writes."""
        await asyncio.sleep(0)  # who calls this again and again lets others have their turn
        if self._closed or (self._committing and not self._waiting):
            return
        future: asyncio.Future[None] = self._loop.create_future()
        self._lulled.append(future)
        self._wake()
        await future

    async def row(self, sql: Sql, params: tuple[Value, ...] = ()) -> Row | None:
        """The first row of a query over what is committed, or None."""
        try:
            if not self._reading:
                self._begin_reading()
            found: Row | None = self._reader.execute(sql.text, params).fetchone()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        return found

    async def rows(self, sql: Sql, params: tuple[Value, ...] = ()) -> list[Row]:
        """All rows of a query over what is committed."""
        try:
            if not self._reading:
                self._begin_reading()
            return self._reader.execute(sql.text, params).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    async def close(self) -> None:
        """Finish what was accepted and let go of the file."""
        if self._closed:
            return
        self._closed = True
        await self._drained.wait()
        self._end_reading()
        self._reader.close()
        await self._loop.run_in_executor(self._thread, self._writer.close)
        self._thread.shutdown()
        self._lock.release()

    def _begin_reading(self) -> None:
        """Share one snapshot among all reads until the next commit of this store, which is the file's only writer.

        A read on its own takes and gives back a lock of the file, which costs more than the reading.
        """
        self._reader.execute("BEGIN")
        self._reading = True

    def _end_reading(self) -> None:
        """Let the next read see what was committed, and let the log of writes be moved into the data file."""
        if self._reading:
            self._reading = False
            self._reader.execute("COMMIT")

    def _wake(self) -> None:
        if not self._busy:
            self._busy = True
            self._drained.clear()
            self._gathers_until = self._loop.time() + _PATIENCE
            self._gather()

    def _rest(self) -> None:
        self._busy = False
        self._drained.set()

    def _gather(self, seen: int = 0, quiet: int = 0) -> None:
        """Start the next batch when enough waits or waited for long, or when turns of the loop brought nothing."""
        count = len(self._waiting)
        quiet = quiet + 1 if count == seen else 0
        if quiet >= _QUIET or count >= _ENOUGH or self._loop.time() >= self._gathers_until:
            self._start()
        else:
            self._loop.call_soon(self._gather, count, quiet)

    def _start(self) -> None:
        """Run what waits as one batch, and have it committed, with one plan of those aside."""
        batch = self._next_batch()
        aside, self._aside = self._aside[:1], self._aside[1:]
        self._committing = bool(batch or aside)
        if self._committing:
            self.plans += len(batch) + len(aside)
            self.commits += 1
            plans = [plan for plan, _ in batch]
            ran = self._writer.begin(plans) if plans else None
            self._thread.submit(self._commit, batch + aside, plans, ran, [plan for plan, _ in aside])
        else:
            self._rest()
        lulled, self._lulled = self._lulled, []
        for each in lulled:
            if not each.done():  # its caller was cancelled
                each.set_result(None)

    def _next_batch(self) -> _Waiting:
        """The next plans for the loop."""
        count = steps = 0
        for plan, _ in self._waiting:
            if steps >= _STEPS_A_BATCH:
                break
            count += 1
            steps += len(plan.steps)
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _commit(
        self, batch: _Waiting, plans: list[Plan], ran: Ran | Exception | None, aside: list[Plan]
    ) -> None:
        """In the other thread: one hand-over there and one back for the whole batch."""
        outcomes = self._writer.finish(plans, ran, aside)
        self._loop.call_soon_threadsafe(self._finish, batch, outcomes)

    def _finish(self, batch: _Waiting, outcomes: list[Outcome]) -> None:
        self._committing = False
        self._end_reading()
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():  # its caller was cancelled
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        # No await between the look at the lists and the flag: a plan that came in between would wait for ever.
        if self._waiting or self._aside or self._lulled:
            self._gathers_until = self._loop.time() + _PATIENCE
            self._gather()
        else:
            self._rest()

    def _unreadable(self, error: sqlite3.Error) -> Exception:
        """A wrong statement stays the defect it is; everything else means that the store cannot answer now."""
        if isinstance(error, sqlite3.ProgrammingError) and not self._closed:
            return error
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            return error
        reason = "closed" if self._closed else engines_name(error)
        return StoreUnavailableError(f"The store cannot be read now: {error}", reason)


def _prepare(path: Path) -> tuple[Writer, sqlite3.Connection]:
    """Open both connections; the writer comes first because a reader cannot create the log it reads."""
    make_private(path)
    connection = connect_writer(path)
    try:
        migrate(connection)
        return Writer(connection), connect_reader(path)
    except BaseException:
        connection.close()
        raise
