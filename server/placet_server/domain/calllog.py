"""What is kept of every call, and how it is found again. Rows are written by ``web/apilog.py``, a moment after the answers."""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from placet_server.domain.networks import Network, network, plain
from placet_server.domain.values import Page
from placet_server.ports import Plan, Row, Sealer, Sql, Step, Store, step

SCANNED_MAX: Final = 200_000
"""Rows that one search looks at; where more match, or may match, it gives a cursor to go on with."""
_AT_ONCE: Final = 500  # a millisecond of the loop's time
_VARIABLE: Final = re.compile(r"\{([a-z_]+):(?:[^{}]|\{[^{}]*\})+\}")
_LAST: Final = "~"  # after every id
_COLUMNS: Final = (
    "id, at, face, method, route, status, code, ip, application, credential, took_us, agent, subject, person,"
    " destination, sealed, told"
)
_NEWEST: Final = Sql(
    "api_log_newest",
    f"SELECT {_COLUMNS} FROM api_log"  # noqa: S608 - constant text
    " WHERE id < ? AND id >= ? AND ? IN ('', application) ORDER BY id DESC LIMIT ?",
)
_OF_DESTINATION: Final = Sql(
    "api_log_of_destination",
    f"SELECT {_COLUMNS} FROM api_log"  # noqa: S608 - as above
    " WHERE id < ? AND id >= ? AND ? IN ('', application) AND destination = ? ORDER BY id DESC LIMIT ?",
)
_OLDEST: Final = Sql("api_log_oldest", "SELECT id FROM api_log WHERE id < ? ORDER BY id LIMIT 1 OFFSET ?")
_ERASE: Final = Sql("api_log_erase", "DELETE FROM api_log WHERE id < ?")


class Detail(Struct, frozen=True, omit_defaults=True):
    """What is sealed beside a row: parameters and answer with masks, and what the call noted, such as effective values."""

    parameters: dict[str, Any] = {}
    answer: Any = None
    facts: dict[str, Any] = {}


class LoggedCall(Struct, frozen=True):
    """One call: ``code`` is the refusal's or the face's own result, ``subject`` the id of what it was about."""

    request_id: str
    at: int
    face: str
    method: str
    route: str
    status: int
    code: str | None
    ip: str
    application: str | None
    credential: str | None
    took_us: int
    agent: str | None
    subject: str | None
    detail: Detail


class Sought(Struct, frozen=True, kw_only=True):
    """What a search is for; times are ms UTC from ``since`` (included) to ``until`` (not), None means any."""

    since: int | None = None
    until: int | None = None
    ip: str | None = None
    face: str | None = None
    method: str | None = None
    route: str | None = None
    status: int | None = None
    code: str | None = None
    """Our word for a refusal or the face's own, whichever of the two a call has."""
    request_id: str | None = None
    application: str | None = None
    credential: str | None = None
    user: int | None = None
    destination: str | None = None


class CallLog:
    """The API log, as it is read."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def search(self, sought: Sought, after: str | None, limit: int) -> Page:
        """One page of ``LoggedCall``, newest first, at most ``limit``; a page may be short and yet have a next one.

        Raises ``invalid_request`` for an address or network that is none.
        """
        matches = _Matcher(sought, self._sealer)
        upper = min(_time_id(sought.until) or _LAST, after or _LAST)
        lower = _time_id(sought.since) or ""
        if sought.request_id is not None:
            lower, upper = max(lower, sought.request_id), min(upper, sought.request_id + "\x00")
        found: list[LoggedCall] = []
        for _ in range(SCANNED_MAX // _AT_ONCE):
            rows = await self._chunk(upper, lower, sought.application or "", matches.destination)
            for row in rows:
                if matches(row):
                    found.append(self._read(row))
                    if len(found) == limit:
                        return Page(tuple(found), row[0])
            if len(rows) < _AT_ONCE:
                return Page(tuple(found), None)
            upper = rows[-1][0]
            await asyncio.sleep(0)  # searching for rare rows must not hold up who calls
        return Page(tuple(found), upper)

    async def sweep(self, before: int) -> None:
        """Erase what is older than a time (ms UTC), some hundred rows a commit."""
        end = _time_id(before) or ""
        while (row := await self._store.row(_OLDEST, (end, _AT_ONCE))) is not None:
            await self._store.write(aside(step(_ERASE, row[0])))
        await self._store.write(aside(step(_ERASE, end)))

    async def _chunk(self, upper: str, lower: str, application: str, destination: str | None) -> list[Row]:
        if destination is None:
            return await self._store.rows(_NEWEST, (upper, lower, application, _AT_ONCE))
        return await self._store.rows(_OF_DESTINATION, (upper, lower, application, destination, _AT_ONCE))

    def _read(self, row: Row) -> LoggedCall:
        sealed = row[15]
        detail = Detail()
        if sealed is not None:
            detail = msgspec.msgpack.decode(self._sealer.open("pii", "api_log", row[0], sealed), type=Detail)
        return LoggedCall(*(*row[:4], template(row[4]), *row[5:13], detail))


class _Matcher:
    """Compares rows with what is sought, beyond time and application."""

    def __init__(self, sought: Sought, sealer: Sealer) -> None:
        self._equal = [
            (column, wanted)
            for column, wanted in (
                (2, sought.face),
                (3, sought.method and sought.method.upper()),
                (5, sought.status),
                (9, sought.credential),
                (13, None if sought.user is None else person_index(sealer, sought.user)),
            )
            if wanted is not None
        ]
        self._code = sought.code
        self._route = sought.route
        self._network: Network | None = None if sought.ip is None else network(sought.ip)
        self.destination = (
            None if sought.destination is None else destination_index(sealer, sought.destination)
        )

    def __call__(self, row: Row) -> bool:
        for column, wanted in self._equal:
            if row[column] != wanted:
                return False
        if self._code is not None and self._code not in {row[6], row[16]}:
            return False
        if self._route is not None and self._route not in template(row[4]):
            return False
        if self._network is None:
            return True
        address = plain(row[7])
        return address is not None and address in self._network


@lru_cache(1024)
def template(route: str) -> str:
    """A route as people read it, its variables without their patterns: ``/v1/users/{tfa_id}``."""
    return _VARIABLE.sub(r"{\1}", route)


def aside(erase: Step) -> Plan:
    """The plan of one bite of a sweep, for which no caller waits."""
    return Plan((erase,), guards=0, aside=True)


def person_index(sealer: Sealer, tfa_id: int) -> str:
    """By what the calls about a user are found."""
    return sealer.index("api_log.person", str(tfa_id)).hex()


def destination_index(sealer: Sealer, text: str) -> str:
    """By what the calls about a telephone number or e-mail address are found, however it was written."""
    return sealer.index("api_log.destination", spelled(text)).hex()


def spelled(text: str) -> str:
    """A destination as it is compared: an address in lower case, a number as digits without 00 before them."""
    text = text.strip()
    if "@" in text:
        return text.casefold()
    return "".join(filter(str.isdecimal, text)).removeprefix("00")


def _time_id(at: int | None) -> str | None:
    return None if at is None else f"{max(at, 0):012x}"
