"""Deadlines of HTTP connections, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from aiohttp import web

from placet_server.web.connections import Connections


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def _slow(_request: web.Request) -> web.Response:
    await asyncio.sleep(0.5)
    return web.Response(text="done")


@asynccontextmanager
async def _serving(**settings: float) -> AsyncIterator[tuple[Connections, int]]:
    app = web.Application()
    app.router.add_route("*", "/echo", _echo)
    app.router.add_get("/slow", _slow)
    listener = socket.create_server(("127.0.0.1", 0))
    connections = Connections(app, listener, None, **settings)
    await connections.start()
    try:
        yield connections, listener.getsockname()[1]
    finally:
        await connections.stop()


@pytest.mark.parametrize("sent", [b"", b"GET /echo HTTP/1.1\r\nHost: x\r\n", b"GET"])
async def test_dos_01_a_header_that_does_not_come_ends_the_connection(sent: bytes) -> None:
    """Nobody holds a connection by sending no header, or a part of one."""
    async with _serving(header_seconds=0.2) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


async def test_dos_01_a_trickled_header_ends_the_connection_all_the_same() -> None:
    """The deadline is for the whole header; each byte that arrives does not prolong it."""
    async with _serving(header_seconds=0.3) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ended = asyncio.create_task(reader.read())
        for byte in b"GET /echo HTTP/1.1\r\nX-Long: " + b"a" * 200:
            writer.write(bytes((byte,)))
            done, _ = await asyncio.wait({ended}, timeout=0.02)
            if done:
                break
        assert ended.done()
        writer.close()


async def test_a_second_request_on_a_connection_has_the_deadline_too() -> None:
    """A kept connection may be idle for long, but a header that has begun must come."""
    async with _serving(header_seconds=0.2) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        ended = asyncio.create_task(reader.read())
        idle, _ = await asyncio.wait({ended}, timeout=0.5)
        assert not idle
        writer.write(b"GET /ec")
        async with asyncio.timeout(20):
            assert await ended == b""
        writer.close()


async def test_a_slow_body_is_not_cut_by_the_header_deadline() -> None:
    """The deadline of the header ends with the header; bodies have their own."""
    async with _serving(header_seconds=0.2) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        await asyncio.sleep(0.5)
        writer.write(b"cd")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(4) == b"abcd"
        writer.close()


async def test_dur_04_stopping_finishes_what_has_begun_and_refuses_what_comes() -> None:
    """A request in flight gets its answer while new connections are refused."""
    async with _serving() as (connections, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(connections.stop())
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.read()).endswith(b"done")
        await stopping
        writer.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("turns", range(6))
def test_dur_04_what_comes_in_the_moment_of_stopping_is_answered_or_closed(
    turns: int, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """No connection stays open behind a server that has stopped, in whatever turn of the loop it was taken."""
    late: list[socket.socket] = []

    async def come(port: int) -> None:
        with contextlib.suppress(ConnectionRefusedError):
            while True:
                late.append(socket.create_connection(("127.0.0.1", port), timeout=5))
                await asyncio.sleep(0)

    async def stopped() -> None:
        async with _serving() as (connections, port):
            coming = asyncio.create_task(come(port))
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(5):  # none of them has asked for anything
                await connections.stop()
            await coming
            assert late
            for each in late:
                with each, contextlib.suppress(ConnectionResetError):
                    assert await asyncio.to_thread(each.recv, 1) == b""

    run(stopped())


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\ndone",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n\r\n",
    ],
    ids=["slow", "body", "chunks"],
)
async def test_a_caller_that_ends_its_side_gets_its_answer(sent: bytes) -> None:
    """A whole request is answered and the connection then closed, though nothing more can come by it."""
    async with _serving() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(20):
            assert (await reader.read()).endswith(b"done")
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /echo HTTP/1.1\r\n", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\ndone"],
)
async def test_half_a_request_ends_with_its_caller(sent: bytes) -> None:
    """What can never become whole holds no connection."""
    async with _serving() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()
