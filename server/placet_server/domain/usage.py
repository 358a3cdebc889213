"""How often each application did what, by calendar month: counts that outlive the log.

Counts are gathered in memory and written together, as the API log's rows are: a crash loses a second of them, never a
call.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Final, NamedTuple

from placet_server.ports import Plan, Sql, Store, StoreUnavailableError, step

_EPOCH_MONTH: Final = 1970 * 12
_MONTHS: Final = 12
_ADD: Final = Sql(
    "usage_add",
    "INSERT INTO usage (application, month, what, count) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (application, month, what) DO UPDATE SET count = usage.count + excluded.count",
)
_READ: Final = Sql(
    "usage_of_application",
    "SELECT month, what, count FROM usage WHERE application = ? AND month > ? ORDER BY month",
)


class Month(NamedTuple):
    """One month of UTC with its counts; what did not happen counts 0."""

    year: int
    month: int
    counts: Counter[str]


class Usage:
    """The counts of all applications."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: Counter[tuple[str, int, str]] = Counter()

    def add(self, application: str, what: str, now: int) -> None:
        """Count one more; ``what`` is a word of the face's."""
        self._pending[application, _month(now), what] += 1

    async def flush(self, now: int = 0) -> None:  # noqa: ARG002 - background work is called with the time
        """Write what was counted; while the store cannot write it is kept for the next time."""
        pending, self._pending = self._pending, Counter()
        if not pending:
            return
        steps = tuple(step(_ADD, *key, count) for key, count in sorted(pending.items()))
        try:
            await self._store.write(Plan(steps, guards=0))
        except StoreUnavailableError:
            self._pending.update(pending)
            raise

    async def months(self, application: str, now: int) -> list[Month]:
        """Of the last twelve months those in which something was counted, oldest first, and always this one."""
        await self.flush()
        this = _month(now)
        rows = await self._store.rows(_READ, (application, this - _MONTHS))
        found: dict[int, Counter[str]] = {}
        for month, what, number in (*rows, (this, "", 0)):
            found.setdefault(month, Counter())[what] = number
        return [Month(*_date(month), found[month]) for month in sorted(found)]


def _month(at: int) -> int:
    """Months since January 1970."""
    day = datetime.fromtimestamp(at / 1000, UTC)
    return day.year * 12 + day.month - 1 - _EPOCH_MONTH


def _date(month: int) -> tuple[int, int]:
    return (month + _EPOCH_MONTH) // 12, month % 12 + 1
