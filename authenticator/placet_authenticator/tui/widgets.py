"""Parts that several screens show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from placet_authenticator.tui.texts import connection_words, server_names

if TYPE_CHECKING:
    from placet_authenticator.inbox import Inbox
    from placet_authenticator.tui.host import Host

PLACES: Final = (("inbox", "1", "Inbox"), ("codes", "2", "Codes"), ("servers", "3", "Servers"))


class Tab(Static):
    """A place to go to, by its number or by a click."""

    def __init__(self, mode: str, key: str, words: str) -> None:
        super().__init__(markup=False, classes="tab", id=f"tab-{mode}")
        self._mode = mode
        self._key = key
        self._words = words

    def show(self, mode: str, count: int = 0) -> None:
        """Draw it for the mode that is shown, with the number of what waits there."""
        self.set_class(mode == self._mode, "-here")
        number = Content.assemble((f" {count} ", "reverse bold")) if count else Content("")
        self.update(Content.assemble((self._key, "$primary"), f" {self._words} ", number))

    async def on_click(self, event: events.Click) -> None:
        """Go there."""
        event.stop()
        await self.app.run_action(f"go('{self._mode}')")


class Connections(Static):
    """How each server is reached, as far as there is room."""

    def show(self, inbox: Inbox, names: dict[str, str], now: int, room: int) -> None:
        """Draw one mark a server: names of all, then names of those that are offline, then numbers only."""
        marks = []
        for origin, name in names.items():
            words = connection_words(inbox.connections.get(origin), now)
            mark = {"c": ("●", "$success"), "o": ("○", "$error")}[words[0]]
            if words == "connecting":
                mark = ("◌", "$warning")
            marks.append((mark, name, words))
        full = Content("  ").join(Content.assemble(mark, f" {name} {words}") for mark, name, words in marks)
        short = Content("  ").join(Content.assemble(mark, f" {name}") for mark, name, _ in marks)
        least = Content(" ").join(
            Content.assemble((sign, style), f"{sum(mark[0][0] == sign for mark in marks)}")
            for sign, style in (("●", "$success"), ("◌", "$warning"), ("○", "$error"))
            if any(mark[0][0] == sign for mark in marks)
        )
        offline = Content(" ").join(
            Content.assemble(mark, " offline" if mark[0] == "○" else "") for mark, _, _ in marks[:1]
        )
        ways = (full, short, offline if len(marks) == 1 else least)
        self.update(next((way for way in ways if way.cell_length <= room), least))


class TopBar(Horizontal):
    """Always visible: where one is, how many requests wait, and how each server is reached."""

    def compose(self) -> ComposeResult:
        """The name, the places, the servers."""
        yield Static("Placet", markup=False, classes="brand")
        for place in PLACES:
            yield Tab(*place)
        yield Connections(markup=False, classes="connections")

    def on_mount(self) -> None:
        """Follow what the app knows."""
        self.watch(self.app, "inbox", self.draw, init=False)
        self.watch(self.app, "now", self.draw)

    def on_resize(self) -> None:
        """More or less room for the servers' names."""
        self.draw()

    def draw(self) -> None:
        """Draw all of it anew."""
        app = cast("Host", self.app)
        if app.locked:
            return
        for tab in self.query(Tab):
            tab.show(app.current_mode, len(app.inbox.pending) if tab.id == "tab-inbox" else 0)
        connections = self.query_one(Connections)
        used = sum(child.outer_size.width for child in self.children if child is not connections)
        names = server_names(app.device.enrollments)
        connections.show(app.inbox, names, app.now, max(0, self.size.width - used - 2))
