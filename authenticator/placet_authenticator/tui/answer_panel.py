"""Where a request is answered: the typed number, the reasons to deny, and what became of the answer."""

from __future__ import annotations

from typing import Final, Literal

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Static

from placet_authenticator.tui.texts import QUIET
from placet_authenticator.tui.typed import CONSENT, Typed

State = Literal["asking", "denying", "sending"]
ONE_TRY: Final = "There is one try: a wrong number denies the request."
NO_NUMBER: Final = "No number is asked here: look twice. Stray keys cannot spell it."
REASONS: Final = (
    ("declined", "d", "I do not want this"),
    ("mistake", "m", "I started it by mistake"),
    ("not_me", "n", "I did not start this; the application has to pause"),
)


class Boxes(Static):
    """The keys typed so far, each in a box."""

    def show(self, typed: Typed, *, tall: bool) -> None:
        """Draw one box a key, three lines tall where there is room."""
        keys = typed.text.ljust(typed.length)
        styles = [
            "$text-success bold"
            if typed.complete
            else "$text-primary bold"
            if place <= len(typed.text)
            else QUIET
            for place in range(typed.length)
        ]
        if tall:
            drawn = [["╭───╮ ", f"│ {key} │ ", "╰───╯ "] for key in keys]
            rows = [[(box[row], style) for box, style in zip(drawn, styles, strict=True)] for row in range(3)]
        else:
            rows = [
                [(f"[{'_' if key == ' ' else key}]", style) for key, style in zip(keys, styles, strict=True)]
            ]
        self.update(Content("\n").join(Content.assemble(*row) for row in rows))


class Mouse(Button, can_focus=False):
    """Does for the mouse what a key does. It never has the focus, so that Enter means one thing alone."""


class AnswerPanel(Vertical):
    """Draws the state of an answer; the screen decides what a key or a button does."""

    def __init__(self, application: str, typed: Typed) -> None:
        super().__init__(id="answer")
        self._application = application
        self._typed = typed
        self._asks_number = typed.number is not None
        self._drawn: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """What is asked, the boxes and buttons, and a line for what happened."""
        yield Static(id="asked", markup=False)
        with Horizontal(id="asking"):
            yield Boxes(id="boxes", markup=False)
            yield Mouse("Approve", id="approve", variant="success", flat=True)
            yield Mouse("Deny …", id="deny", variant="error", flat=True)
        with Vertical(id="denying"):
            for reason, key, words in REASONS:
                yield Mouse(Content.assemble((f" {key} ", "$primary bold"), words), id=reason, compact=True)
        yield Static(id="hint", markup=False)

    def show(self, state: State, *, awake: bool, tall: bool, trouble: str = "", offline: str = "") -> None:
        """Draw it; ``awake`` False while keys are still dead."""
        typed = self._typed
        drawn = (state, awake, tall, trouble, offline, typed.text, typed.too_fast)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        self.query_one("#asking").display = state != "denying"
        self.query_one("#denying").display = state == "denying"
        self.query_one("#asked", Static).update(self._asked(state))
        self.query_one("#hint", Static).update(self._hint(state, trouble, offline, awake=awake))
        self.query_one("#hint").display = state != "denying" or bool(trouble or offline)
        self.query_one(Boxes).show(typed, tall=tall)
        for button in self.query(Mouse):
            button.disabled = (
                not awake or state == "sending" or (button.id == "approve" and not typed.complete)
            )

    def _asked(self, state: State) -> Content:
        if state == "denying":
            return Content.assemble(("Why do you deny it?", "bold"))
        if self._asks_number:
            digits = (f"{self._typed.length} digits", "bold")
            return Content.assemble("Type the ", digits, " that ", self._application, " shows you")
        return Content.assemble("To approve, type ", (CONSENT, "bold"))

    def _hint(self, state: State, trouble: str, offline: str, *, awake: bool) -> Content:
        if state == "sending":
            return Content.styled("Signing and sending …", "$text-primary")
        if trouble:
            return Content.styled(trouble, "$text-error")
        if self._typed.too_fast:
            return Content.styled("That was not typed by hand: pasting is switched off here.", "$text-error")
        if offline:
            return Content.styled(offline, "$text-error")
        if not awake:
            return Content.styled("Read first …", QUIET)
        if state == "denying":
            return Content.styled("Not started by you: the application is told and must pause.", QUIET)
        if self._typed.complete:
            return Content.styled("Enter approves, Backspace corrects.", "$text-success")
        return Content.styled(ONE_TRY if self._asks_number else NO_NUMBER, QUIET)
