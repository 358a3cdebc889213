"""The first start, in three steps: what this is, a passphrase, and where to begin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Button, ContentSwitcher, Footer, Input, Static

from placet_authenticator.errors import AuthenticatorError
from placet_authenticator.settings import MAX_PASSPHRASE, MIN_PASSPHRASE
from placet_authenticator.tui.texts import said

STEPS: Final = ("welcome", "secret", "begin")
SHORT: Final = 12
"""A passphrase of fewer characters is called short; from ``MIN_PASSPHRASE`` on it is the person's choice."""
_WELCOME: Final = (
    (
        "Nothing happens in your name unasked.",
        "You see what an application wants, and decide.",
    ),
    ("You sign what you see.", "A number proves that the request is your own."),
    ("Your codes are here too.", "Six-digit codes for any site, also offline."),
)
_ADVICE: Final = "It seals everything that this device keeps. Nobody can reset it: write it down, or use four or more words that only you would put together."
_BEGIN: Final = "An application that works with Placet shows you a QR code and a text that begins with https://. Paste the text, or give a picture of the code."


class OnboardingScreen(Screen[None]):
    """Makes the vault at its end; ``create`` takes the passphrase and goes on to another screen."""

    TITLE = "Welcome"
    CSS_PATH = "places.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
    ]

    class Refused(Message):
        """The vault could not be made."""

        def __init__(self, error: AuthenticatorError) -> None:
            super().__init__()
            self.error = error

    def __init__(self, create: Callable[[str], Awaitable[None]]) -> None:
        super().__init__()
        self._create = create

    def compose(self) -> ComposeResult:
        """All three steps; one is shown."""
        with ContentSwitcher(initial=STEPS[0], classes="card"):
            with VerticalScroll(id="welcome", can_focus=False):
                yield _heading(1, "Welcome to Placet")
                for first, second in _WELCOME:
                    yield Static(first, classes="point", markup=False)
                    yield Static(second, classes="quiet", markup=False)
                yield Horizontal(Button("Begin", id="to-secret", variant="primary"), classes="answers")
            with VerticalScroll(id="secret", can_focus=False):
                yield _heading(2, "Choose a passphrase")
                yield Static(_ADVICE, classes="quiet", markup=False)
                yield Input(password=True, placeholder="Passphrase", id="first", max_length=MAX_PASSPHRASE)
                yield Input(password=True, placeholder="Once more", id="again", max_length=MAX_PASSPHRASE)
                yield Static(id="judgement", markup=False)
                yield Horizontal(
                    Button("Next", id="to-begin", variant="primary", disabled=True), classes="answers"
                )
            with VerticalScroll(id="begin", can_focus=False):
                yield _heading(3, "Where do you want to begin?")
                yield Static(_BEGIN, classes="quiet", markup=False)
                with Vertical(classes="choices"):
                    yield Button("Enrol at a server", id="enroll", variant="primary")
                    yield Button("Add codes of other sites", id="codes")
                    yield Button("Look around first", id="look")
                yield Static(id="trouble", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin with the first step."""
        self._to("welcome")

    def on_input_changed(self) -> None:
        """Judge the passphrase as it is typed."""
        first, again = self._typed()
        judgement, good = _judged(first, again)
        line = self.query_one("#judgement", Static)
        line.update(judgement)
        line.set_class(bool(again) and not good, "-trouble")
        self.query_one("#to-begin", Button).disabled = not good

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on to the next line, then to the next step."""
        first, again = self._typed()
        if event.input.id == "first" or first != again:
            self.query_one("#again" if event.input.id == "first" else "#first", Input).focus()
        elif _judged(first, again)[1]:
            self._to("begin")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Go on; the last step makes the vault."""
        chosen = event.button.id or ""
        if chosen.startswith("to-"):
            self._to(chosen.removeprefix("to-"))
        else:
            self._make(self._typed()[0], chosen)

    def on_onboarding_screen_refused(self, event: Refused) -> None:
        """Say why there is no vault."""
        trouble = self.query_one("#trouble", Static)
        trouble.update(said(event.error))
        trouble.add_class("-trouble")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """From the first step there is no way back."""
        del parameters
        return action != "back" or self._step != STEPS[0]

    def action_back(self) -> None:
        """One step back."""
        self._to(STEPS[max(0, STEPS.index(self._step) - 1)])

    @property
    def _step(self) -> str:
        switcher = self.query(ContentSwitcher)
        return (switcher.first().current if switcher else None) or STEPS[0]

    def _typed(self) -> tuple[str, str]:
        return self.query_one("#first", Input).value, self.query_one("#again", Input).value

    def _to(self, step: str) -> None:
        self.query_one(ContentSwitcher).current = step
        self.refresh_bindings()
        first = {"welcome": "#to-secret", "secret": "#first", "begin": "#enroll"}[step]
        self.query_one(first).focus()

    @work(exclusive=True)
    async def _make(self, passphrase: str, then: str) -> None:
        try:
            await self._create(passphrase)
        except AuthenticatorError as error:
            self.post_message(self.Refused(error))
            return
        action = {"enroll": "app.enroll", "codes": "app.go('codes')"}.get(then)
        if action:  # after the app has left this screen, which it does first
            self.app.call_next(self.app.run_action, action)


def _heading(number: int, words: str) -> Static:
    return Static(f"{number} of {len(STEPS)}   {words}", classes="heading", markup=False)


def _judged(first: str, again: str) -> tuple[str, bool]:
    """What to say of a passphrase that was typed so far, and whether it may be taken."""
    if again and not first.startswith(again):
        return "The two differ.", False
    if 0 < len(first) < MIN_PASSPHRASE:
        return f"Too short: {len(first)} characters. It needs at least {MIN_PASSPHRASE}.", False
    if 0 < len(first) < SHORT:
        hint = f"Short: {len(first)} characters. Whoever copies the vault's file can try many of these."
    else:
        hint = "Good length." if first else ""
    return hint, bool(first) and first == again
