"""A request of the history: what was asked, how it ended, and what proves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from placet_authenticator.tui.details import RequestDetails
from placet_authenticator.tui.rows import MARKS
from placet_authenticator.tui.texts import how_it_ended, outcome_word, own_facts
from placet_authenticator.tui.widgets import TopBar

if TYPE_CHECKING:
    from placet_authenticator.inbox import Ended


class PastScreen(Screen[None]):
    """Shows a request that is over; ``signed`` tells whether this device keeps its own signed answer."""

    TITLE = "History"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Back", key_display="esc"),
        Binding("up", "scroll_by(-1)", "Up", show=False),
        Binding("down", "scroll_by(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
    ]

    def __init__(self, ended: Ended, *, signed: bool) -> None:
        super().__init__()
        self._ended = ended
        self._signed = signed

    def compose(self) -> ComposeResult:
        """Bar, how it ended, what was asked, keys."""
        ended = self._ended
        yield TopBar()
        with Horizontal(id="asks"):
            mark = Content.assemble(
                MARKS[ended.outcome], " ", (outcome_word(ended), f"{MARKS[ended.outcome][1]} bold")
            )
            yield Static(Content.assemble(mark, " ", how_it_ended(ended)), id="who", markup=False)
        yield RequestDetails(ended.entry, [*own_facts(ended.entry)[:2], *self._proof()])
        yield Footer()

    def action_scroll_by(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one(RequestDetails).scroll_lines(lines)

    def action_page(self, pages: int) -> None:
        """Scroll by pages."""
        self.query_one(RequestDetails).scroll_pages(pages)

    def _proof(self) -> list[tuple[str, str]]:
        if not self._signed:
            return [("Digest", self._ended.entry.digest), ("Proof", "No answer was signed on this device.")]
        receipt = (
            "Your signed answer is kept in this vault. The application can get the server's receipt of it, "
            "and placet receipt verify checks that offline."
        )
        return [("You signed", self._ended.entry.digest), ("Proof", receipt)]
