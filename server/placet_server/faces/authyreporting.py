"""Reporting on the Authy face.

GET reporting/events    query[ATTRIBUTE][OPERATOR]=VALUE, page, per_page

    query[event][eq]=token_invalid · query[objects.user.s_authy_id][eq]=7 · query[time][gte]=2026-11-22T00:00:00Z
    200 {"success":true,"events":[…]}      newest first

Quirks: an attribute without operator is compared for equality; all conditions have to hold. The newest calls and answers
are looked at, so many; conditions on ``time`` lead further back. A condition that is not known is refused: leaving it out
would tell more than was asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple

from aiohttp import web

from placet_server.domain.asking import TTL_MAX
from placet_server.domain.calllog import Sought
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import ApprovalStatus, Page
from placet_server.faces import authyevents as events
from placet_server.faces import params
from placet_server.faces.authyevents import Event
from placet_server.faces.authyparts import PROTECTED, Row, integer, parameter
from placet_server.faces.authyreplies import Reply, error, ok
from placet_server.faces.switches import switch
from placet_server.web.gate import Call

CALLS_MAX: Final = 2_000  # some 40 µs of work each, in between other calls
ANSWERS_MAX: Final = 1_000
PAGES_MAX: Final = 100
PER_PAGE: Final = 50
PER_PAGE_MAX: Final = 100
_AT_ONCE: Final = 200
_ANSWERS: Final[tuple[ApprovalStatus, ...]] = ("approved", "denied")
_ATTRIBUTES: Final = frozenset(
    {
        "event",
        "time",
        "request_id",
        "request.id",
        "request.ip",
        "objects.app.s_id",
        "objects.user.s_authy_id",
        "objects.user.as_authy_ids",
        "objects.phone_verification.s_id",
        "objects.phone_verification.s_country_code",
        "objects.phone_verification.s_phone_number",
        "objects.phone_verification.s_status",
        "objects.onetouch_request.s_uuid",
        "objects.onetouch_request.s_status",
    }
)
_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda value, wanted: value == wanted,
    "lt": lambda value, wanted: value < wanted,
    "lte": lambda value, wanted: value <= wanted,
    "gt": lambda value, wanted: value > wanted,
    "gte": lambda value, wanted: value >= wanted,
    "lk": lambda value, wanted: str(wanted).casefold() in str(value).casefold(),
}


class _QueryError(ValueError):
    """A condition that cannot be understood."""


class _Condition(NamedTuple):
    """One condition; a wanted time is in ms UTC, everything else is text."""

    attribute: str
    operator: str
    wanted: str | int

    def lets(self, name: str) -> bool:
        """Whether events of this name can meet it."""
        return self.attribute != "event" or _OPERATORS[self.operator](name, self.wanted)

    def holds(self, event: Event) -> bool:
        """Whether an event meets it; what an event does not have meets nothing."""
        found: Any = event.told
        for name in self.attribute.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        if self.attribute == "time":
            found = event.at
        compare = _OPERATORS[self.operator]
        listed = found if isinstance(found, list) else [found]
        return any(compare(each, self.wanted) for each in listed if each is not None)


class ReportingRoutes:
    """Tells what happened."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    def rows(self) -> tuple[Row, ...]:
        """The routes of this part."""
        return (Row("GET", f"{PROTECTED}/reporting/events", self._events, "users"),)

    async def _events(self, request: web.Request, call: Call) -> web.Response:
        sent = await params.read(request)
        page = integer("page", parameter(sent, "page") or "1", 1, PAGES_MAX)
        size = min(integer("per_page", parameter(sent, "per_page") or str(PER_PAGE), 1), PER_PAGE_MAX)
        try:
            conditions = _conditions(sent.get("query"))
        except _QueryError as why:
            return error(request, Reply(400, "60089", f"Reporting query is invalid: {why}"))
        found = await self._happened(call, conditions)
        shown = found[(page - 1) * size : page * size]
        return ok(request, success=True, events=[await self._told(event, call) for event in shown])

    async def _happened(self, call: Call, conditions: list[_Condition]) -> list[Event]:
        """What meets all conditions, newest first."""
        application = call.by.application
        since, until = _span(conditions)
        named = {name for name in events.NAMES if all(each.lets(name) for each in conditions)}
        found: list[Event] = []
        if named - {events.ANSWERED}:
            sought = Sought(since=since, until=until, face="authy", application=application.id)
            calls = await _all(partial(self._domain.calls.search, sought, limit=_AT_ONCE), CALLS_MAX)
            found += [event for each in calls if (event := events.of_call(each, application)) is not None]
        for status in _ANSWERS if events.ANSWERED in named else ():
            ask = partial(
                self._domain.approvals.page,
                application.id,
                call.now,
                status=status,
                created_from=None if since is None else max(0, since - TTL_MAX * 1000),
                created_to=until,
                limit=_AT_ONCE,
            )
            found += [events.of_answer(each, application) for each in await _all(ask, ANSWERS_MAX)]
        kept = [event for event in found if all(condition.holds(event) for condition in conditions)]
        return sorted(kept, key=lambda event: event.at, reverse=True)

    async def _told(self, event: Event, call: Call) -> dict[str, Any]:
        if event.user is None or "user" not in event.told["objects"]:
            return event.told
        try:
            user = await self._domain.users.by_tfa_id(call.by.org, event.user)
        except RefusedError:
            return event.told  # removed meanwhile, or never there
        return events.about(event, user, with_number=switch(call.by, "phone_number_export"))


async def _all(pages: Callable[..., Awaitable[Page]], at_most: int) -> list[Any]:
    """The newest items of a list that comes in pages; a page may be empty and have a next one."""
    found: list[Any] = []
    after: str | None = None
    for _ in range(at_most // _AT_ONCE):
        page = await pages(after=after)
        found += page.items
        if (after := page.next) is None:
            break
    return found


def _conditions(query: object) -> list[_Condition]:
    """The conditions of ``query[attribute][operator]=value``; raises ``_QueryError``."""
    if query in (None, "", {}):
        return []
    if not isinstance(query, dict):
        raise _QueryError("it names no attribute")
    found = []
    for attribute, said in query.items():
        if attribute not in _ATTRIBUTES:
            raise _QueryError(f"there is no attribute {_shown(attribute)} to search by")
        for operator, wanted in (said if isinstance(said, dict) else {"eq": said}).items():
            if operator not in _OPERATORS or not isinstance(wanted, str | int) or _odd(attribute, operator):
                raise _QueryError(f"{attribute} is compared by one of {', '.join(_OPERATORS)}")
            text = str(wanted).strip()
            found.append(_Condition(attribute, operator, _time(text) if attribute == "time" else text))
    return found


def _odd(attribute: str, operator: str) -> bool:
    return (attribute, operator) == ("time", "lk")


def _span(conditions: list[_Condition]) -> tuple[int | None, int | None]:
    """From when (included) to when (not) the conditions on ``time`` let anything be found, in ms UTC."""
    since: int | None = None
    until: int | None = None
    for attribute, operator, wanted in conditions:
        if attribute == "time" and isinstance(wanted, int):
            if operator in {"gt", "gte", "eq"}:
                since = max(wanted, since or 0)
            if operator in {"lt", "lte", "eq"}:
                until = min(wanted + 1, until or wanted + 1)
    return since, until


def _time(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        return round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise _QueryError("time is compared with a time of ISO 8601") from None


def _shown(text: object) -> str:
    return "".join(char for char in str(text)[:60] if char.isascii() and char.isprintable())
