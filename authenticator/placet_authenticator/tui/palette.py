"""What the command palette offers beside the toolkit's own themes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from textual.app import App, SystemCommand

_PLACES = (
    ("Inbox", "What waits for your answer", "go('inbox')"),
    ("Codes", "Codes of soft tokens", "go('codes')"),
    ("Servers", "Where this is a device", "go('servers')"),
    ("Enrol", "Become a device on a server", "enroll"),
    ("Lock", "Ask for the passphrase again", "lock"),
)
_ALWAYS = (
    ("Theme", "Dark, light or high contrast", "change_theme"),
    ("Keys", "What each key does here", "help"),
    ("Quit", "End the app", "quit"),
)


def commands(app: App[Any], *, locked: bool) -> Iterable[SystemCommand]:
    """Every place and each of the app's own jobs; of a locked app those that need no vault."""
    for title, words, action in (*(() if locked else _PLACES), *_ALWAYS):
        yield SystemCommand(title, words, partial(app.run_action, action))
