"""What is shown for the moment in which a vault opens by itself."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Center, Middle
from textual.screen import Screen
from textual.widgets import Static


class OpeningScreen(Screen[None]):
    """Says that the vault is being opened."""

    def compose(self) -> ComposeResult:
        """One line in the middle."""
        with Middle(), Center():
            yield Static("Opening your vault …", markup=False, classes="quiet")
