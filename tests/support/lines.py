"""A line between device and server that a test can cut, and that can refuse sockets as some proxies do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Line:
    """Forwards TCP from ``url`` to the target. ``cut`` ends all connections and refuses new ones until ``mend``.

    While ``loses`` is set, a connection that carries this text to the server ends when the server answers it.
    """

    def __init__(self, *, sockets: bool = True) -> None:
        self.sockets = sockets
        self.loses: bytes | None = None
        self.url = ""
        self.connections = 0
        self._target: tuple[str, int] | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._up = True

    def aim(self, url: str) -> None:
        """Forward to the server at this URL."""
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 80)

    def cut(self) -> None:
        """Reset every connection and let none through."""
        self._up = False
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections through again."""
        self._up = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if not self._up or self._target is None:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(*self._target)
        self._open |= {writer, back}
        lost = asyncio.Event()
        try:
            await asyncio.gather(
                self._pump(reader, back, lost, inspect=writer), self._pump(there, writer, lost)
            )
        finally:
            self._open -= {writer, back}
            back.close()
            writer.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        lost: asyncio.Event,
        inspect: asyncio.StreamWriter | None = None,
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if inspect is not None and not self.sockets and data.startswith(b"GET /device/v1/socket"):
                    inspect.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    break
                if inspect is not None and self.loses is not None and self.loses in data:
                    lost.set()
                elif inspect is None and lost.is_set():
                    break
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(ConnectionError, OSError, RuntimeError):
            (inspect or writer).close()
            writer.close()


@asynccontextmanager
async def line(*, sockets: bool = True) -> AsyncIterator[Line]:
    """A line on a free port of the loopback address, not yet aimed."""
    made = Line(sockets=sockets)
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        made.cut()
        await asyncio.sleep(0)
