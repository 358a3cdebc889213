"""Puts a code on the terminal's clipboard and takes it off again."""

from __future__ import annotations

from typing import Any, Final

from textual.app import App
from textual.timer import Timer

SECONDS: Final = 30.0
"""How long a copied code stays: the length of one code."""


class Clipboard:
    """The clipboard of the terminal that shows this app, through OSC 52: it also works over SSH and in tmux.

    What was put there is overwritten ``seconds`` later; 0 leaves it.
    """

    def __init__(self, app: App[Any], seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._app = app
        self._timer: Timer | None = None

    def put(self, text: str) -> None:
        """Copy the text; what was there from before is forgotten."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._app.copy_to_clipboard(text)
        if self.seconds:
            self._timer = self._app.set_timer(self.seconds, self.clear, name="clipboard")

    def clear(self) -> None:
        """Overwrite what ``put`` copied, if it may still be there."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
            # Some terminals and tmux ignore an empty text, so that a space replaces the code before it is emptied.
            self._app.copy_to_clipboard(" ")
            self._app.copy_to_clipboard("")
