"""Says what has happened: the terminal's bell, and words in a corner of the screen."""

from __future__ import annotations

from typing import Final

from textual import on
from textual.app import App
from textual.screen import Screen

from placet_authenticator.inbox import Entry
from placet_authenticator.tui import toasts
from placet_authenticator.tui.messages import RequestArrived, RequestEnded
from placet_authenticator.tui.toasts import Toast


class Reading(Screen[None]):
    """A screen on which one request is read and answered: no words of another one come to lie over it."""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry: Final = entry


class Announcing(App[None]):
    """An app that announces requests that come and go."""

    def toast(self, shown: Toast | None) -> None:
        """Show a few words for a while, never as markup."""
        if shown is not None:
            text, title, severity, seconds = shown
            self.notify(text, title=title, severity=severity, timeout=seconds, markup=False)

    @on(RequestArrived)
    def _arrived(self, message: RequestArrived) -> None:
        self.bell()
        if not self._reads_another(message.entry):
            self.toast(toasts.arrived(message.entry))

    @on(RequestEnded)
    def _ended(self, message: RequestEnded) -> None:
        if not self._reads_another(message.ended.entry):
            self.toast(toasts.ended(message.ended))

    def _reads_another(self, entry: Entry) -> bool:
        return any(isinstance(each, Reading) and each.entry.key != entry.key for each in self.screen_stack)
