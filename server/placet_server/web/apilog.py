"""The API log: who called what, when, from where, with which result. Rows are written a moment after the answers."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterator
from typing import Final

from placet_server.ports import Plan, Sql, Step, Store, StoreUnavailableError, Value
from placet_server.web.logging import event

WRITE_SECONDS: Final = 0.5
KEPT_MAX: Final = 20_000
_ROWS_A_PLAN: Final = 512
_ROWS_A_STATEMENT: Final = 32
_HEAD: Final = "INSERT INTO api_log (id, at, face, method, route, status, code, ip, application, credential, took_us) VALUES "
_ROW: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ADD: Final = Sql("api_log_add", _HEAD + _ROW)
# The writer's thread waits for the interpreter after each statement; many rows a statement disturb callers less.
_ADD_MANY: Final = Sql("api_log_add_many", _HEAD + ", ".join([_ROW] * _ROWS_A_STATEMENT))


class ApiLog:
    """Collects a row a call and writes them together, in a plan of their own, within a second.

    A row holds no parameter and no path value: the route is the template. While the store cannot write, the newest
    ``KEPT_MAX`` rows wait.
    """

    def __init__(self, store: Store, *, every: float = WRITE_SECONDS) -> None:
        self._store = store
        self._every = every
        self._rows: list[tuple[Value, ...]] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, *row: Value) -> None:
        """Note one call: id, at (ms), face, method, route, status, code, ip, application, credential, took_us."""
        self._rows.append(row)

    def start(self) -> None:
        """Begin to write every so often; needs a running loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write what is left and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.flush()

    async def flush(self) -> None:
        """Write what was noted until now; rows that the store refuses stay for the next time."""
        while rows := self._rows[:_ROWS_A_PLAN]:
            del self._rows[: len(rows)]
            try:
                await self._store.write(Plan(tuple(_steps(rows)), guards=0))
            except StoreUnavailableError:
                self._keep(rows)
                return

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - a defect in one batch must not end the log
                event("api_log_failed", level=logging.ERROR, error=error)

    def _keep(self, rows: list[tuple[Value, ...]]) -> None:
        waiting = rows + self._rows
        lost = max(0, len(waiting) - KEPT_MAX)
        self._rows = waiting[lost:]
        if lost:
            event("api_log_rows_lost", level=logging.ERROR, rows=lost)


def _steps(rows: list[tuple[Value, ...]]) -> Iterator[Step]:
    whole = len(rows) - len(rows) % _ROWS_A_STATEMENT
    for start in range(0, whole, _ROWS_A_STATEMENT):
        yield Step(_ADD_MANY, tuple(itertools.chain.from_iterable(rows[start : start + _ROWS_A_STATEMENT])))
    for row in rows[whole:]:
        yield Step(_ADD, row)
