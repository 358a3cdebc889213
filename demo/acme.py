"""Acme Pay: a small relying application. It asks by REST, waits by long-poll, and listens for signed webhooks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientSession, ClientTimeout, web
from standardwebhooks import Webhook

WAIT = 20


class AcmePay:
    """The application's two sides: calls to Placet, and the address to which Placet sends events.

    ``told`` gets one line for each message on the wire, in order.
    """

    def __init__(self, told: Callable[[str, str], None]) -> None:
        self._told = told
        self._secret = ""
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._later: list[dict[str, Any]] = []
        self.webhook_url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/placet", self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.webhook_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/placet"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._runner.cleanup()

    def connect(self, url: str, api_key: str, webhook_secret: str) -> None:
        """Use this Placet server with this key; trust events that this secret signed."""
        self._secret = webhook_secret
        self._session = ClientSession(
            url, headers={"Authorization": f"Bearer {api_key}"}, timeout=ClientTimeout(total=70)
        )

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One REST call; raises ``SystemExit`` with the server's own words when it refuses."""
        sent = json.dumps(body, ensure_ascii=False) if body is not None else ""
        self._told(f"{method} {path}", sent)
        async with self._session.request(method, path, json=body) as response:
            answer: dict[str, Any] = (
                await response.json(content_type=None) if response.content_length != 0 else {}
            )
            self._told(f"  {response.status}", json.dumps(_short(answer), ensure_ascii=False))
            if response.status >= 400:
                raise SystemExit(f"The server refused {method} {path}: {answer.get('detail', answer)}")
        return answer

    async def event(self, kind: str, subject: str) -> dict[str, Any]:
        """The next verified webhook of this type about this thing; waits at most 20 seconds."""
        while True:
            for waiting in self._later:
                if waiting["type"] == kind and waiting["data"].get("id") == subject:
                    self._later.remove(waiting)
                    return waiting
            self._later.append(await asyncio.wait_for(self._events.get(), WAIT))

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.text()
        event = Webhook(self._secret).verify(
            body, dict(request.headers)
        )  # raises when the signature is not good
        self._told("webhook POST /placet", f"webhook-id: {request.headers['webhook-id']}  {body}")
        await self._events.put(event)
        return web.Response(status=204)


def _short(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with pictures and long documents cut, for reading."""
    return {
        key: value[:60] + f"… ({len(value)} characters)"
        if isinstance(value, str) and len(value) > 200
        else value
        for key, value in answer.items()
    }
