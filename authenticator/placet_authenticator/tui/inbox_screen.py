"""What waits for an answer, newest first, and below it what was answered."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer

from placet_authenticator.tui.widgets import TopBar


class InboxScreen(Screen[None]):
    """Requests and history."""

    def compose(self) -> ComposeResult:
        """Bar, lists, keys."""
        yield TopBar()
        yield Footer()
