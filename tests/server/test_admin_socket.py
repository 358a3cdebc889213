"""The operator's socket: who may use it, what it answers, and that nothing said there breaks it."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from placet_server.desk.socket import AdminSocket, ask
from placet_server.domain.refusals import RefusedError
from placet_server.ports import StoreUnavailableError


async def _run(command: str, arguments: Mapping[str, Any]) -> Any:
    if command == "refuse":
        raise RefusedError("not_found", "There is no such thing.")
    if command == "full":
        raise StoreUnavailableError("disk full")
    if command == "fail":
        raise KeyError("canary-secret")
    return {"command": command, **arguments}


@pytest.mark.parametrize("depth", [0, 12])
async def test_commands_are_answered_on_a_private_socket(tmp_path: Path, depth: int) -> None:
    """The socket has mode 0600 and works in folders whose path is longer than a socket address can be."""
    folder = tmp_path.joinpath(*["a-rather-long-name"] * depth)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "admin.sock"
    server = AdminSocket(path, _run, lambda _error: None)
    await server.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await asyncio.to_thread(ask, path, "say", {"a": [1, "é"]}) == {"command": "say", "a": [1, "é"]}
    await server.stop()
    assert not path.exists()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(ask, path, "say", {})


async def test_refusals_and_defects_reach_the_client_without_secrets(tmp_path: Path) -> None:
    """A documented no arrives as itself; a defect arrives as a code and is told to the log alone."""
    defects: list[BaseException] = []
    server = AdminSocket(tmp_path / "s", _run, defects.append)
    await server.start()
    for command, code in (("refuse", "not_found"), ("full", "unavailable"), ("fail", "internal")):
        with pytest.raises(RefusedError) as refused:
            await asyncio.to_thread(ask, tmp_path / "s", command, {})
        assert refused.value.code == code
        assert "canary" not in refused.value.detail
    assert [type(defect) for defect in defects] == [KeyError]
    await server.stop()


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b"{}\n",
        b'{"command":1}\n',
        b'{"command":"x","arguments":3}\n',
        b"\xff\n",
        b"{" * 50_000 + b"\n",
    ],
)
async def test_a_line_that_is_no_command_is_refused(tmp_path: Path, line: bytes) -> None:
    """Whatever is sent there, the server answers one line and lives on."""
    server = AdminSocket(tmp_path / "s", _run, lambda error: pytest.fail(str(error)))
    await server.start()

    def send() -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / "s"))
            connection.sendall(line)
            return connection.makefile("rb").readline()

    answer = msgspec.json.decode(await asyncio.to_thread(send))
    assert answer["refused"]["code"] == "invalid_request"
    await server.stop()


async def test_a_socket_left_by_a_killed_server_is_replaced(tmp_path: Path) -> None:
    """The store's lock decides who serves; a dead socket file is no hindrance."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    server = AdminSocket(path, _run, lambda _error: None)
    await server.start()
    assert await asyncio.to_thread(ask, path, "x", {}) == {"command": "x"}
    await server.stop()
