"""What waits for an answer, newest first, and below it what was answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from placet_authenticator.inbox import Ended, Entry, Inbox, Notice
from placet_authenticator.tui.messages import NoticeOpened, PastOpened, RequestOpened
from placet_authenticator.tui.rows import notice_row, past_row, pending_row
from placet_authenticator.tui.texts import QUIET, ago, day, server_names
from placet_authenticator.tui.widgets import TopBar

if TYPE_CHECKING:
    from placet_authenticator.authenticator import Authenticator
    from placet_authenticator.tui.host import Host

_NOWHERE: Final = (
    "This device is on no server yet.\n\n"
    "Press e to enrol: an application shows you a QR code and a text for it.\n"
    "Press 2 for codes; they need no server."
)
_QUIET: Final = "Nothing waits for you.\n\nWhen an application asks, it appears here and your terminal rings."
AIRY: Final = 18
"""From this many lines on there is room for a blank one."""
Item = Entry | Ended | Notice


class InboxScreen(Screen[None]):
    """Requests, history and notices in one list."""

    TITLE = "Inbox"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "app.enroll", "Enrol", tooltip="Become a device on a server"),
        Binding("r", "app.reconnect", "Reconnect", tooltip="Connect to all servers anew, at once"),
    ]

    def __init__(self, device: Authenticator) -> None:
        super().__init__()
        self._device = device
        self._names: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """Bar, what cannot be done now, the list, keys."""
        yield TopBar()
        yield Static(id="offline", markup=False)
        yield Static(id="empty", markup=False)
        yield InboxList()
        yield Footer()

    def on_mount(self) -> None:
        """Follow what the app knows."""
        self.query_one(InboxList).focus()
        self.watch(self.app, "inbox", self.draw, init=False)
        self.watch(self.app, "now", self.draw)

    def on_resize(self) -> None:
        """Lines are cut to the room that there is."""
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Draw what changed; the cursor stays on what it is on."""
        app = cast("Host", self.app)
        if app.locked:
            return
        inbox, requests = app.inbox, self.query_one(InboxList)
        self._names = server_names(self._device.enrollments)
        self._say_what_is_offline(inbox, app.now)
        past: list[Ended | Notice] = [*inbox.history, *inbox.notices]
        past.sort(key=lambda each: -each.at)
        requests.show(inbox, past, self._names, app.now)
        empty = self.query_one("#empty", Static)
        empty.display = not inbox.pending
        empty.update(_QUIET if self._names else _NOWHERE)

    def _say_what_is_offline(self, inbox: Inbox, now: int) -> None:
        gone = [inbox.connections[each] for each in self._names if each in inbox.connections]
        gone = [each for each in gone if each.state == "offline"]
        line = self.query_one("#offline", Static)
        line.display = bool(gone)
        if gone:
            names = ", ".join(self._names[each.origin] for each in gone)
            since = ago(now - min(each.since for each in gone))
            line.update(
                Content.assemble(
                    ("○ ", "$text-error"),
                    (names, "bold"),
                    f" cannot be reached for {since}. New requests do not arrive, answers cannot be sent. "
                    "It is tried again by itself; r tries now. Codes work.",
                )
            )

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        item = self.query_one(InboxList).item(event.option.id)
        match item:
            case Entry():
                self.post_message(RequestOpened(item))
            case Ended():
                self.post_message(PastOpened(item))
            case Notice():
                self.post_message(NoticeOpened(item, self._names.get(item.origin, item.origin)))


class InboxList(OptionList):
    """The lines of the inbox."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Open", tooltip="Open what is under the cursor"),
        Binding("up,k", "cursor_up", "Up", show=False),
        Binding("down,j", "cursor_down", "Down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("home", "first", "First", show=False),
        Binding("end", "last", "Last", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="requests", markup=False)
        self._items: dict[str, Item] = {}
        self._drawn: tuple[object, ...] = ()

    def item(self, option_id: str | None) -> Item | None:
        """What the line of that id shows."""
        return self._items.get(option_id or "")

    def show(self, inbox: Inbox, past: Sequence[Ended | Notice], names: Mapping[str, str], now: int) -> None:
        """Draw these; only countdowns change each second."""
        width = self.scrollable_content_region.width - 2
        waiting = {
            _id(entry): pending_row(entry, now + inbox.offset(entry.origin), width) for entry in inbox.pending
        }
        self._items = {_id(each): each for each in (*inbox.pending, *past)}
        drawn = (tuple(self._items), width, self.size.height >= AIRY, day(now))
        if drawn == self._drawn:
            for option_id, row in waiting.items():
                self.replace_option_prompt(option_id, row)
            return
        self._drawn = drawn
        before = self.highlighted_option
        options = [Option(row, option_id) for option_id, row in waiting.items()]
        if waiting:
            options.insert(0, _heading("Waits for you"))
        if past:
            gap = "\n" if options and self.size.height >= AIRY else ""
            options.append(_heading(f"{gap}Earlier"))
            options += [Option(_past(each, names, now, width), _id(each)) for each in past]
        self.set_options(options)
        if before is not None and before.id in self._items:
            self.highlighted = self.get_option_index(before.id or "")
        elif waiting:
            self.highlighted = 1


def _heading(words: str) -> Option:
    return Option(Content.styled(words, QUIET), disabled=True)


def _past(item: Ended | Notice, names: Mapping[str, str], now: int, width: int) -> Content:
    if isinstance(item, Notice):
        return notice_row(item, names.get(item.origin, item.origin), now, width)
    return past_row(item, now, width)


def _id(item: Item) -> str:
    match item:
        case Entry():
            return f"waits {item.origin} {item.rid}"
        case Ended():
            return f"ended {item.entry.origin} {item.entry.rid}"
        case Notice():
            return f"told {item.origin} {item.id}"
