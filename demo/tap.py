"""Stands between device and server, passes everything on, and tells what it sees: all that a network would see."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientSession, web

_HOP = {"Content-Length", "Transfer-Encoding", "Connection", "Date", "Server"}


class Tap:
    """The origin that devices know; ``server`` is where it passes their calls on to."""

    def __init__(self, told: Callable[[str, str], None]) -> None:
        self._told = told
        self.server = ""
        self.origin = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._session = ClientSession(auto_decompress=False)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _pass(self, request: web.Request) -> web.Response:
        sent = await request.read()
        headers = {name: value for name, value in request.headers.items() if name not in {"Host", *_HOP}}
        url = self.server + request.raw_path
        async with self._session.request(request.method, url, data=sent or None, headers=headers) as answer:
            got = await answer.read()
            kept = [(name, value) for name, value in answer.headers.items() if name not in _HOP]
        self._tell(request, sent, answer.status, got)
        return web.Response(status=answer.status, body=got, headers=kept)

    def _tell(self, request: web.Request, sent: bytes, status: int, got: bytes) -> None:
        if not request.path.startswith("/device/") or status == 401:  # the call that only fetches a nonce
            return
        proof = "proof+jwt" if "Placet-Proof" in request.headers else ""
        self._told(f"device {request.method} {request.path_qs}", _readable(sent) or proof)
        self._told(f"  {status}", _readable(got))


def _readable(data: bytes) -> str:
    """A signed document as its payload, JSON with long values cut, anything else by its size."""
    parts = data.split(b".")
    if len(parts) == 3 and data.startswith(b"eyJ"):
        head, payload = (json.loads(base64.urlsafe_b64decode(part + b"==")) for part in parts[:2])
        return f"{head['typ']} {json.dumps(payload, ensure_ascii=False)}"
    try:
        return json.dumps(_cut(json.loads(data)), ensure_ascii=False) if data else ""
    except ValueError:
        return f"{len(data)} bytes"


def _cut(value: Any) -> Any:  # noqa: ANN401 - any JSON
    match value:
        case dict():
            return {name: _cut(item) for name, item in value.items()}
        case list():
            return [_cut(item) for item in value]
        case str() if len(value) > 60:
            return f"{value[:24]}… {len(value)} characters"
    return value
