"""What a person reads when a server cannot be reached: what is the matter, with whom, and what to do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import abc

from placet_authenticator.calls import Calls, open_session
from placet_authenticator.conversing import converse
from placet_authenticator.errors import UnreachableError
from placet_authenticator.link import Link
from support.tls import certificate

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class NoNames(abc.AbstractResolver):
    """A resolver that knows no name."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[abc.ResolveResult]:
        del host, port, family
        raise OSError(-2, "Name or service not known")

    async def close(self) -> None:
        """Nothing is open."""


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request and say nothing."""
    del writer
    await reader.readuntil(b"\r\n\r\n")


async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the beginning of an answer."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")
    await writer.drain()


async def talk_otherwise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer in another protocol."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"220 mail.example ESMTP\r\n\r\n")
    await writer.drain()


async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and keep the line open until the caller goes."""
    del writer
    with contextlib.suppress(ConnectionError):
        while await reader.read(1000):
            pass


@asynccontextmanager
async def listening(answering: Answering, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Somebody on a free port; gives host and port."""
    talks = set[asyncio.Task[None]]()

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            talks.add(task)
        try:
            await answering(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(answered, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*talks)


async def told(origin: str, session: aiohttp.ClientSession | None = None) -> UnreachableError:
    """The error of one call to this origin, which no words of a library are in."""
    async with session or open_session() as used:
        calls = Calls(used, origin, bytes)
        with pytest.raises(UnreachableError) as failed:
            await calls._send("GET", "/device/v1/self", seconds=0.5)
    error = failed.value
    for foreign in ("ssl:", "Errno", "Connect call", "Cannot connect", "[", "Error", "None"):
        assert foreign not in error.detail
    assert error.hint
    return error


@pytest.mark.parametrize(
    ("answering", "said"),
    [
        (hang_up, "the connection to {} broke off"),
        (break_off, "the answer of {} did not arrive whole"),
        (talk_otherwise, "{} does not answer as Placet does"),
        (be_silent, "{} does not answer: it took too long"),
    ],
)
async def test_what_is_the_matter_with_a_server_is_said(answering: Answering, said: str) -> None:
    """A line that breaks, half an answer, another program and silence are told apart."""
    async with listening(answering) as host:
        assert (await told(f"http://{host}")).detail == said.format(host)


async def test_a_server_that_does_not_run_is_said() -> None:
    """Where nothing listens, the person is told that no server runs there."""
    async with listening(hang_up) as host:
        pass
    error = await told(f"http://{host}")
    assert error.detail == f"{host} does not answer: no server runs there now"


async def test_a_name_that_nobody_knows_is_said() -> None:
    """A host that does not resolve is named."""
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=NoNames()))
    assert (
        await told("http://placet.example", session)
    ).detail == "the name of placet.example is not known here"


async def test_a_server_that_cannot_prove_its_name_is_said(tmp_path: Path) -> None:
    """A certificate that nobody vouches for is no server that is away; one without TLS is told so."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate(tmp_path))
    async with listening(hang_up, tls) as host:
        error = await told(f"https://{host}")
    assert "certificate is not good" in error.detail
    assert host in error.detail
    async with listening(talk_at_once) as host:
        assert (await told(f"https://{host}")).detail == f"{host} does not speak TLS"


async def talk_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer in clear whatever comes."""
    await reader.read(10)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


async def refuse_sockets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 403 to everything."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def test_a_proxy_that_lets_no_socket_through_is_said() -> None:
    """The line's own trouble is told in the same words."""
    async with listening(refuse_sockets) as host, open_session() as session:
        calls = Calls(session, f"http://{host}", bytes)
        link = Link(calls, [], clock=lambda: 0)
        with pytest.raises(UnreachableError) as failed:
            await converse(calls, {}, link, heartbeat=5)
    assert failed.value.detail == f"{host} does not answer as Placet does"
