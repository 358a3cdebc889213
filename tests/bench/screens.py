"""How fast the app is: from its start to the first words on a terminal, and a thousand tokens under the fingers."""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from textual.widgets import Input

from placet_authenticator.settings import Settings
from placet_authenticator.tui.token_list import TokenList
from placet_authenticator.vault import QUICK, Vault
from support.apps import running, token, until
from support.persons import PASSPHRASE
from support.snapshots import screen_text

PLACET: Final = Path(sys.executable).parent / "placet"
FIRST_WORDS: Final = b"Placet is locked"
TOKENS: Final = 1000
QUIET_START: Final = 0.3
"""Seconds that the bare toolkit needs at most on a machine that nobody else uses; two quiet cores need 0.18."""


BARE: Final = f"""
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static({FIRST_WORDS.decode()!r})
Bare().run()
"""


def first_paint(home: Path, *command: str | Path) -> float:
    """Seconds from the start of a program to the first words of its screen, on a terminal of its own.

    Python's compiled files are kept beside ``home``, as an installation keeps them: without them each start compiles
    the whole toolkit anew, which takes longer than everything else.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {"PYTHONPYCACHEPREFIX": str(home.parent / "compiled")}
    env |= {"PLACET_HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
    )
    os.close(theirs)
    seen = b""
    try:
        while FIRST_WORDS not in seen:
            if time.perf_counter() - began > 20 or not select.select([ours], [], [], 20)[0]:
                raise SystemExit(f"placet showed nothing: {seen[-400:]!r}")
            seen += os.read(ours, 65536)
        return time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(ours)


async def thousand_tokens(home: Path) -> dict[str, list[float]]:
    """Seconds of each step through a thousand tokens, from the key to the screen that shows its effect."""
    many = [token(f"Site {number:04}", f"user{number}@example.com") for number in range(TOKENS)]
    taken: dict[str, list[float]] = {"tokens_scroll": [], "tokens_search": []}

    async def timed(kind: str, act: Callable[[], object], shown: str) -> None:
        began = time.perf_counter()
        act()
        await pilot.pause()
        while shown not in screen_text(app):
            await pilot.pause()
            assert time.perf_counter() - began < 20, screen_text(app)
        taken[kind].append(time.perf_counter() - began)

    async with running(home, *many) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "Site 0000" in screen_text(app))
        tokens = app.screen.query_one(TokenList)
        search = app.screen.query_one("#search", Input)
        for place in (999, 0, 500, 17, 873, 250, 640, 123, 777, 42):
            await timed("tokens_scroll", partial(setattr, tokens, "cursor", place), f"Site {place:04}")
        for words in (
            "9",
            "99",
            "998",
            "user5",
            "user50",
            "user500",
            "site 07",
            "site 070",
            "0701",
            "site 09",
        ):
            await timed("tokens_search", partial(setattr, search, "value", words), _first(many, words))
    return taken


def rows() -> list[dict[str, Any]]:
    """Medians in ms and what each may be at most."""
    with tempfile.TemporaryDirectory(prefix="placet-bench-") as name:
        home = Path(name) / "a"
        Vault.create(Settings(home).vault, PASSPHRASE, profile=QUICK).close()
        programs: dict[str, tuple[str | Path, ...]] = {
            "bare_textual": (sys.executable, "-c", BARE),
            "first_paint": (PLACET,),
        }
        for program in programs.values():
            first_paint(home, *program)  # the first start compiles
        measured: dict[str, list[float]] = {job: [] for job in programs}
        for _ in range(5):
            for job, program in programs.items():
                measured[job].append(first_paint(home, *program))
        measured |= asyncio.run(thousand_tokens(Path(name) / "b"))
    # Where even the bare toolkit takes longer than this, others have the processor, and everything takes longer by so much.
    busy = max(1.0, statistics.median(measured["bare_textual"]) / QUIET_START)
    most = {
        "bare_textual": math.inf,
        "first_paint": 600.0 * busy,
        "tokens_scroll": 50.0 * busy,
        "tokens_search": 100.0 * busy,
    }
    return [
        {
            "job": job,
            "median_ms": round(statistics.median(seconds) * 1000, 1),
            "worst_ms": round(max(seconds) * 1000, 1),
            "at_most_ms": most[job],
        }
        for job, seconds in measured.items()
    ]


def _first(many: list[Any], words: str) -> str:
    """The name that stands on top when these words are searched."""
    found = [each.issuer for each in many if all(word in each.label.casefold() for word in words.split())]
    return str(found[0])


def report() -> bool:
    """Print the rows; False when one took longer than it may."""
    print(f"{'screen':<18}{'median ms':>10}{'worst ms':>10}{'at most':>9}")
    measured = rows()
    for row in measured:
        print(
            f"{row['job']:<18}{row['median_ms']:>10.1f}{row['worst_ms']:>10.1f}{row['at_most_ms']:>9.0f}",
            flush=True,
        )
    return all(row["median_ms"] <= row["at_most_ms"] for row in measured)


if __name__ == "__main__":
    sys.exit(not report())
