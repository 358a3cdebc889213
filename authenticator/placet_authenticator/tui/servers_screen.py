"""Servers on which this is a device: how each is reached, what it says of this device, and how to leave it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static

from placet_authenticator.authenticator import Authenticator
from placet_authenticator.errors import AuthenticatorError
from placet_authenticator.inbox import Connection
from placet_authenticator.records import Enrollment
from placet_authenticator.tui.asking import QuestionScreen
from placet_authenticator.tui.texts import QUIET, ago, clock_words, connection_words, day
from placet_authenticator.tui.widgets import TopBar
from placet_protocol.text import visible

if TYPE_CHECKING:
    from placet_authenticator.tui.host import Host

_NONE: Final = (
    "No server yet.\n\nPress e to enrol: an application that works with Placet shows you a QR code, "
    "and beside it a text that begins with https://."
)
_MARKS: Final = {
    "connecting": ("◌", "$text-warning"),
    "socket": ("●", "$text-success"),
    "poll": ("●", "$text-success"),
    "offline": ("○", "$text-error"),
}


class DeviceCard(Static, can_focus=True):
    """One enrolment: the server, how it is reached, and what this device is there."""

    def __init__(self, enrollment: Enrollment) -> None:
        super().__init__(markup=False, classes="device")
        self.enrollment: Final = enrollment
        self.standing = ""
        """What the server last said of this device; empty until it said something."""

    def draw(self, connection: Connection | None, now: int) -> None:
        """Show how things stand at ``now`` (ms UTC)."""
        each = self.enrollment
        mark = _MARKS[connection.state if connection else "connecting"]
        lines = [
            Content.assemble((visible(each.name), "bold"), "  ", (each.origin, QUIET)),
            Content.assemble(mark, f" {connection_words(connection, now)}", (_more(connection, now), QUIET)),
            Content(f"This device: {visible(each.device_name)}  ·  since {_date(each.created_at)}"),
        ]
        if connection and connection.clock_is_off:
            lines.append(Content.assemble(("! ", "$text-warning"), clock_words(connection, each.name)))
        if self.standing == "pending":
            check = f"{each.check[:3]} {each.check[3:]}"
            lines.append(Content.styled(f"! Not confirmed yet: compare {check}", "$text-warning bold"))
        elif self.standing == "revoked":
            words = "✗ Removed by the server: it cannot ask here any more."
            lines.append(Content.styled(words, "$text-error bold"))
        self.update(Content("\n").join(lines))


class ServersScreen(Screen[None]):
    """All enrolments, one card each. ``changed`` is called after one was left; ``clock`` gives ms UTC."""

    TITLE = "Servers"
    CSS_PATH = "places.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "app.enroll", "Enrol", tooltip="Become a device on another server"),
        Binding(
            "r", "ask", "Ask again", tooltip="Connect anew, and ask each server what it says of this device"
        ),
        Binding("delete,d", "leave", "Leave", key_display="d", tooltip="Stop being a device of this server"),
        Binding("up,k", "app.focus_previous", "Up", show=False),
        Binding("down,j", "app.focus_next", "Down", show=False),
    ]

    class Said(Message):
        """A server said what this device is to it: ``pending``, ``active`` or ``revoked``."""

        def __init__(self, device: str, standing: str) -> None:
            super().__init__()
            self.device = device
            self.standing = standing

    class Left(Message):
        """This device is no device of that server any more, or the server could not be told."""

        def __init__(self, enrollment: Enrollment, error: AuthenticatorError | None) -> None:
            super().__init__()
            self.enrollment = enrollment
            self.error = error

    def __init__(self, device: Authenticator, clock: Callable[[], int], changed: Callable[[], None]) -> None:
        super().__init__()
        self._device = device
        self._clock = clock
        self._changed = changed

    def compose(self) -> ComposeResult:
        """Bar, cards, keys."""
        yield TopBar()
        yield VerticalScroll(id="devices", can_focus=False)
        yield Static(_NONE, classes="nothing", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Follow connections and time."""
        self.watch(self.app, "inbox", self._draw, init=False)
        self.watch(self.app, "now", self._draw, init=False)

    async def on_screen_resume(self) -> None:
        """Another screen may have brought a server."""
        await self._load()

    async def action_ask(self) -> None:
        """Connect to all servers at once and ask what they say of this device."""
        cast("Host", self.app).follow()
        await self._load()

    def action_leave(self) -> None:
        """Leave the server under the cursor, once the person is sure."""
        if (card := self._current) is None:
            return
        each = card.enrollment
        question = QuestionScreen(
            f"Leave {visible(each.name)}?",
            f"{each.origin} cannot ask you here any more. Its keys, requests, history and code are erased on this device.",
            {"stay": "Stay", "leave": "Leave"},
        )
        self.app.push_screen(question, lambda answer: self._answered(each, answer))

    def on_servers_screen_said(self, event: Said) -> None:
        """Show what the server said."""
        for card in self.query(DeviceCard):
            if card.enrollment.id == event.device:
                card.standing = event.standing
        self._draw()

    async def on_servers_screen_left(self, event: Left) -> None:
        """Take the card away; a server that cannot be told may be forgotten here alone."""
        each = event.enrollment
        if event.error is None:
            self._changed()
            self.notify(f"Left {visible(each.name)}.", markup=False)
            await self._load()
            return
        question = QuestionScreen(
            f"{visible(each.name)} could not be told",
            f"{visible(event.error.detail)}. Forget it here all the same? It goes on asking a device that does not answer.",
            {"stay": "Stay", "forget": "Forget it here"},
        )
        self.app.push_screen(question, lambda answer: self._answered(each, answer))

    @property
    def _current(self) -> DeviceCard | None:
        if isinstance(self.focused, DeviceCard):
            return self.focused
        cards = list(self.query(DeviceCard))
        return cards[0] if len(cards) == 1 else None

    def _answered(self, enrollment: Enrollment, answer: str | None) -> None:
        if answer in {"leave", "forget"}:
            self._leave(enrollment, tell=answer == "leave")

    async def _load(self) -> None:
        """Cards for the enrolments that there are, the focus where it was."""
        place = next((i for i, card in enumerate(self.query(DeviceCard)) if card.has_focus), 0)
        known = {card.enrollment.id: card.standing for card in self.query(DeviceCard)}
        cards = [DeviceCard(each) for each in self._device.enrollments]
        for card in cards:
            card.standing = known.get(card.enrollment.id, "")
        devices = self.query_one("#devices")
        await devices.remove_children()
        await devices.mount_all(cards)
        self.set_class(not cards, "-none")
        if cards and self.is_current:
            cards[min(place, len(cards) - 1)].focus()
        self._draw()
        for card in cards:
            self._ask(card.enrollment)

    def _draw(self) -> None:
        now = self._clock()
        connections = self._device.state.connections
        for card in self.query(DeviceCard):
            card.draw(connections.get(card.enrollment.origin), now)

    @work(group="standing")
    async def _ask(self, enrollment: Enrollment) -> None:
        try:
            self.post_message(self.Said(enrollment.id, await self._device.status(enrollment)))
        except AuthenticatorError:
            return  # the connection's own line says that the server does not answer

    @work(group="leaving")
    async def _leave(self, enrollment: Enrollment, *, tell: bool) -> None:
        try:
            await self._device.leave(enrollment, tell=tell)
        except AuthenticatorError as error:
            self.post_message(self.Left(enrollment, error))
        else:
            self.post_message(self.Left(enrollment, None))


def _date(ms: int) -> str:
    return f"{day(ms).day} {day(ms):%b %Y}"


def _more(connection: Connection | None, now: int) -> str:
    if connection is None:
        return ""
    heard = (
        "never heard"
        if connection.last_contact is None
        else f"last heard {ago(now - connection.last_contact)} ago"
    )
    trouble = f"  ·  {connection.trouble}" if connection.state == "offline" and connection.trouble else ""
    return f"  ·  {heard}{trouble}"
