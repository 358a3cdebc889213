"""A process of its own that writes to a store and says on standard output what was acknowledged.

``python -m support.storeprocess FILE PREFIX COUNT``: the parent kills it, traces it or breaks its disk. Each line is
``ready``, ``ack NAME`` or ``no NAME REASON``.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from placet_server.ports import StoreUnavailableError
from placet_server.storage import open_store
from support.plans import create

_CALLERS = 8


async def main(path: str, prefix: str, count: int) -> None:
    """Let a few callers create names at once, each after its own last answer."""
    store = await open_store(path)
    say("ready")
    names = iter([f"{prefix}-{number:06d}." for number in range(count)])

    async def caller() -> None:
        for name in names:
            try:
                await store.write(create(name))
                say(f"ack {name}")
            except StoreUnavailableError as error:
                say(f"no {name} {error.reason}")

    await asyncio.gather(*(caller() for _ in range(_CALLERS)))
    await store.close()


def say(line: str) -> None:
    """One line in one system call, unbuffered, so that a kill cannot lose it."""
    os.write(1, f"{line}\n".encode())


def command(path: Path, prefix: str, count: int) -> list[str]:
    """The command line that runs ``main`` in a process."""
    return [sys.executable, str(Path(__file__)), str(path), prefix, str(count)]


def environment() -> dict[str, str]:
    """The environment for ``command``: it finds this folder's modules, and the product's where this process does."""
    here, given = str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([given, here] if given else [here])
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def finished(words: list[str]) -> list[str]:
    """The output lines of a process that must end well within a minute."""
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
