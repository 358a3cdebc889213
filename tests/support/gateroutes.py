"""Routes for tests of the gate: some that answer, some that fail."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta, Struct

from placet_server.ports import StoreUnavailableError
from placet_server.web.gate import Call
from placet_server.web.wire import body, json_body, query, reply
from support.gated import Gated
from support.http import Answer, raw

CANARY = "cAnArY-7f3e"
JSON = "application/json"


class Echo(Struct, forbid_unknown_fields=True):
    """A body with a text, a number and anything."""

    text: Annotated[str, Meta(max_length=100)] | None = None
    number: int = 0
    inner: dict[str, Any] = {}


class Wanted(Struct, forbid_unknown_fields=True):
    """A query with a bounded number."""

    limit: Annotated[int, Meta(ge=1, le=10)] = 5


def echo(served: Gated) -> None:
    """Routes that answer what they were given."""

    async def handler(incoming: web.Request, call: Call) -> web.Response:
        value = await json_body(incoming, Echo)
        return reply(
            200, {"text": value.text, "number": value.number, "by": call.by.credential, "ip": call.ip}
        )

    async def listing(incoming: web.Request, _call: Call) -> web.Response:
        return reply(200, {"limit": query(incoming, Wanted).limit})

    async def item(incoming: web.Request, _call: Call) -> web.Response:
        return reply(200, {"id": incoming.match_info["id"]})

    served.gate.add(served.router, "POST", "/v1/echo", handler, face=served.face, scope="users")
    served.gate.add(served.router, "GET", "/v1/items", listing, face=served.face)
    served.gate.add(served.router, "GET", "/v1/items/{id:[1-9][0-9]{0,9}}", item, face=served.face)


def failing(served: Gated) -> None:
    """Routes that fail, and routes that wait."""

    async def broken(_incoming: web.Request, _call: Call) -> web.Response:
        raise KeyError(CANARY)

    async def full(_incoming: web.Request, _call: Call) -> web.Response:
        raise StoreUnavailableError(f"disk full at {CANARY}", "SQLITE_FULL")

    async def slow(incoming: web.Request, _call: Call) -> web.Response:
        return reply(200, {"size": len(await body(incoming, seconds=0.2))})

    async def waiting(_incoming: web.Request, _call: Call) -> web.Response:
        asyncio.get_running_loop().call_soon(served.gate.close)
        return reply(200, {"changed": await served.gate.wait(asyncio.Event(), 60)})

    add, router, face = served.gate.add, served.router, served.face
    add(router, "GET", "/broken", broken, face=face)
    add(router, "GET", "/full", full, face=face)
    add(router, "POST", "/slow", slow, face=face)
    add(router, "GET", "/waiting", waiting, face=face)


async def ask(served: Gated, sent: bytes, **options: Any) -> Answer:
    """The answer to these bytes; there has to be one."""
    answer = await raw(served.port, sent, **options)
    assert answer is not None
    return answer
