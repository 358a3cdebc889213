"""Parts that several screens show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from placet_authenticator.tui.texts import connection_word, connection_words, one_line, server_names

if TYPE_CHECKING:
    from placet_authenticator.inbox import Inbox
    from placet_authenticator.tui.host import Host

PLACES: Final = (("inbox", "1", "Inbox"), ("codes", "2", "Codes"), ("servers", "3", "Servers"))
NAME_CELLS: Final = 6
"""A name that is cut to fewer columns says nothing."""
_MARKS: Final = {
    "connected": ("●", "$success"),
    "connecting": ("◌", "$warning"),
    "offline": ("○", "$error"),
}


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
        """Draw each server's mark, name and state; names are shortened where that fits, else states are counted."""
        known = {origin: inbox.connections.get(origin) for origin in names}
        words = {origin: connection_word(each) for origin, each in known.items()}
        whole = {origin: connection_words(each, now) for origin, each in known.items()}
        plain = {origin: Content(one_line(name)) for origin, name in names.items()}

        def listed(shown: dict[str, Content], states: dict[str, str]) -> Content:
            return Content("  ").join(
                Content.assemble(_MARKS[words[origin]], " ", name, f" {states[origin]}")
                for origin, name in shown.items()
            )

        counts = {state: list(words.values()).count(state) for state in _MARKS}
        some = {state: count for state, count in counts.items() if count}
        several = len(names) > 1
        ways = [listed(plain, whole), listed(plain, words)]
        bare = listed(dict.fromkeys(names, Content("")), words).cell_length
        if cells := _shared(room - bare, [name.cell_length for name in plain.values()]):
            cut = {origin: name.truncate(cells, ellipsis=True) for origin, name in plain.items()}
            ways.append(listed(cut, words))
        ways += (
            Content("  ").join(
                Content.assemble(_MARKS[state], f" {count} {state}" if several else f" {state}")
                for state, count in some.items()
            ),
            Content(" ").join(Content.assemble(_MARKS[state], f"{count}") for state, count in some.items()),
        )
        self.update(next((way for way in ways if way.cell_length <= room), ways[-1]))


def _shared(room: int, lengths: list[int]) -> int:
    """To how many columns the longer names are cut so that all fit into the room; 0 when that is too few."""
    fitting = (
        cells
        for cells in range(max(lengths, default=0), NAME_CELLS - 1, -1)
        if sum(min(cells, length) for length in lengths) <= room
    )
    return next(fitting, 0)


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
        used = sum(
            child.outer_size.width for child in self.children if child.display and child is not connections
        )
        names = server_names(app.device.enrollments)
        connections.show(app.inbox, names, app.now, max(0, self.size.width - used - 2))
