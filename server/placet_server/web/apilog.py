"""The API log: who called what, when, from where, with which result. Rows are written a moment after the answers."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from msgspec import Struct

from placet_server.domain.calllog import Detail, destination_index, person_index
from placet_server.faces import logged
from placet_server.faces.logged import Logged
from placet_server.ports import Plan, Sealer, Sql, Step, Store, StoreUnavailableError, Value
from placet_server.web.logging import event

SENT: Final = web.RequestKey("sent", Mapping[str, Any])
"""Where a face keeps the parameters that it read, so that they can be logged."""

WRITE_SECONDS: Final = 0.5
KEPT_MAX: Final = 20_000
AGENT_MAX: Final = 100
_ROWS_A_PLAN: Final = 128
_ROWS_A_STATEMENT: Final = 32
_READ_AT_ONCE: Final = 64  # half a millisecond of the loop's time
_PART_MAX: Final = 1024
_PAIRS_MAX: Final = 50
_COLUMNS: Final = (
    "id, at, face, method, route, status, code, ip, application, credential, took_us,"
    " agent, subject, person, destination, sealed, told"
)
_HEAD: Final = f"INSERT INTO api_log ({_COLUMNS}) VALUES "  # noqa: S608 - constant text
_ROW: Final = f"({', '.join('?' * (_COLUMNS.count(',') + 1))})"
_ADD: Final = Sql("api_log_add", _HEAD + _ROW)
# A thread waits for the interpreter after each statement; many rows a statement disturb callers less.
_ADD_MANY: Final = Sql("api_log_add_many", _HEAD + ", ".join([_ROW] * _ROWS_A_STATEMENT))

Row = tuple[Value, ...]


class Noted(Struct, frozen=True, gc=False):
    """One call as the gate saw it. Nothing in it has been read or masked yet: that happens when it is written."""

    row: Row
    """id, at (ms), face, method, route, status, code, ip, application, credential, took_us."""
    agent: str | None
    path: Mapping[str, str]
    """The variables of the path."""
    query: str
    queried: tuple[str, ...]
    """Names of query parameters that may be kept, on routes that are described."""
    facts: Mapping[str, Any]
    sent: Mapping[str, Any] | None = None
    answer: bytes = b""
    media: str = ""


class ApiLog:
    """Collects a row a call and writes them together, aside from the callers' plans, within a second.

    Of a native call a row holds ids and what its handler noted; of a foreign one parameters and answer by the allow-list
    of its face, sealed. While the store cannot write, the newest ``KEPT_MAX`` rows wait.
    """

    def __init__(self, store: Store, sealer: Sealer, *, every: float = WRITE_SECONDS) -> None:
        self._store = store
        self._sealer = sealer
        self._every = every
        self._noted: list[Noted] = []
        self._rows: list[Row] = []
        self._task: asyncio.Task[None] | None = None
        self._flushing = asyncio.Lock()
        self._person = lru_cache(maxsize=16_384)(self._indexed)

    def add(self, noted: Noted) -> None:
        """Note one call."""
        self._noted.append(noted)

    def start(self) -> None:
        """Begin to write every so often; needs a running loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write what is left and end."""
        if self._task is not None:
            async with self._flushing:  # what is on its way to the store has to be kept should that refuse it
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.flush()

    async def flush(self) -> None:
        """Write what was noted until now; rows that the store refuses stay for the next time."""
        async with self._flushing:  # what somebody else is about to write was noted before, too
            left = len(self._noted) + len(self._rows)  # while calls go on there is always more
            while left > 0:
                await self._store.lull()
                count = _part(len(self._noted), _READ_AT_ONCE)
                noted, self._noted = self._noted[:count], self._noted[count:]
                self._rows += [self._row(each) for each in noted]
                if self._noted and len(self._rows) < _ROWS_A_PLAN:
                    continue
                rows = self._rows[: _part(len(self._rows), _ROWS_A_PLAN)]
                del self._rows[: len(rows)]
                left -= len(rows)
                try:
                    await self._store.write(Plan(tuple(_steps(rows)), guards=0, aside=True))
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

    def _row(self, noted: Noted) -> Row:
        """The row as it is stored. What cannot be read is left out: a call without its row would be worse."""
        try:
            return self._read(noted)
        except Exception as error:  # noqa: BLE001 - as it says
            event("api_log_detail_failed", level=logging.ERROR, error=error)
            return (*noted.row, None, None, None, None, None, None)

    def _read(self, noted: Noted) -> Row:
        row, path, facts = noted.row, noted.path, dict(noted.facts)
        kept = logged.TABLE.get(str(row[2]))
        subject: object = None
        user: object = None
        destination: object = None
        if facts:
            subject, user = facts.pop("subject", None), facts.pop("user", None)
            destination = facts.pop("destination", None)
            if (code := facts.pop("code", None)) is not None and row[6] is None:
                row = (*row[:6], str(code), *row[7:])
        detail = told = None
        if kept is None:
            subject = subject or path.get("id")
            user = user or path.get("tfa_id")
            queried = {name: value for name, value in _pairs(noted.query) if name in noted.queried}
            if queried or facts:
                detail = Detail(queried, None, facts)
        else:
            sent = _sent(noted)
            user = user or sent.get(kept.user)
            destination = destination or _destination(kept, sent)
            answer = logged.answer(kept, noted.answer, noted.media)
            detail = Detail(logged.parameters(kept, sent), answer, facts)
            if noted.row[6] is not None:
                told = logged.said(kept, noted.answer)
            if called := logged.operation(kept, sent):
                row = (*row[:4], f"{row[4]!s} {called}", *row[5:])
        return (
            *row,
            None if noted.agent is None else _agent(noted.agent),
            None if subject is None else str(subject)[:64],
            None if user is None else self._person(str(user)),
            None if not destination else destination_index(self._sealer, str(destination)),
            None if detail is None else self._sealed(str(row[0]), detail),
            told,
        )

    def _indexed(self, user: str) -> str | None:
        known = user.isascii() and user.isdigit() and len(user) <= 18
        return person_index(self._sealer, int(user)) if known else None

    def _sealed(self, row_id: str, detail: Detail) -> bytes:
        return self._sealer.seal("pii", "api_log", row_id, msgspec.msgpack.encode(detail))

    def _keep(self, rows: list[Row]) -> None:
        waiting = rows + self._rows
        lost = max(0, len(waiting) + len(self._noted) - KEPT_MAX)
        self._rows = waiting[lost:]
        del self._noted[: max(0, lost - len(waiting))]
        if lost:
            event("api_log_rows_lost", level=logging.ERROR, rows=lost)


def _part(count: int, least: int) -> int:
    """How many of those that wait are next: the more wait the more, so that no stream of calls leaves them behind."""
    return max(least, min(count // 4, _PART_MAX))


def _steps(rows: list[Row]) -> Iterator[Step]:
    whole = len(rows) - len(rows) % _ROWS_A_STATEMENT
    for start in range(0, whole, _ROWS_A_STATEMENT):
        yield Step(_ADD_MANY, tuple(itertools.chain.from_iterable(rows[start : start + _ROWS_A_STATEMENT])))
    for row in rows[whole:]:
        yield Step(_ADD, row)


def _sent(noted: Noted) -> dict[str, Any]:
    """What a foreign caller sent: path, then what the face read, or where it did not come to that, the query."""
    sent = dict(_pairs(noted.query)) if noted.sent is None else noted.sent
    return {**sent, **noted.path}


def _destination(kept: Logged, sent: Mapping[str, Any]) -> str | None:
    """The first number or address among the parameters, with the country code that stands beside it."""
    inner = sent.get("user")
    for fields in (sent, inner if isinstance(inner, Mapping) else {}):
        for name in kept.destination:
            value = fields.get(name)
            if isinstance(value, str | int) and value:
                country = fields.get(kept.country) if kept.country and "@" not in str(value) else None
                return f"{country or ''}{value}"
    return None


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, errors="replace", max_num_fields=_PAIRS_MAX) if query else []
    except ValueError:
        return []


@lru_cache(1024)
def _agent(text: str) -> str:
    """A User-Agent as one short line of ASCII."""
    return text[:AGENT_MAX].encode("ascii", "backslashreplace").decode()[:AGENT_MAX]
