"""The operator's way to a running server: a socket in the data folder that only its owner may open.

One command a connection: the client sends one line of JSON ``{"command", "arguments"}``, the server answers one line,
``{"answer"}`` or ``{"refused": {"code", "detail"}}``, and hangs up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from placet_server.domain.refusals import RefusedError
from placet_server.ports import StoreUnavailableError

_LIMIT: Final = 4 * 1024 * 1024
_ANSWER_SECONDS: Final = 120.0
_COMMAND_SECONDS: Final = 5.0
_MAX_ADDRESS: Final = 100  # sun_path holds 108 bytes on Linux and 104 elsewhere

Run = Callable[[str, Mapping[str, Any]], Awaitable[Any]]


class _Asked(msgspec.Struct):
    command: str
    arguments: dict[str, Any]


class AdminSocket:
    """Answers commands on ``path`` until stopped; ``failed`` hears of defects, the client of a code only."""

    def __init__(self, path: Path, run: Run, failed: Callable[[BaseException], None]) -> None:
        self._path = path
        self._run = run
        self._failed = failed
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen with mode 0600; a socket that a dead server left is replaced: the store's lock says it is dead."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _address(self._path) as address:
            listener.bind(address)
        self._path.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=_LIMIT)

    async def stop(self) -> None:
        """Take no more commands, finish those that came, and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        await asyncio.gather(*self._busy)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)
        try:
            writer.write(msgspec.json.encode(await self._answer(await _line(reader))) + b"\n")
            await writer.drain()
        except (ConnectionError, TimeoutError, ValueError):
            pass  # the client went away, or sent a line without end
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = msgspec.json.decode(line, type=_Asked)
        except (ValueError, RecursionError) as error:
            return _refused("invalid_request", f"The command is not understood: {error}.")
        try:
            return {"answer": await self._run(asked.command, asked.arguments)}
        except RefusedError as error:
            return _refused(error.code, error.detail)
        except StoreUnavailableError as error:
            return _refused("unavailable", f"The store cannot answer now: {error}")
        except Exception as error:  # noqa: BLE001 - the one place that turns a defect into an answer
            self._failed(error)
            return _refused("internal", "The command failed inside the server; its log says why.")


def ask(path: Path, command: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """The running server's answer to one command.

    Raises ``RefusedError`` for a documented no and ``ConnectionError`` when no server listens there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, _address(path) as address:
        connection.settimeout(_ANSWER_SECONDS)
        try:
            connection.connect(address)
        except OSError as error:
            raise ConnectionRefusedError(str(error)) from error
        connection.sendall(msgspec.json.encode({"command": command, "arguments": arguments}) + b"\n")
        with connection.makefile("rb") as answer:
            line = answer.readline()
    if not line:
        raise ConnectionAbortedError("the server hung up")
    said = msgspec.json.decode(line, type=dict[str, Any])
    if "refused" in said:
        raise RefusedError(said["refused"]["code"], said["refused"]["detail"])
    return said["answer"]


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """The socket's address, by way of the open folder where the path is too long for the system."""
    if len(os.fsencode(path)) <= _MAX_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def _line(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(_COMMAND_SECONDS):
        return await reader.readline()


def _refused(code: str, detail: str) -> dict[str, Any]:
    return {"refused": {"code": code, "detail": detail}}
