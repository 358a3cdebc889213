"""Adds a soft token from what a person pastes: an otpauth URI, a secret, or the path of a picture of a QR code."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from placet_authenticator.authenticator import Authenticator
from placet_authenticator.errors import ImportFailedError
from placet_authenticator.importing import otpauth
from placet_authenticator.records import Token
from placet_authenticator.tui.source_line import DRAWABLE, SourceLine
from placet_authenticator.tui.texts import said
from placet_protocol.text import visible


class TokenAddScreen(ModalScreen[Token | None]):
    """Shows what would be added before it is; ends with the token that is in the vault now, or None.

    ``clock`` gives ms UTC.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Back")]

    def __init__(self, device: Authenticator, clock: Callable[[], int]) -> None:
        super().__init__()
        self._device = device
        self._clock = clock
        self._token: Token | None = None
        self._secret: bytes | None = None

    def compose(self) -> ComposeResult:
        """One line to paste into, and what was found in it."""
        with VerticalScroll(classes="window", can_focus=False):
            yield Static("Add a code", classes="heading", markup=False)
            yield Static(
                "Paste the otpauth:// text or the secret that a site shows, or the path of a picture of its QR code.",
                id="how",
                markup=False,
            )
            yield SourceLine("otpauth://totp/…  or  ~/Pictures/qr.png", id="source", secrets=True)
            yield Static(id="found", markup=False)
            yield Input(
                placeholder="Its name, as in GitHub:ada",
                id="name",
                restrict=DRAWABLE,
                max_length=otpauth.NAME_MAX,
            )
            with Horizontal(classes="answers"):
                yield Button("Back", id="back")
                yield Button("Add", id="add", variant="primary", disabled=True)

    def on_mount(self) -> None:
        """Only a secret alone needs a name."""
        self._ask_name(None)

    def on_source_line_emptied(self) -> None:
        """What was found before counts no more."""
        self._ask_name(None)
        self._found(None, "")

    def on_source_line_failed(self, event: SourceLine.Failed) -> None:
        """Say why nothing was found."""
        self._found(None, event.trouble)

    def on_source_line_read(self, event: SourceLine.Read) -> None:
        """Show the token that the text describes."""
        self._ask_name(otpauth.secret_alone(event.text))
        if self._secret is not None:
            self._name_it(self._secret)
            return
        token_id = os.urandom(8).hex()
        try:
            token = otpauth.token(event.text, token_id=token_id, now=self._clock())
        except ImportFailedError as error:
            self._found(None, said(error))
        else:
            self._found(token, _described(token))

    def on_input_changed(self, event: Input.Changed) -> None:
        """A secret alone becomes a token by its name."""
        if event.input is self._name_line and self._secret is not None:
            self._name_it(self._secret)

    def on_input_submitted(self) -> None:
        """Enter adds what was found; where only the name is missing it leads there."""
        if self._secret is not None and self._token is None:
            self._name_line.focus()
        self._add()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Add, or go back."""
        if event.button.id == "add":
            self._add()
        else:
            self.dismiss(None)

    def action_cancel(self) -> None:
        """Go back without a token."""
        self.dismiss(None)

    @property
    def _name_line(self) -> Input:
        return self.query_one("#name", Input)

    def _ask_name(self, secret: bytes | None) -> None:
        self._secret = secret
        self._name_line.display = secret is not None
        self.query_one("#how").display = secret is None  # the room is needed

    def _name_it(self, secret: bytes) -> None:
        name = self._name_line.value
        if not name.strip():
            self._found(
                None, f"A secret of {len(secret) * 8} bits without a name. What is it for?", trouble=False
            )
            return
        try:
            token = otpauth.named(secret, name, token_id=os.urandom(8).hex(), now=self._clock())
        except ImportFailedError as error:
            self._found(None, said(error))
        else:
            self._found(token, _described(token))

    def _found(self, token: Token | None, text: str, *, trouble: bool = True) -> None:
        self._token = token
        self.query_one("#add", Button).disabled = token is None
        found = self.query_one("#found", Static)
        found.update(text)
        found.set_class(bool(text) and token is None and trouble, "-trouble")

    def _add(self) -> None:
        if self._token is not None:
            self._device.vault.put(self._token)
            self.dismiss(self._token)


def _described(token: Token) -> str:
    bits = len(token.secret) * 8
    weak = " (short, but that is what the site chose)" if bits < 128 else ""
    return (
        f"{visible(token.label)}\n"
        f"{token.digits} digits, new every {token.period} s, {token.algorithm}, secret of {bits} bits{weak}"
    )
