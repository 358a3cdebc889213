"""HTTP connections with deadlines of their own: aiohttp waits for slow headers as long as for an idle connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any, Final

from aiohttp import StreamReader, web

from placet_server.web.problems import broken

HEADER_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 75.0
DRAIN_SECONDS: Final = 30.0
_TURNS: Final = 4
"""Turns of the event loop from a connection that is taken to the first bytes that are read from it."""


class Connections:
    """Serves an application on one listening socket until told to drain it.

    A request's header must arrive whole within ``header_seconds`` of its first byte, a connection's first byte within
    the same time of connecting; an idle connection is closed after ``IDLE_SECONDS``.
    """

    def __init__(
        self,
        app: web.Application,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
        *,
        header_seconds: float = HEADER_SECONDS,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._listener = listener
        self._tls = tls
        self._runner = _Runner(
            app,
            header_seconds,
            access_log=None,
            auto_decompress=False,  # no small body grows
            keepalive_timeout=IDLE_SECONDS,
            shutdown_timeout=drain_seconds,
            max_line_size=8190,
            max_field_size=8190,
            max_headers=100,
        )

    async def start(self) -> None:
        """Begin to take connections."""
        await self._runner.setup()
        await web.SockSite(self._runner, self._listener, ssl_context=self._tls, backlog=1024).start()

    async def stop(self) -> None:
        """Take no more connections, let begun requests finish within the drain time, then close what is left."""
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listener)
        # asyncio loses what it takes in the turn in which the socket is closed (before Python 3.12).
        await _turns()
        for site in tuple(self._runner.sites):
            await site.stop()
        # aiohttp neither answers nor closes what it does not know yet, and waits long for what has just come.
        await _turns()
        await self._runner.cleanup()


async def _turns() -> None:
    """Let every connection that was taken become known, and begin to be read."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class _Runner(web.AppRunner):
    __slots__ = ("_header_seconds",)

    def __init__(self, app: web.Application, header_seconds: float, **settings: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(app, **settings)
        self._header_seconds = header_seconds

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        server = _Server(made.request_handler, request_factory=made.request_factory, **made._kwargs)  # noqa: SLF001 - aiohttp has no other way to replace its protocol class
        server.header_seconds = self._header_seconds
        return server


class _Server(web.Server):
    header_seconds = HEADER_SECONDS

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    __slots__ = ("_content", "_header_seconds", "_header_timer")

    def __init__(self, manager: _Server, *, loop: asyncio.AbstractEventLoop, **settings: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(manager, loop=loop, **settings)
        self._header_seconds = manager.header_seconds
        self._header_timer: asyncio.TimerHandle | None = None
        self._content: StreamReader | None = None  # of the newest request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._expect_header()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages:
            self._content = self._messages[-1][1]
            self._header_came()
        elif self._header_timer is None and self._waiter is not None:
            self._expect_header()

    def eof_received(self) -> bool:  # type: ignore[override]  # what asyncio asks for; aiohttp always closes
        """Whether to stay open for an answer: a caller that ended its side after a whole request may still read."""
        busy = bool(self._messages) or self._waiter is None
        if not busy or self._upgraded or self._content is None or not self._content.is_eof():
            return False
        if self.transport is None or self.transport.get_extra_info("sslcontext") is not None:
            return False  # TLS has no half-closed connections
        self.close()  # after the answer
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        self._header_came()
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; what the router itself refuses (``OPTIONS *``) gets a form like all others."""
        if isinstance(resp, web.HTTPException):
            resp = broken(resp.status, None)
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP request; aiohttp would log and send back the raw line, which may hold a secret."""
        del request, message
        return broken(status, exc)

    def _expect_header(self) -> None:
        self._header_timer = self._loop.call_later(self._header_seconds, self._header_late)

    def _header_came(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _header_late(self) -> None:
        self._header_timer = None
        if self._waiter is not None:
            self.force_close()
