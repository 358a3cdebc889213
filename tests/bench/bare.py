"""The measure: a bare aiohttp handler that parses the same body and answers a constant. Prints its port."""

from __future__ import annotations

import asyncio
import contextlib
import json

from aiohttp import web

with contextlib.suppress(ImportError):
    import uvloop

    uvloop.install()

ANSWER = {
    "id": "0193a1b2-0000-7000-8000-000000000000",
    "status": "pending",
    "created_at": "2026-01-01T00:00:00.000Z",
}


async def constant(request: web.Request) -> web.Response:
    """Parse what came, answer the same."""
    body = await request.read()
    if body:
        json.loads(body)
    return web.json_response(ANSWER)


async def serve() -> None:
    """Listen until the process is ended."""
    app = web.Application()
    app.router.add_route("*", "/v1/approval_requests", constant)
    app.router.add_route("*", "/v1/approval_requests/{id}", constant)
    app.router.add_route("*", "/v1/users/{tfa_id}/soft_tokens/verify", constant)
    app.router.add_route("*", "/v1/codes", constant)
    app.router.add_route("*", "/v1/codes/{id}/check", constant)
    app.router.add_route("*", "/onetouch/json/users/{tfa_id}/approval_requests", constant)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


asyncio.run(serve())
