"""Shows a soft token's secret, as QR code or text, to take it to another authenticator; after a proof, and for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, Final, NamedTuple

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Center, Horizontal, Middle, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Button, ContentSwitcher, Input, Static

from placet_authenticator.errors import AuthenticatorError, ExportFailedError
from placet_authenticator.exporting import otpauth, qr
from placet_authenticator.records import Token
from placet_authenticator.settings import MAX_PASSPHRASE
from placet_authenticator.tui.clipboard import Clipboard
from placet_authenticator.tui.texts import QUIET, said
from placet_protocol.text import visible

SHOWN_SECONDS: Final = 120
"""After so long the secret goes away by itself: time enough to fetch a phone."""
INK: Final = "#ffffff on #000000"
PAPER: Final = "#ffffff on #ffffff"
"""Whatever the theme: a camera wants black on white. Full blocks have a white ground, since not every font fills them."""
BESIDE: Final = 30
"""Columns that the words beside the code need; in a narrower terminal they stand below it, in ``BELOW`` lines."""
BELOW: Final = 9
ROOMY: Final = 22
"""From this many lines on there is room for blank ones."""
_WARNING: Final = "Whoever sees this can make your codes, from now on and without you."


class _Secret(NamedTuple):
    """What is in memory while it is shown; ``code`` is None for a text that is too long for a QR code."""

    uri: str
    code: qr.Matrix | None


class TransferScreen(Screen[None]):
    """Two steps: the proof, then the code. Whatever covers or ends the screen takes the code off it.

    ``prove`` raises an ``AuthenticatorError`` unless it is given the passphrase; it is None where no person typed one,
    and then a button does. ``copies`` takes the text.
    """

    TITLE = "Move a code"
    CSS_PATH = "places.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Back", key_display="esc", tooltip="Take it off the screen and go back"),
        Binding("t", "text", "Text", tooltip="Show the text instead of the QR code, or the code again"),
        Binding("c", "copy", "Copy", tooltip="Copy the text; the clipboard is emptied soon"),
    ]

    class Proven(Message):
        """The person may see it."""

    class Refused(Message):
        """The passphrase was another one."""

        def __init__(self, error: AuthenticatorError) -> None:
            super().__init__()
            self.error = error

    def __init__(
        self, token: Token, prove: Callable[[str], Awaitable[None]] | None, copies: Clipboard
    ) -> None:
        super().__init__()
        self._token = token
        self._prove = prove
        self._copies = copies
        self._secret: _Secret | None = None
        self._as_text = False
        self._left = 0
        self._clock: Timer | None = None

    def compose(self) -> ComposeResult:
        """The proof in a card; the code with words beside it."""
        with ContentSwitcher(initial="proof"):
            with Middle(id="proof"), Center(), VerticalScroll(classes="card", can_focus=False):
                yield Static(f"Move {visible(self._token.label)}", classes="heading", markup=False)
                yield Static(
                    "Its QR code takes it to another authenticator, which then makes the same codes. "
                    f"{_WARNING} Look around first.",
                    markup=False,
                )
                if self._prove is not None:
                    yield Input(
                        password=True, placeholder="Passphrase", id="passphrase", max_length=MAX_PASSPHRASE
                    )
                yield Static(id="trouble", markup=False)
                with Horizontal(classes="answers"):
                    yield Button("Back", id="back")
                    yield Button("Show it", id="show")
            with Horizontal(id="transfer"):
                yield Static(id="qr", markup=False)
                with Vertical(id="beside"):
                    yield Static(id="moved", markup=False)
                    with Horizontal(classes="answers"):
                        yield Button("Close", id="close")
                        yield Button("Text", id="text")
                        yield Button("Copy", id="copy")

    def on_mount(self) -> None:
        """Ready to type; without a passphrase the harmless answer is under the keys."""
        self._ask()

    def on_screen_suspend(self) -> None:
        """Nothing stays revealed behind another screen."""
        self._ask()

    def on_resize(self) -> None:
        """The code needs its size, and is shown as soon as there is room."""
        self._draw()

    def on_input_submitted(self) -> None:
        """Enter tries the passphrase."""
        self._try()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """What the keys do, for the mouse."""
        match event.button.id:
            case "show":
                self._try()
            case "text":
                self.action_text()
            case "copy":
                self.action_copy()
            case _:
                self.action_close()

    def on_transfer_screen_refused(self, event: Refused) -> None:
        """Say why, and let the person try again."""
        line = self.query_one("#passphrase", Input)
        line.disabled = False
        line.value = ""
        line.focus()
        self._say(said(event.error), trouble=True)

    def on_transfer_screen_proven(self) -> None:
        """Show the code, and begin to count down."""
        if self.app.screen is not self:  # covered in the meantime: to be asked again
            return
        self._secret, self._left = _secret(self._token), SHOWN_SECONDS
        self._clock = self.set_interval(1.0, self._tick)
        self.query_one(ContentSwitcher).current = "transfer"
        self.query_one("#close").focus()
        self._draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing to copy before the proof."""
        del parameters
        return self._secret is not None or action not in {"text", "copy"}

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_text(self) -> None:
        """Text instead of the code, or the code again."""
        self._as_text = not self._as_text
        self._draw()

    def action_copy(self) -> None:
        """Copy the text."""
        if self._secret is None:
            return
        self._copies.put(self._secret.uri)
        self.notify(
            f"Copied, with its secret. The clipboard is emptied in {self._copies.seconds:.0f} s.",
            markup=False,
            timeout=4,
        )

    def _ask(self) -> None:
        """Back to the first step; nothing of the secret is left in a widget."""
        self._secret, self._as_text = None, False
        if self._clock is not None:
            self._clock.stop()
            self._clock = None
        self.query_one("#qr", Static).update("")
        self.query_one("#moved", Static).update("")
        self.query_one(ContentSwitcher).current = "proof"
        self._say("")
        if self._prove is None:
            self.query_one("#back").focus()
        else:
            line = self.query_one("#passphrase", Input)
            line.value, line.disabled = "", False
            line.focus()

    def _try(self) -> None:
        if self._prove is None:
            self.post_message(self.Proven())
            return
        line = self.query_one("#passphrase", Input)
        if line.value and not line.disabled:
            line.disabled = True
            self._say("Checking …")
            self._check(self._prove, line.value)

    @work(exclusive=True)
    async def _check(self, prove: Callable[[str], Awaitable[None]], passphrase: str) -> None:
        try:
            await prove(passphrase)
        except AuthenticatorError as error:
            self.post_message(self.Refused(error))
        else:
            self.post_message(self.Proven())

    def _tick(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.action_close()
        else:
            self._draw()

    def _draw(self) -> None:
        if self._secret is None:
            return
        width, height = self.size
        beside = width - BESIDE >= 2 * height or width >= 3 * BESIDE
        self.query_one("#transfer").set_class(not beside, "-stacked")
        picture, why = self._picture(*((width - BESIDE, height) if beside else (width, height - BELOW)))
        code = self.query_one("#qr", Static)
        code.display = picture is not None
        code.update(picture or "")
        what = (
            "Scan it with the other authenticator."
            if picture
            else "Give this text to the other authenticator."
        )
        parts = [Content.styled(visible(self._token.label), "$primary bold"), Content(what)]
        if picture is None:
            parts += [Content(why), Content.styled(self._secret.uri, "bold")]
        left = f"Goes away within {-(-self._left // 60)} min."
        parts += [Content(_WARNING), Content.styled(left, QUIET)]
        gap = Content("\n\n" if height >= ROOMY else "\n")
        self.query_one("#moved", Static).update(gap.join(part for part in parts if part))
        other = self.query_one("#text", Button)
        other.label = "QR code" if self._as_text else "Text"
        other.refresh(layout=True)  # a new label alone keeps the old width

    def _picture(self, columns: int, rows: int) -> tuple[Content | None, str]:
        """The code as it is drawn in so much room; None, and why, when it is not."""
        assert self._secret is not None, "there is something to draw"
        code = self._secret.code
        if self._as_text:
            return None, ""
        if code is None:
            return None, "It is too long for a QR code."
        quiet = qr.quiet_zone(code, columns, rows)
        if quiet is not None:
            return Content("\n").join(_row(line) for line in qr.lines(code, quiet)), ""
        least = len(code) + 2 * qr.QUIET_LEAST
        here = f"here are {self.size.width} and {self.size.height}"
        return None, (
            f"Its QR code needs {least + BESIDE} columns and {-(-least // 2)} lines; {here}. "
            "It appears when you make the window larger."
        )

    def _say(self, text: str, *, trouble: bool = False) -> None:
        line = self.query_one("#trouble", Static)
        line.update(text)
        line.set_class(trouble, "-trouble")


def _secret(token: Token) -> _Secret:
    uri = otpauth.uri(token)
    try:
        return _Secret(uri, qr.matrix(uri))
    except ExportFailedError:
        return _Secret(uri, None)


def _row(line: str) -> Content:
    return Content.assemble(*((char, PAPER if char == "█" else INK) for char in line))
