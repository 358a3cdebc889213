"""Soft tokens: live codes that stay hidden until they are wanted, a search, and what adds and removes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Footer, Input, Static

from placet_authenticator import tokens
from placet_authenticator.authenticator import Authenticator
from placet_authenticator.records import Token
from placet_authenticator.tui.asking import QuestionScreen
from placet_authenticator.tui.clipboard import Clipboard
from placet_authenticator.tui.messages import TransferWanted
from placet_authenticator.tui.texts import clock_words, server_names
from placet_authenticator.tui.token_add_screen import TokenAddScreen
from placet_authenticator.tui.token_list import ENDING_MS, TokenList
from placet_authenticator.tui.widgets import TopBar
from placet_protocol.text import visible

if TYPE_CHECKING:
    from placet_authenticator.tui.host import Host

REVEAL_SECONDS: Final = 30.0
_NONE: Final = "No codes yet.\n\nPress a to add one: paste the otpauth:// text or the secret that a site shows beside its QR code, or give a picture of the QR code."


class SearchLine(Input):
    """Where a token is searched; its keys go to what was found."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Copy", tooltip="Copy the code under the cursor"),
        Binding(
            "escape", "screen.clear_search", "Show all", tooltip="Empty the search and go back to the list"
        ),
    ]


class TokensScreen(Screen[None]):
    """The codes of all soft tokens. Works without any server; ``clock`` gives ms UTC."""

    TITLE = "Codes"
    CSS_PATH = "places.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "reveal", "Show", tooltip="Show or hide the code under the cursor"),
        Binding("v", "reveal_all", "Show all", tooltip="Show or hide all codes", show=False),
        Binding("n", "copy_next", "Copy next", tooltip="Copy the code that comes next", show=False),
        Binding("slash", "search", "Find", key_display="/", tooltip="Find a token by words of its name"),
        Binding("a", "add", "Add", tooltip="Add a token by its otpauth URI, secret or picture of a QR code"),
        Binding(
            "delete,d",
            "remove",
            "Remove",
            key_display="d",
            tooltip="Erase the token under the cursor",
            show=False,
        ),
        Binding(
            "m",
            "transfer",
            "Move …",
            tooltip="Show its QR code, to take it to another authenticator",
            show=False,
        ),
        Binding(
            "r", "app.reconnect", "Reconnect", tooltip="Connect to all servers anew, at once", show=False
        ),
        Binding("escape", "clear_search", "Clear search", show=False),
        # The list has these itself; here they serve the search line.
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
    ]

    def __init__(self, device: Authenticator, clipboard: Clipboard, clock: Callable[[], int]) -> None:
        super().__init__()
        self._device = device
        self._clipboard = clipboard
        self._clock = clock
        self._tokens: list[Token] = []
        self._hiding: Timer | None = None

    def compose(self) -> ComposeResult:
        """A search line over the list."""
        yield TopBar()
        with Vertical(id="tokens"):
            with Horizontal(id="tokens-search"):
                yield SearchLine(placeholder="/ to search", id="search", compact=True)
                yield Static(id="tokens-count", markup=False)
            yield Static(id="clock", markup=False)
            yield TokenList(self._clock, id="token-list")
            yield Static(_NONE, classes="nothing", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Read the tokens and start the countdown."""
        self._list.focus()
        self.set_interval(0.5, self._list.tick)
        self.watch(self.app, "inbox", self._compare_clocks)

    def on_screen_resume(self) -> None:
        """Another screen may have brought or taken tokens."""
        self.load()

    def on_screen_suspend(self) -> None:
        """Nothing stays revealed behind another screen."""
        self._hide()

    def load(self) -> None:
        """Read the tokens from the vault and list those that match the search."""
        self._tokens = self._device.tokens()
        self._search()

    def on_input_changed(self) -> None:
        """Search as the person types."""
        self._search()

    def on_input_submitted(self) -> None:
        """Enter in the search line copies what is under the cursor."""
        self._list.action_choose()

    def on_token_list_chosen(self, event: TokenList.Chosen) -> None:
        """Copy the code that is valid now."""
        made = tokens.code(event.token, self._clock())
        ending = made.lasts_ms <= ENDING_MS
        more = f"It ends in {-(-made.lasts_ms // 1000)} s; n copies the next one." if ending else ""
        self._copy(event.token, made.digits, more)

    def action_copy_next(self) -> None:
        """Copy the code that comes next."""
        if token := self._list.current:
            made = tokens.code(token, self._clock())
            seconds = -(-made.lasts_ms // 1000)
            self._copy(token, made.following, f"It is the next one: valid in {seconds} s.")

    def action_move(self, by: int) -> None:
        """Move the cursor of the list."""
        self._list.action_move(by)

    def action_reveal(self) -> None:
        """Show the code under the cursor for a while, or hide it again."""
        if token := self._list.current:
            shown = self._list.revealed
            self._show(shown - {token.id} if token.id in shown else shown | {token.id})

    def action_reveal_all(self) -> None:
        """Show all codes for a while, or hide them again."""
        self._show(frozenset() if self._list.revealed else frozenset(each.id for each in self._tokens))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Who searches already needs no key for it."""
        del parameters
        return not (action == "search" and self._input.has_focus)

    def action_search(self) -> None:
        """Go to the search line."""
        self._input.focus()

    def action_clear_search(self) -> None:
        """Empty the search and go back to the list."""
        self._input.value = ""
        self._list.focus()

    def action_add(self) -> None:
        """Ask for a new token and put the cursor on it."""

        def added(token: Token | None) -> None:
            if token is not None:
                self._input.value = ""
                self.load()
                self._list.go_to(token)
                self.notify(f"Added {visible(token.label)}.", markup=False)

        self.app.push_screen(TokenAddScreen(self._device, self._clock), added)

    def action_transfer(self) -> None:
        """Take the token under the cursor to another authenticator."""
        if token := self._list.current:
            self.post_message(TransferWanted(token))

    def action_remove(self) -> None:
        """Erase the token under the cursor, once the person is sure."""
        token = self._list.current
        if token is None:
            return

        def answered(answer: str | None) -> None:
            if answer == "erase":
                self._device.vault.remove(token)
                self.load()
                self.notify(f"Erased {visible(token.label)}.", markup=False)

        question = QuestionScreen(
            f"Erase {visible(token.label)}?",
            "Its secret cannot be brought back from here. Where it is your second factor, set up another one first.",
            {"keep": "Keep it", "erase": "Erase it"},
        )
        self.app.push_screen(question, answered)

    @property
    def _list(self) -> TokenList:
        return self.query_one("#token-list", TokenList)

    @property
    def _input(self) -> Input:
        return self.query_one("#search", Input)

    def _compare_clocks(self) -> None:
        app = cast("Host", self.app)
        names = {} if app.locked else server_names(self._device.enrollments)
        wrong = app.inbox.wrong_clock(names)
        line = self.query_one("#clock", Static)
        line.display = wrong is not None
        if wrong:
            line.update(Content.assemble(("! ", "$text-warning"), clock_words(wrong, names[wrong.origin])))

    def _search(self) -> None:
        found = tokens.matching(self._tokens, self._input.value)
        self._list.show(found)
        self.set_class(not self._tokens, "-none")
        count = len(self._tokens)
        many = f"{len(found)} of {count}" if self._input.value else f"{count} code{'s' * (count != 1)}"
        self.query_one("#tokens-count", Static).update(many)

    def _copy(self, token: Token, digits: str, more: str) -> None:
        self._clipboard.put(digits)
        seconds = self._clipboard.seconds
        gone = f"The clipboard is emptied in {seconds:.0f} s." if seconds else ""
        text = " ".join(part for part in (f"Copied the code of {visible(token.label)}.", more, gone) if part)
        self.notify(text, markup=False, timeout=4)

    def _show(self, ids: frozenset[str]) -> None:
        self._hide()
        self._list.reveal(ids)
        if ids:
            self._hiding = self.set_timer(REVEAL_SECONDS, self._hide, name="hide codes")

    def _hide(self) -> None:
        if self._hiding is not None:
            self._hiding.stop()
            self._hiding = None
        self._list.reveal(frozenset())
