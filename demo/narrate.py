"""What the demo prints: numbered steps, and under them what went over the wire."""

from __future__ import annotations

import os
import sys
import time


class Narrator:
    """Prints to standard output; colours only on a terminal, and not where NO_COLOR is set."""

    def __init__(self) -> None:
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._width = 150
        self._count = 0
        self._start = time.monotonic()

    def step(self, text: str) -> None:
        """A new step of the journey."""
        self._count += 1
        print(f"\n{self._styled('1', f'{self._count:2}. {text}')}", flush=True)

    def wire(self, head: str, body: str) -> None:
        """One message, cut to the width of a wide terminal."""
        line = f"{head}  {body}".rstrip()
        print(
            f"    {self._styled('2', line if len(line) <= self._width else line[: self._width - 1] + '…')}",
            flush=True,
        )

    def fact(self, text: str) -> None:
        """What is true now."""
        print(f"    {self._styled('32', '✓')} {text}", flush=True)

    def done(self, text: str) -> None:
        """The last line."""
        print(f"\n{self._styled('1', text)}  ({time.monotonic() - self._start:.1f} s)", flush=True)

    def _styled(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def check(holds: object, claim: str) -> None:
    """End with status 1 when a claim of the demo does not hold."""
    if not holds:
        raise SystemExit(f"The demo failed: {claim}: no.")
