"""A small application behind a real gate on a real socket, for what the gate itself promises."""

from __future__ import annotations

import asyncio
import io
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from placet_server.domain.limits import RateLimit
from placet_server.domain.policies import Policies
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Application, Caller
from placet_server.ports import Store
from placet_server.storage import open_store
from placet_server.testing import ClearSealer, ManualClock, SeededEntropy
from placet_server.web import logging as lines
from placet_server.web.apilog import ApiLog
from placet_server.web.connections import Connections
from placet_server.web.gate import Gate
from placet_server.web.peer import Peers
from placet_server.web.problems import problem


class PlainFace:
    """Knows callers by a header of their own name and scopes, and speaks in problems."""

    name = "native"

    def __init__(self, policies: Policies | None = None) -> None:
        self._policies = policies or Policies()

    async def authenticate(self, request: web.Request, now: int) -> Caller | None:
        """The caller that the headers say."""
        key = request.headers.get("X-Key")
        if key is None or not key.isascii():
            return None
        application = Application("app-" + key, "default", key, self._policies, (), now)
        return Caller(application, "key-" + key, frozenset(request.headers.get("X-Scopes", "users").split()))

    def refusal(self, request: web.Request, error: RefusedError, request_id: str) -> web.Response:
        """A problem."""
        del request
        return problem(error, request_id)


class Gated(NamedTuple):
    """What a test needs of a running gate."""

    port: int
    gate: Gate
    clock: ManualClock
    store: Store
    apilog: ApiLog
    router: web.UrlDispatcher
    face: PlainFace


@asynccontextmanager
async def gated(
    folder: Path,
    *add: object,
    policies: Policies | None = None,
    trusted: tuple[str, ...] = (),
    bare: bool = False,
    strangers: int = 0,
) -> AsyncIterator[Gated]:
    """Serve the routes that each ``add(gated)`` adds."""
    store = await open_store(folder / "gate.db")
    app = web.Application()
    clock = ManualClock()
    apilog = ApiLog(store, ClearSealer(), every=0.05)
    gate = Gate(clock, SeededEntropy(), apilog, RateLimit(), Peers(trusted, bare=bare), strangers=strangers)
    listener = socket.create_server(("127.0.0.1", 0))
    shown = Gated(listener.getsockname()[1], gate, clock, store, apilog, app.router, PlainFace(policies))
    for each in add:
        assert callable(each)
        each(shown)
    gate.add_rest(app.router, shown.face)
    connections = Connections(app, listener, None, drain_seconds=2)
    await connections.start()
    apilog.start()
    try:
        yield shown
    finally:
        gate.close()
        await connections.stop()
        await apilog.stop()
        await store.close()


@asynccontextmanager
async def logged() -> AsyncIterator[io.StringIO]:
    """What the process logs meanwhile, as the server writes it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    out = io.StringIO()
    lines.configure(out, logging.DEBUG)
    try:
        yield out
        await asyncio.sleep(0)
    finally:
        root.handlers[:] = before
        root.setLevel(level)
