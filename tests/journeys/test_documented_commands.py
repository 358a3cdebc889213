"""The commands in README and quickstart, run as a reader would: copied into one shell, block after block.

The server's port alone is another one, since somebody may listen on theirs.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ports import kept_port
from support.system import needed

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = re.compile(r"--port (\d+)")
MARK = "--- end of block ---"


@pytest.fixture
def port() -> Iterator[int]:
    with kept_port() as kept:
        yield kept


def sessions(document: Path, port: int) -> list[tuple[str, str]]:
    """Each shell block of a document with the ``text`` block behind it: what the reader should see."""
    text = document.read_text()
    (theirs,) = set(PORT.findall(text))
    blocks = BLOCK.findall(text.replace(theirs, str(port)))
    found = []
    for place, (kind, text) in enumerate(blocks):
        if kind == "sh":
            after = blocks[place + 1] if place + 1 < len(blocks) else ("", "")
            found.append((text, after[1] if after[0] == "text" else ""))
    return found


@pytest.mark.parametrize("name", ["README.md", "docs/quickstart.md"])
def test_documented_sessions_do_what_they_say(name: str, tmp_path: Path, port: int) -> None:
    """Every block runs, and each line that the document shows comes out (``…`` stands for anything)."""
    bash, _, _ = (needed(program) for program in ("bash", "curl", "jq"))
    blocks = [
        session
        for session in sessions(ROOT / name, port)
        if "dev.py" not in session[0] and "pip install" not in session[0]
    ]
    assert blocks
    script = "set -euo pipefail\n" + f"\necho '{MARK}'\n".join(commands for commands, _ in blocks)
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PLACET_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
    }
    with (tmp_path / "out").open("w+") as out:
        shell = subprocess.Popen(
            [bash, "-c", script],
            cwd=tmp_path,
            env=env,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = shell.wait(timeout=120)
        finally:
            _end_group(shell.pid)
        out.seek(0)
        printed = out.read()
    assert status == 0, printed
    for (_, expected), part in zip(blocks, printed.split(MARK), strict=True):
        for line in expected.splitlines():
            pattern = ".*".join(re.escape(piece) for piece in line.strip().split("…"))
            assert re.search(pattern, part), f"{line!r} did not come out of:\n{part}"


def _end_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGTERM)
    except ProcessLookupError:
        return
