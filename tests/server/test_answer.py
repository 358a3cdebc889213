from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from placet_server.web.answer import Answer
from placet_server.web.problems import HEADERS

BODY = b'{"status":"pending"}'


def answers(kind: str, way: str) -> web.Response:
    """The same answer by our way or by aiohttp's."""
    response = Answer(201, BODY) if way == "ours" else web.Response(status=201, body=BODY, headers=HEADERS)
    response.headers["X-Request-Id"] = "0123456789abcdef"
    if kind == "further header":
        response.headers["Placet-Nonce"] = "abc"
    if kind == "replaced header":
        response.headers["Cache-Control"] = "public"
    if kind == "closed by us":
        response.force_close()
    return response


@contextlib.asynccontextmanager
async def serving(kind: str) -> AsyncIterator[int]:
    async def handle(request: web.Request) -> web.Response:
        return answers(kind, request.path.strip("/"))

    application = web.Application()
    application.router.add_route("*", "/{way}", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def said(port: int, *requests: str) -> tuple[list[bytes], set[bytes], bytes, bool]:
    """Status lines, headers without the date, bodies, and whether the connection was open for one more request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    starts, headers, bodies = [], set[bytes](), b""
    for request in requests:
        writer.write(request.encode())
        start, *lines = (await reader.readuntil(b"\r\n\r\n")).strip().split(b"\r\n")
        starts.append(start)
        assert len({line.partition(b":")[0].lower() for line in lines}) == len(lines)
        assert any(line.startswith(b"Date: ") and line.endswith(b" GMT") for line in lines)
        headers |= {line for line in lines if not line.startswith(b"Date: ")}
        if not request.startswith("HEAD"):
            bodies += await reader.readexactly(len(BODY))
    try:
        writer.write(b"GET /ours HTTP/1.1\r\nHost: x\r\n\r\n")
        further = await reader.readline()
    except ConnectionError:
        further = b""
    assert further in {b"", b"HTTP/1.1 201 Created\r\n"}
    writer.close()
    return starts, headers, bodies, further != b""


def request(way: str, method: str = "GET", version: str = "1.1", connection: str = "") -> str:
    extra = f"Connection: {connection}\r\n" if connection else ""
    return f"{method} /{way} HTTP/{version}\r\nHost: a\r\n{extra}\r\n"


@pytest.mark.parametrize(
    ("method", "version", "connection"),
    [
        ("GET", "1.1", ""),
        ("POST", "1.1", ""),
        ("GET", "1.1", "close"),
        ("GET", "1.0", ""),
        ("GET", "1.0", "keep-alive"),
        ("HEAD", "1.1", ""),
    ],
)
async def test_an_answer_is_what_aiohttp_would_have_sent(method: str, version: str, connection: str) -> None:
    """Status line, headers, body and the connection's fate are the same for every kind of request."""
    async with serving("plain") as port:
        ours = await said(port, request("ours", method, version, connection))
        theirs = await said(port, request("theirs", method, version, connection))
    assert ours == theirs
    assert ours[2] == (b"" if method == "HEAD" else BODY)


@pytest.mark.parametrize("kind", ["further header", "replaced header", "closed by us"])
async def test_what_is_special_about_an_answer_is_kept(kind: str) -> None:
    """Further headers, replaced ones and a forced close reach the caller as with any answer of aiohttp."""
    async with serving(kind) as port:
        ours, theirs = await said(port, request("ours")), await said(port, request("theirs"))
    assert ours == theirs
    assert ours[3] == (kind != "closed by us")


async def test_answers_follow_each_other_on_one_connection() -> None:
    """Several requests get one whole answer each, in order, on a connection that stays open."""
    async with serving("plain") as port:
        starts, _, bodies, is_open = await said(port, *[request("ours")] * 3)
    assert (starts, bodies, is_open) == ([b"HTTP/1.1 201 Created"] * 3, BODY * 3, True)
