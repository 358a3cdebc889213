"""A closed-loop HTTP/1.1 load: keep-alive connections that each send the next request when an answer is whole.

It speaks just enough HTTP for answers with ``Content-Length``, so that the client costs little beside the server on a
machine with two cores.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast


@dataclass
class Outcome:
    """What was measured: seconds, latencies in seconds, answers by status, the last and the first unexpected answer."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    unexpected: bytes = b""
    kept: bytes = b""

    @property
    def rps(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """That percentile of the latencies, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000

    def add(self, other: Outcome) -> None:
        """Take what another load measured into this one."""
        self.seconds += other.seconds
        self.latencies += other.latencies
        self.unexpected = self.unexpected or other.unexpected
        for status, seen in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + seen

    def errors(self, expected: int) -> int:
        """Answers with another status than the expected one."""
        return sum(count for status, count in self.statuses.items() if status != expected)


class _Connection(asyncio.Protocol):
    """One keep-alive connection; between two loads it stays open."""

    _queue: Iterator[bytes] = iter(())
    _outcome = Outcome()
    _expected, _needle = 0, b""
    _ended: asyncio.Future[None] | None = None
    _buffer = b""
    _sent = 0.0
    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class does not derive from it

    def begin(
        self,
        queue: Iterator[bytes],
        outcome: Outcome,
        expected: tuple[int, bytes],
        ended: asyncio.Future[None],
    ) -> None:
        """Send what is in the queue, one after the other, until it is empty."""
        self._queue, self._outcome, self._ended = queue, outcome, ended
        self._expected, self._needle = expected
        self._next()

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def _next(self) -> None:
        request = next(self._queue, None)
        if request is None or self._transport.is_closing():
            self._end()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        head = buffer.find(b"\r\n\r\n")
        if head < 0:
            self._buffer = buffer
            return
        start = buffer.lower().index(b"content-length: ", 0, head) + 16
        size = int(buffer[start : buffer.index(b"\r", start)])
        if len(buffer) < head + 4 + size:
            self._buffer = buffer
            return
        self._buffer = b""
        outcome = self._outcome
        outcome.latencies.append(time.perf_counter() - self._sent)
        status = int(buffer[9:12])
        if status == self._expected and self._needle not in buffer:
            status = 0
        if status != self._expected and not outcome.unexpected:
            outcome.unexpected = buffer
        outcome.kept = buffer
        outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
        self._next()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)


class Callers:
    """Callers of one server, each with a connection that stays open from load to load."""

    def __init__(self, connections: list[_Connection]) -> None:
        self._connections = connections

    @classmethod
    async def connect(cls, port: int, count: int = 64) -> Callers:
        """So many open connections; to be closed."""
        loop = asyncio.get_running_loop()
        made = [await loop.create_connection(_Connection, "127.0.0.1", port) for _ in range(count)]
        return cls([connection for _, connection in made])

    async def load(self, requests: list[bytes], *, expected: int = 200, needle: bytes = b"") -> Outcome:
        """Send these requests; each answer must have the status and hold the needle."""
        loop = asyncio.get_running_loop()
        outcome = Outcome()
        queue = iter(requests)
        ended = [loop.create_future() for _ in self._connections]
        start = time.perf_counter()
        for connection, future in zip(self._connections, ended, strict=True):
            connection.begin(queue, outcome, (expected, needle), future)
        await asyncio.wait_for(asyncio.gather(*ended), 120)
        outcome.seconds = time.perf_counter() - start
        if len(outcome.latencies) != len(requests):
            outcome.statuses[-1] = len(requests) - len(outcome.latencies)
        return outcome

    def close(self) -> None:
        """Hang up all."""
        for connection in self._connections:
            connection.close()


async def load(port: int, requests: list[bytes], *, connections: int = 64, expected: int = 200) -> Outcome:
    """Send these requests over connections of their own."""
    callers = await Callers.connect(port, connections)
    try:
        return await callers.load(requests, expected=expected)
    finally:
        callers.close()


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of one request; header names are written with ``_`` for ``-``."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
