"""What is said to the terminal beside the screen itself."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from typing import Final, cast

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.app import App
from textual.geometry import Size
from textual.keys import Keys

ESCAPE_ENTER: Final = "\x1b\r"


def set_title(app: App[None], title: str) -> None:
    """Name the terminal's window or tab."""
    driver = app._driver  # noqa: SLF001  Textual offers no other way to the terminal
    if driver is not None and not driver.is_headless:
        driver.write(f"\x1b]2;{title}\x1b\\")
        driver.flush()


def part_escape_from_enter() -> None:
    """Read Escape and Enter that arrive at once, as over a slow line, as these two keys.

    The toolkit takes them for Alt+Enter and drops the Alt: who wanted to leave would have said yes.
    """
    cast("dict[str, object]", ANSI_SEQUENCES_KEYS)[ESCAPE_ENTER] = (Keys.Escape, Keys.ControlM)


def end_with_terminal() -> None:
    """End this process once its terminal is gone, whether or not anybody signals that.

    Closing a window signals the programs in it, but not one in a session of its own or under ``nohup``. The toolkit
    then reads nothing for ever, as fast as it can. Only Linux tells of a hang-up without being asked for input.
    """
    if sys.platform == "linux":
        threading.Thread(target=_wait_for_hang_up, name="terminal", daemon=True).start()


def _wait_for_hang_up() -> None:
    gone = select.poll()
    gone.register(sys.__stdin__ or 0, 0)  # nothing but what is always told: hang-up and error
    gone.poll()
    # The loop may wait for a writer that is no more, so nothing is asked of it; the vault is safe at any time.
    os._exit(128 + signal.SIGHUP)


def mend_size(app: App[None]) -> None:
    """Take the terminal's size if the app has another: the signal of a resize can get lost on a busy machine."""
    driver = app._driver  # noqa: SLF001  as above
    if driver is None or driver.is_headless or sys.__stderr__ is None:
        return
    try:
        size = Size(*os.get_terminal_size(sys.__stderr__.fileno()))
    except OSError:
        return
    if size != app.size:
        app.post_message(events.Resize(size, size))
