"""Clients from the npm registry, unmodified: installed once with the versions of ``tests/faces/clients``, then called."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.programs import environment
from support.system import needed

CLIENTS = Path(__file__).parents[1] / "faces" / "clients"
INSTALLED = Path(sys.prefix) / "node"
_MANIFESTS = ("package.json", "package-lock.json")
_LINE_MAX = 1 << 20


def modules() -> Path:
    """The folder ``node_modules`` with the pinned packages, installed by whoever asks first."""
    npm = needed("npm")
    wanted = hashlib.sha256(b"\0".join((CLIENTS / name).read_bytes() for name in _MANIFESTS)).hexdigest()
    stamp = INSTALLED / "installed"
    INSTALLED.mkdir(exist_ok=True)
    with (INSTALLED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            for name in _MANIFESTS:
                shutil.copy(CLIENTS / name, INSTALLED / name)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(command, cwd=INSTALLED, check=True, stdin=subprocess.DEVNULL)
            stamp.write_text(wanted)
    return INSTALLED / "node_modules"


def node_environment() -> dict[str, str]:
    """The environment in which a node program finds the clients, and reaches loopback without a proxy."""
    kept = {name: value for name, value in environment().items() if not name.lower().endswith("_proxy")}
    return {**kept, "NODE_PATH": os.fspath(modules()), "NODE_NO_WARNINGS": "1"}


class NodeClient:
    """One client in a process of its own; ``called`` holds the names of what was asked of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.called: set[str] = set()

    async def call(self, name: str, *words: Any, seconds: float = 20) -> list[Any]:
        """What the client gave its callback for one call; errors are dictionaries with ``name`` and ``message``."""
        self.called.add(name)
        return await self._said({"call": name, "words": words}, seconds)

    async def uncalled(self) -> list[str]:
        """The public calls of the client that nobody has made yet."""
        made = {name.partition(".")[0] for name in self.called}
        return [name for name in await self._said({"methods": True}, 20) if name not in made]

    async def good(self, name: str, *words: Any) -> Any:
        """The answer of a call ``(error, answer)`` that the client takes for a success."""
        error, *answer = await self.call(name, *words)
        assert error is None, (name, error)
        return answer[0]

    async def bad(self, name: str, *words: Any) -> Any:
        """The error of a call ``(error, answer)`` that the client takes for a failure."""
        error, *answer = await self.call(name, *words)
        assert error is not None, (name, answer)
        return error

    async def _said(self, line: dict[str, Any], seconds: float) -> list[Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            answer = await self._process.stdout.readline()
        assert answer, f"the client ended in {line}"
        said = json.loads(answer)["said"]
        assert isinstance(said, list)
        return said


@asynccontextmanager
async def node_client(name: str, **settings: str) -> AsyncIterator[NodeClient]:
    """A client of ``drive.cjs`` with its settings: ``url``, and ``key`` or ``user`` and ``password``."""
    command = (needed("node"), CLIENTS / "drive.cjs", name, json.dumps(settings))
    env = await asyncio.to_thread(node_environment)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, limit=_LINE_MAX
    )
    try:
        yield NodeClient(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
