"""``GET /v1/log``: the application's own calls on every face, for keys with scope ``log:read``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from aiohttp import web
from msgspec import Meta, Struct

from placet_server.domain.calllog import LoggedCall, Sought
from placet_server.domain.services import Domain
from placet_server.faces import Face
from placet_server.web.gate import Call, Doc, Gate
from placet_server.web.wire import After, Limit, milliseconds, query, reply, rfc3339

PATH: Final = "/v1/log"
Time = Annotated[datetime, Meta(tz=True)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]


class LogQuery(Struct, forbid_unknown_fields=True):
    """Which calls; times are RFC 3339, ``since`` is included and ``until`` is not."""

    since: Time | None = None
    until: Time | None = None
    ip: Annotated[str, Meta(max_length=64, description="An address or network (CIDR).")] | None = None
    face: Word | None = None
    method: Word | None = None
    route: Annotated[str, Meta(max_length=100, description="A part of the route's template.")] | None = None
    status: Annotated[int, Meta(ge=100, le=599)] | None = None
    code: (
        Annotated[
            str,
            Meta(min_length=1, max_length=64, description="Our word, or the one that a face's caller saw."),
        ]
        | None
    ) = None
    request_id: Word | None = None
    credential: Word | None = None
    user: Annotated[int, Meta(ge=1, lt=2**53)] | None = None
    destination: Annotated[str, Meta(min_length=3, max_length=254)] | None = None
    limit: Limit = 50
    after: After | None = None


class LogEntry(Struct, omit_defaults=True):
    """One call. ``code`` is the refusal's or the face's own result; values that could be secrets are ``***``."""

    request_id: str
    at: str
    ip: str
    face: str
    method: str
    route: str
    status: int
    took_us: int
    code: str | None = None
    credential: str | None = None
    agent: str | None = None
    subject: str | None = None
    parameters: dict[str, Any] = {}
    answer: Any = None
    facts: dict[str, Any] = {}


class LogPage(Struct):
    """Calls, newest first. ``next`` goes into ``after``; a page may be short and yet have a next one."""

    items: list[LogEntry]
    next: str | None


def mount(gate: Gate, router: web.UrlDispatcher, face: Face, domain: Domain) -> None:
    """Serve the log."""

    async def search(request: web.Request, call: Call) -> web.Response:
        wanted = query(request, LogQuery)
        sought = Sought(
            since=None if wanted.since is None else milliseconds(wanted.since),
            until=None if wanted.until is None else milliseconds(wanted.until),
            ip=wanted.ip,
            face=wanted.face,
            method=wanted.method,
            route=wanted.route,
            status=wanted.status,
            code=wanted.code,
            request_id=wanted.request_id,
            application=call.by.application.id,
            credential=wanted.credential,
            user=wanted.user,
            destination=wanted.destination,
        )
        page = await domain.calls.search(sought, wanted.after, wanted.limit)
        return reply(200, LogPage([_entry(item) for item in page.items], page.next))

    gate.add(
        router,
        "GET",
        PATH,
        search,
        face=face,
        scope="log:read",
        doc=Doc("Calls of the application, newest first", LogPage, query=LogQuery),
    )


def _entry(call: LoggedCall) -> LogEntry:
    return LogEntry(
        request_id=call.request_id,
        at=rfc3339(call.at),
        ip=call.ip,
        face=call.face,
        method=call.method,
        route=call.route,
        status=call.status,
        took_us=call.took_us,
        code=call.code,
        credential=call.credential,
        agent=call.agent,
        subject=call.subject,
        parameters=call.detail.parameters,
        answer=call.detail.answer,
        facts=call.detail.facts,
    )
