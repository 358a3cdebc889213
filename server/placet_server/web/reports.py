"""Where gateways' vendors report what became of a message: a URL for each message and gateway, with the message's secret.

A wrong secret, an unknown message and one that is erased get the same answer as any path that does not exist.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol
from urllib.parse import parse_qsl

from aiohttp import web

from placet_server.domain.messages import Messages
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import Caller
from placet_server.plugin import Report, ReportedState
from placet_server.web.gate import Call, Gate, body
from placet_server.web.problems import problem
from placet_server.web.wire import no_content

PATH: Final = "/gateway/reports/{gateway:[a-z0-9_-]{1,64}}/{id:[0-9a-f-]{36}}/{secret:[A-Za-z0-9_-]{32}}"
_FIELDS_MAX: Final = 100
_PAUSES: Final = (0.05, 0.2, 0.75)
"""Seconds to wait for a gateway's own answer that its report has overtaken."""


class Readers(Protocol):
    """The gateways as this module asks them."""

    def read_report(self, name: str, report: Report) -> ReportedState | None:
        """What a call says by the reading of one gateway; None when it says nothing."""
        ...


class ReportFace:
    """Vendors have no credential but the URL."""

    name = "gateway"

    async def authenticate(self, request: web.Request, now: int) -> Caller | None:
        """Nobody."""
        del request, now
        return None

    def refusal(self, request: web.Request, error: RefusedError, request_id: str) -> web.Response:
        """A problem."""
        del request
        return problem(error, request_id)


def mount(gate: Gate, router: web.UrlDispatcher, domain: Domain, readers: Readers, public_url: str) -> None:
    """Add the routes, for the methods that vendors use."""
    face = ReportFace()

    async def take(request: web.Request, call: Call) -> web.Response:
        at = request.match_info
        gateway, message_id, secret = at["gateway"], at["id"], at["secret"]
        # "sent" is what every message that was reported on is; asking so checks the secret and changes nothing.
        if not await domain.deliveries.reported(message_id, secret, "sent", call.now):
            raise RefusedError("not_found", "There is nothing at this path.")
        state = readers.read_report(gateway, await _report(request, public_url))
        if state == "undelivered" and not await _carried_by(domain.messages, message_id, gateway):
            state = None  # another gateway has the message now
        if state is not None:
            await domain.deliveries.reported(message_id, secret, state, call.now)
        return no_content()

    for method in ("GET", "POST"):
        gate.add(router, method, PATH, take, face=face)


async def _report(request: web.Request, public_url: str) -> Report:
    content = await body(request)
    form: list[tuple[str, str]] = []
    if request.content_type == "application/x-www-form-urlencoded":
        form = _pairs(content.decode("utf-8", "replace"))
    return Report(
        request.method,
        public_url + request.rel_url.raw_path_qs,
        tuple(_pairs(request.rel_url.raw_query_string)),
        tuple(form),
        request.headers,
        content,
    )


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise RefusedError("invalid_request", f"A report has at most {_FIELDS_MAX} fields.") from None


async def _carried_by(messages: Messages, message_id: str, gateway: str) -> bool:
    """Whether it was this gateway that took a message; waits a moment while none is known to have."""
    for pause in (*_PAUSES, 0.0):
        info = await messages.get(None, message_id)
        if info.gateway is not None or info.status != "sending":
            return info.gateway == gateway
        await asyncio.sleep(pause)
    return False
