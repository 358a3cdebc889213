"""The installed program ``placet-server``, run as the operator runs it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
from click.testing import CliRunner, Result

PROGRAM = Path(sys.executable).parent / "placet-server"
DEADLINE = 60.0


class Done(NamedTuple):
    """What a finished program left behind."""

    status: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """The environment of a child, without settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLACET_")}
    return {**kept, **more}


def invoked(program: click.Command, *words: str | Path) -> Result:
    """What a command does in this process, without settings of whoever runs the tests."""
    unset = dict.fromkeys(name for name in os.environ if name.startswith("PLACET_"))
    return CliRunner(env=unset).invoke(program, [str(word) for word in words])


def run(*words: str | Path, stdin: str = "", **variables: str) -> Done:
    """Run ``placet-server`` to its end."""
    done = subprocess.run(
        [PROGRAM, *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=environment(**variables),
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def answer(*words: str | Path, stdin: str = "") -> Any:
    """The JSON answer of a command that succeeds."""
    done = run(*words, "--json", stdin=stdin)
    assert done.status == 0, done.err
    return msgspec.json.decode(done.out)


class Serving(NamedTuple):
    """A running ``placet-server serve``."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def stop(self) -> int:
        """Send SIGTERM and give the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


@contextlib.contextmanager
def serving(data: Path, *words: str, under: Sequence[str] = (), **variables: str) -> Iterator[Serving]:
    """Run ``placet-server serve`` on a free port until the block ends; its log lines go to a file beside the data.

    One that comes back is told the port that it had (``kept_port``): its data folder remembers its URL. ``under`` is a
    program and its words that runs the server and watches it.
    """
    log = data.with_name(data.name + ".log")
    with log.open("a") as err:
        process = subprocess.Popen(
            [*under, PROGRAM, "serve", "--data", data, "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            env=environment(**variables),
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line, log.read_text()
        yield Serving(process, line, log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
