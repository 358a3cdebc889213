"""Asks for the passphrase of the vault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from placet_authenticator.errors import AuthenticatorError
from placet_authenticator.settings import MAX_PASSPHRASE
from placet_authenticator.tui.texts import said


class UnlockScreen(Screen[None]):
    """Nothing of the vault is in memory while this is shown; ``unlock`` opens it and goes on to another screen."""

    TITLE = "Locked"
    CSS_PATH = "places.tcss"

    class Refused(Message):
        """The vault did not open."""

        def __init__(self, error: AuthenticatorError) -> None:
            super().__init__()
            self.error = error

    def __init__(self, unlock: Callable[[str], Awaitable[None]]) -> None:
        super().__init__()
        self._unlock = unlock

    def compose(self) -> ComposeResult:
        """One line for the passphrase, and what went wrong the last time."""
        with Vertical(classes="card"):
            yield Static("Placet is locked", classes="heading", markup=False)
            yield Static(
                "Requests wait at their servers until you unlock.",
                classes="quiet",
                markup=False,
            )
            yield Input(password=True, placeholder="Passphrase", id="passphrase", max_length=MAX_PASSPHRASE)
            yield Static(id="trouble", markup=False)
            yield Static("Enter opens, Ctrl+Q quits.", classes="quiet", markup=False)
        yield Footer()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Try this passphrase."""
        if event.value:
            event.input.disabled = True
            self.query_one("#trouble", Static).update("Opening …")
            self._try(event.value)

    def ask_again(self) -> None:
        """Take a passphrase as if none had been typed."""
        line = self.query_one("#passphrase", Input)
        line.disabled = False
        line.value = ""
        line.focus()
        self.query_one("#trouble", Static).update("")

    def on_unlock_screen_refused(self, event: Refused) -> None:
        """Say why, and let the person try again."""
        self.ask_again()
        trouble = self.query_one("#trouble", Static)
        trouble.update(said(event.error))
        trouble.add_class("-trouble")

    @work(exclusive=True)
    async def _try(self, passphrase: str) -> None:
        try:
            await self._unlock(passphrase)
        except AuthenticatorError as error:
            self.post_message(self.Refused(error))
