"""Says what has happened: the terminal's bell, and words in a corner of the screen."""

from __future__ import annotations

from textual import on
from textual.app import App

from placet_authenticator.tui import toasts
from placet_authenticator.tui.messages import RequestArrived, RequestEnded
from placet_authenticator.tui.toasts import Toast


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
        self.toast(toasts.arrived(message.entry))

    @on(RequestEnded)
    def _ended(self, message: RequestEnded) -> None:
        self.toast(toasts.ended(message.ended))
