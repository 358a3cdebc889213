"""Everything that a request says, whole: it scrolls where it does not fit, and nothing is cut."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from placet_authenticator.inbox import Entry


class RequestDetails(Widget):
    """Message, details and context in the application's words, each beside a bar; then what this device knows itself.

    ``facts`` are label and value of the latter.
    """

    def __init__(self, entry: Entry, facts: Iterable[tuple[str, str]]) -> None:
        super().__init__(id="details")
        self._entry = entry
        self._facts = list(facts)

    def compose(self) -> ComposeResult:
        """The scrolling text, and a line that says how much of it is out of sight."""
        entry = self._entry
        with VerticalScroll(id="scroll", can_focus=False):
            with Vertical(classes="foreign"):
                yield Static(entry.message, markup=False, classes="message")
                for label, value in entry.fields:
                    yield _field(label, value)
            context = [("IP address", entry.ip), ("Place", entry.place), ("Program", entry.agent)]
            claims = [(label, value) for label, value in context if value]
            says = "Where it comes from, as {} claims" if claims else "{} says nothing of where it comes from"
            yield Static(says.format(entry.application), markup=False, classes="section")
            if claims:
                with Vertical(classes="foreign"):
                    for label, value in claims:
                        yield _field(label, value)
            yield Static("What this device knows", markup=False, classes="section")
            with Vertical(classes="own"):
                for label, value in self._facts:
                    yield _field(label, value)
        yield Static(id="more", markup=False)

    def on_mount(self) -> None:
        """Follow the scrolling."""
        scroll = self.query_one("#scroll", VerticalScroll)
        for what in ("scroll_y", "virtual_size", "size"):
            self.watch(scroll, what, self._moved)

    def scroll_lines(self, lines: int) -> None:
        """Move the text by so many lines."""
        self.query_one("#scroll", VerticalScroll).scroll_relative(y=lines, animate=False, immediate=True)

    def scroll_pages(self, pages: int) -> None:
        """Move the text by so many pages; a line of the last one stays in sight."""
        scroll = self.query_one("#scroll", VerticalScroll)
        self.scroll_lines(pages * max(1, scroll.size.height - 1))

    def scroll_end_to(self, *, top: bool) -> None:
        """Move to the beginning or the end of the text."""
        scroll = self.query_one("#scroll", VerticalScroll)
        self.scroll_lines(-scroll.max_scroll_y if top else scroll.max_scroll_y)

    def _moved(self) -> None:
        self.call_after_refresh(self._say_more)  # sizes are known then

    def _say_more(self) -> None:
        scroll = self.query_one("#scroll", VerticalScroll)
        above, below = int(scroll.scroll_y), int(scroll.max_scroll_y - scroll.scroll_y)
        parts = [f"▼ {_lines(below)} below"] if below else []
        parts += [f"▲ {_lines(above)} above"] if above else []
        self.query_one("#more", Static).update(Content.styled("   ".join(parts), "$accent"))


def _lines(count: int) -> str:
    return f"{count} more {'line' if count == 1 else 'lines'}"


def _field(label: str, value: str) -> Horizontal:
    return Horizontal(
        Static(label, markup=False, classes="label"),
        Static(value, markup=False, classes="value"),
        classes="field",
    )
