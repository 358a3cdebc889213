"""One request, whole, and the answer to it. Nothing but deliberate typing approves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, Literal, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Button, Footer, Static

from placet_authenticator.deciding import Answer, approve, deny
from placet_authenticator.inbox import Entry
from placet_authenticator.tui.announcing import Reading
from placet_authenticator.tui.answer_panel import AnswerPanel, State
from placet_authenticator.tui.details import RequestDetails
from placet_authenticator.tui.messages import AnswerFailed, AnswerGiven
from placet_authenticator.tui.rows import URGENT_MS
from placet_authenticator.tui.texts import QUIET, ago, clock_time, connection_words, own_facts, said
from placet_authenticator.tui.typed import Typed
from placet_authenticator.tui.widgets import TopBar

if TYPE_CHECKING:
    from placet_authenticator.tui.host import Host

DEAD_SECONDS: Final = 1.0
"""Keys that were meant for what was on the screen before do nothing."""
READ_SECONDS: Final = 0.75
"""Reasons to deny are dead for so long, and so long after each key: no double click, held key or word is a reason."""
TALL: Final = 22
"""From this many lines on boxes and buttons are drawn large."""


WIDE: Final = 76
"""From this many columns on the age is shown beside the time that is left."""


class ApprovalScreen(Reading):
    """Shows a request and takes the answer; it closes when the request is over, whoever ended it.

    ``moment_of`` gives the seconds at which an event came, on a clock that only goes forward.
    """

    TITLE = "Request"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "approve", "Approve", tooltip="Sign and send, once all is typed"),
        Binding("d", "deny", "Deny …", tooltip="Deny, and say why"),
        Binding("escape,q", "back", "Back", key_display="esc", tooltip="Leave without an answer"),
        Binding("m", "reason('mistake')", "By mistake", show=False),
        Binding("n", "reason('not_me')", "Not me", show=False),
        Binding("up", "scroll_by(-1)", "Scroll up", show=False),
        Binding("down", "scroll_by(1)", "Scroll down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "top(True)", "Top", show=False),
        Binding("end", "top(False)", "End", show=False),
    ]

    def __init__(self, entry: Entry, moment_of: Callable[[events.Event], float]) -> None:
        super().__init__(entry)
        self._moment_of = moment_of
        self._typed = Typed(entry.digits)
        self._state: State = "asking"
        self._trouble = ""
        self._wakes_at: float | None = None
        self._waking: Timer | None = None
        self._alive = False
        self._over = False
        self._possible: tuple[bool, State] = False, "asking"

    def compose(self) -> ComposeResult:
        """Bar, who asks and how long, what, the answer, keys."""
        yield TopBar()
        with Horizontal(id="asks"):
            yield Static(id="who", markup=False)
            yield Static(id="left", markup=False)
        yield RequestDetails(self.entry, own_facts(self.entry))
        yield AnswerPanel(self.entry.application, self._typed)
        yield Footer()

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """Digits are typed here and lead to no other place."""
        return {key: each for key, each in super().active_bindings.items() if not key.isdigit()}

    def on_mount(self) -> None:
        """Follow what the app knows."""
        who = Content.assemble((self.entry.application, "bold"), " asks")
        self.query_one("#who", Static).update(who)
        self.watch(self.app, "inbox", self._follow, init=False)
        self.watch(self.app, "now", self._draw)

    def on_resize(self) -> None:
        """Boxes are as large as there is room."""
        self._draw()

    def on_screen_resume(self) -> None:
        """What ended while another screen was in front closes now; keys are dead for a second, again."""
        self._alive, self._wakes_at = False, None
        self._state = "asking" if self._state == "denying" else self._state
        self._typed.clear()
        self.call_after_refresh(self._sleep, DEAD_SECONDS)
        self._follow()

    def on_key(self, event: events.Key) -> None:
        """Characters are typed into the boxes and do nothing else."""
        if not (event.is_printable or event.key in {"enter", "backspace"}):
            return
        at = self._moment_of(event)
        if self._state != "denying" and self._dead(at):
            event.stop()
        elif self._typed.hasty(at):
            event.stop()
            if self._state == "denying":
                self._become("asking")
        elif self._dead(at):
            if event.key != "q":
                event.stop()
                self._sleep(READ_SECONDS)
        elif not self._goes_on(event):
            event.stop()
        self._draw()

    def on_paste(self, event: events.Paste) -> None:
        """A number is typed, never pasted: it is to go from one screen to the other through a person."""
        event.stop()
        self._typed.refuse()
        self._draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What cannot be done now is dim in the footer."""
        del parameters
        match action:
            case "approve":
                return self._can_approve or None
            case "deny":
                return (self._alive and self._state != "sending") or None
            case "reason":
                return self._alive and self._state == "denying"
            case _:
                return True

    def action_approve(self) -> None:
        """Sign and send the approval."""
        if self._can_approve:
            self._give(approve(self._typed.number))

    def action_deny(self) -> None:
        """Ask why; a second time it is a plain no."""
        if not self._alive:
            return
        if self._state == "denying":
            self._give(deny("declined"))
        else:
            self._become("denying")

    def action_reason(self, reason: Literal["mistake", "not_me"]) -> None:
        """Sign and send the denial."""
        if self._alive and self._state == "denying":
            self._give(deny(reason))

    def action_back(self) -> None:
        """From the reasons to the question, from the question to the inbox; the request goes on waiting."""
        if self._state == "denying":
            self._become("asking")
        else:
            self.dismiss()

    def action_scroll_by(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one(RequestDetails).scroll_lines(lines)

    def action_page(self, pages: int) -> None:
        """Scroll by pages."""
        self.query_one(RequestDetails).scroll_pages(pages)

    def action_top(self, top: bool) -> None:  # noqa: FBT001  as bindings pass it
        """Scroll to the beginning or the end."""
        self.query_one(RequestDetails).scroll_end_to(top=top)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        match event.button.id:
            case "approve":
                self.action_approve()
            case "deny" | "declined":
                self.action_deny()
            case "mistake" | "not_me" as reason:
                self.action_reason(reason)

    @on(AnswerFailed)
    def _failed(self, message: AnswerFailed) -> None:
        message.stop()
        self._become("asking", said(message.error))

    @property
    def _can_approve(self) -> bool:
        return self._alive and self._state == "asking" and self._typed.complete

    def _dead(self, at: float) -> bool:
        """Whether a key of that moment does nothing, however late it gets here."""
        if self._wakes_at is None or at < self._wakes_at:
            return True
        self._alive = True
        return False

    def _goes_on(self, event: events.Key) -> bool:
        """Take the character into the boxes; True for the few keys that are commands."""
        self._trouble = ""
        if event.key == "backspace":
            self._typed.back()
        elif event.key in {"enter", "question_mark", "q"}:
            return True
        elif self._state == "denying":
            if event.key in {"d", "m", "n"}:
                return True
            self._become("asking")
        elif event.key == "d":
            self._typed.clear()
            return True
        elif self._state == "asking":
            self._typed.key(event.character or "")
        return False

    def _sleep(self, seconds: float) -> None:
        self._alive, self._wakes_at = False, self._moment_of(events.Event()) + seconds
        if self._waking is not None:
            self._waking.stop()
        self._waking = self.set_timer(seconds, self._wake)
        self._draw()

    def _wake(self) -> None:
        self._alive = True
        self._draw()

    def _give(self, answer: Answer) -> None:
        self._become("sending")
        self.post_message(AnswerGiven(self, self.entry, answer))

    def _become(self, state: State, trouble: str = "") -> None:
        before, self._state, self._trouble = self._state, state, trouble
        self._typed.clear()
        if state == "denying":
            self._sleep(READ_SECONDS)
        elif before == "denying":
            self._alive, self._wakes_at = True, float("-inf")
        self._draw()

    def _follow(self) -> None:
        app = cast("Host", self.app)
        if self.app.screen is self and not self._over and app.inbox.find(self.entry.key) is None:
            self._over = True
            self.dismiss()

    def _draw(self) -> None:
        app = cast("Host", self.app)
        entry, now = self.entry, app.now + app.inbox.offset(self.entry.origin)
        left_ms = entry.expires_at - now
        age = f"asked {ago(now - entry.created_at)} ago   " if self.size.width >= WIDE else ""
        style = "$text-error bold" if left_ms < URGENT_MS else "$text-accent bold"
        left = Content.assemble((age, QUIET), (clock_time(left_ms), style), (" left", QUIET))
        self.query_one("#left", Static).update(left)
        connection = app.inbox.connections.get(entry.origin)
        offline = ""
        if connection is not None and connection.state == "offline":
            offline = (
                f"{entry.server} is {connection_words(connection, app.now)}: an answer cannot be sent now."
            )
        self.query_one(AnswerPanel).show(
            self._state,
            awake=self._alive,
            tall=self.size.height >= TALL,
            trouble=self._trouble,
            offline=offline,
        )
        if self._possible != (possible := (self._can_approve, self._state if self._alive else "sending")):
            self._possible = possible
            self.refresh_bindings()  # draws the whole footer anew
