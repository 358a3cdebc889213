"""Erases what is old: calls in the API log, enrolments that came to nothing, ended requests, acknowledgements.

Audit entries stay.

Some hundred rows a commit, so that no sweep holds the store; ids begin with the time, so the old ones come first.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from placet_server.domain.calllog import CallLog, aside
from placet_server.ports import Sql, Store, step

DAY_MS: Final = 86_400_000
CHUNK: Final = 500
_END: Final = "~"  # after every id

_APPROVALS: Final = Sql(
    "approvals_old", "SELECT id FROM approvals WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?"
)
_ERASE_APPROVALS: Final = Sql(
    "approvals_erase", "DELETE FROM approvals WHERE id >= ? AND id < ? AND status <> 'pending'"
)
_ENROLLMENTS: Final = Sql(
    "enrollments_old", "SELECT id FROM enrollments WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?"
)
# Those that were confirmed stay with their user: a user who ever had a device gets no further one unasked.
_ERASE_ENROLLMENTS: Final = Sql(
    "enrollments_erase",
    "DELETE FROM enrollments WHERE id >= ? AND id < ? AND status IN ('void', 'expired')",
)
_ACKS: Final = Sql(
    "acks_next",
    "SELECT device, item FROM acks WHERE (device, item) >= (?, ?) ORDER BY device, item LIMIT 1 OFFSET ?",
)
_ERASE_ACKS: Final = Sql(
    "acks_erase",
    "DELETE FROM acks WHERE (device, item) >= (?, ?) AND (device, item) < (?, ?) AND acked_at < ?",
)


class Kept(Struct, frozen=True, kw_only=True):
    """For how many days each is kept; 0: for ever."""

    log: int = 90
    approvals: int = 365
    enrollments: int = 30
    acks: int = 90


class Retention:
    """The sweeps of everything that is kept for a time."""

    def __init__(self, store: Store, calls: CallLog, kept: Kept) -> None:
        self._store = store
        self._calls = calls
        self._kept = kept

    async def sweep(self, now: int) -> None:
        """Erase what is older than it may be, as of ``now`` (ms UTC)."""
        kept = self._kept
        if kept.log:
            await self._calls.sweep(now - kept.log * DAY_MS)
        if kept.approvals:
            await self._by_id(_APPROVALS, _ERASE_APPROVALS, now - kept.approvals * DAY_MS)
        if kept.enrollments:
            await self._by_id(_ENROLLMENTS, _ERASE_ENROLLMENTS, now - kept.enrollments * DAY_MS)
        if kept.acks:
            await self._acks(now - kept.acks * DAY_MS)

    async def _by_id(self, following: Sql, erase: Sql, before: int) -> None:
        start, end = "", _id_of(before)
        while (row := await self._store.row(following, (start, end, CHUNK))) is not None:
            await self._store.write(aside(step(erase, start, row[0])))
            start = row[0]
        await self._store.write(aside(step(erase, start, end)))

    async def _acks(self, before: int) -> None:
        start: tuple[str, str] = ("", "")
        while (row := await self._store.row(_ACKS, (*start, CHUNK))) is not None:
            following = row[0], row[1]
            await self._store.write(aside(step(_ERASE_ACKS, *start, *following, before)))
            start = following
        await self._store.write(aside(step(_ERASE_ACKS, *start, _END, _END, before)))


def _id_of(at: int) -> str:
    """Before every id that was made at this time (ms UTC) or later."""
    text = f"{max(at, 0):012x}"
    return f"{text[:8]}-{text[8:]}"
