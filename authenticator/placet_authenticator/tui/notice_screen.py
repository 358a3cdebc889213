"""Something that a server told, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from placet_authenticator.tui.texts import moment_words

if TYPE_CHECKING:
    from placet_authenticator.inbox import Notice


class NoticeScreen(ModalScreen[None]):
    """Shows a notice of the server that the person calls ``server``."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "dismiss", "Back", key_display="esc")]

    def __init__(self, notice: Notice, server: str) -> None:
        super().__init__()
        self._notice = notice
        self._server = server

    def compose(self) -> ComposeResult:
        """Who told it, when, and what."""
        with VerticalScroll(classes="window") as window:
            window.border_subtitle = "esc closes"
            yield Static(f"{self._server} says", markup=False, classes="heading")
            yield Static(self._notice.text, markup=False)
            yield Static(f"\n{moment_words(self._notice.at)}", markup=False, classes="quiet")
