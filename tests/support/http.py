"""Raw HTTP for tests: bytes that no client library would send."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


async def raw(port: int, sent: bytes, *, half_close: bool = False, seconds: float = 10) -> Answer | None:
    """Send these bytes on a connection of its own and read one answer; None when there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        async with asyncio.timeout(seconds):
            writer.write(sent)
            if half_close:
                writer.write_eof()
            return await read_answer(reader)
    finally:
        writer.close()


async def exchange(port: int, sent: bytes, *, half_close: bool = False, seconds: float = 10) -> Answer | None:
    """As ``raw``, for any method: no body is waited for behind HEAD, and interim answers are passed over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        async with asyncio.timeout(seconds):
            writer.write(sent)
            if half_close:
                writer.write_eof()
            while (answer := await read_answer(reader, bodiless=sent.startswith(b"HEAD "))) is not None:
                if answer.status not in {100, 102, 103}:
                    break
            return answer
    except (ConnectionError, asyncio.IncompleteReadError):
        return None
    finally:
        writer.close()


def request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of a request; underscores in header names are hyphens."""
    lines = [f"{method} {target} HTTP/1.1", "Host: placet.test"]
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if body and "Content-Length" not in given and "Transfer-Encoding" not in given:
        given["Content-Length"] = str(len(body))
    lines += [f"{name}: {value}" for name, value in given.items()]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


async def read_answer(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Answer | None:
    """The next answer on a connection, without its body where it has none; None when it ends first."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    start, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines if line)
    }
    length = 0 if bodiless else int(headers.get("content-length", "0"))
    body = await reader.readexactly(length)
    return Answer(int(start.split()[1]), headers, body)
