"""A terminal that a test can type into and read: tmux on a socket of its own."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from support.programs import environment
from support.system import needed

DEADLINE = 30.0


class Terminal:
    """One window in which one program runs."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def tmux(self, *words: str) -> str:
        """One tmux command and what it says."""
        done = subprocess.run(
            ["tmux", "-S", self._socket, "-f", "/dev/null", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        """Press keys by their tmux names."""
        self.tmux("send-keys", *keys)

    def press_and_see(self, key: str) -> None:
        """Press a key that changes the screen and wait until it has: what is read together with the next is a paste."""
        before = self.screen()
        self.press(key)
        self.until(lambda: self.screen() != before)

    def type(self, text: str) -> None:
        """Type a text as it is."""
        self.tmux("send-keys", "-l", text)

    def screen(self) -> str:
        """What is shown now."""
        return self.tmux("capture-pane", "-p")

    def until(self, true: Callable[[], object]) -> None:
        """Wait until something is so."""
        end = time.monotonic() + DEADLINE
        while not true():
            assert time.monotonic() < end, self.screen()
            time.sleep(0.05)

    def shows(self, *words: str) -> None:
        """Wait until all these words are on the screen."""
        self.until(lambda: all(each in self.screen() for each in words))


@contextlib.contextmanager
def terminal(
    folder: Path, command: Sequence[str | Path], size: tuple[int, int] = (80, 24), **variables: str
) -> Iterator[Terminal]:
    """Run a command in a window; after it has ended the window says ``ended`` and its status."""
    needed("tmux")
    window = Terminal(folder / "tmux")
    words = shlex.join(str(word) for word in command)
    env = environment(TERM="xterm-256color", COLORTERM="truecolor", **variables)
    start: list[str] = [
        "tmux",
        "-S",
        str(folder / "tmux"),
        "-f",
        "/dev/null",
        "new-session",
        "-d",
        "-x",
        str(size[0]),
        "-y",
        str(size[1]),
    ]
    subprocess.run([*start, f"{words}; echo ended $?; read -r _"], env=env, check=True)
    window.tmux("set-option", "-g", "set-clipboard", "on")
    try:
        yield window
    finally:
        window.tmux("kill-server")
