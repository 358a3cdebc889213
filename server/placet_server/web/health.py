"""``/healthz`` says that the process lives, ``/readyz`` that it reads and writes: no version, no path, no reason."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from msgspec import Struct

from placet_server.domain.refusals import RefusedError
from placet_server.faces import Face
from placet_server.ports import Sql, Store, plan
from placet_server.web.gate import UNAVAILABLE_RETRY, Call, Doc, Gate
from placet_server.web.wire import reply

_OPEN: Final = "Supervisors have no key; the answer is one word."

_READY: Final = Sql("ready", "SELECT 1")


class Health(Struct):
    """Always ``ok``; whatever else is the case is a problem with status 503."""

    status: str = "ok"


def mount(gate: Gate, router: web.UrlDispatcher, face: Face, store: Store) -> None:
    """Add both routes."""

    async def live(_request: web.Request, _call: Call) -> web.Response:
        return reply(200, Health())

    async def ready(_request: web.Request, _call: Call) -> web.Response:
        if gate.closing:
            raise RefusedError("unavailable", "The server is going down.", retry_after=UNAVAILABLE_RETRY)
        await store.row(_READY)
        # Writes nothing; but a store that has stopped writing must be started again.
        await store.write(plan(guards=0))
        return reply(200, Health())

    gate.add(
        router, "GET", "/healthz", live, face=face, doc=Doc("Whether the process lives", Health, open=_OPEN)
    )
    gate.add(
        router, "GET", "/readyz", ready, face=face, doc=Doc("Whether it can serve now", Health, open=_OPEN)
    )
