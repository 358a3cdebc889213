"""Makes this a device on a server: what is offered, the six digits to compare, and what became of it."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from typing import ClassVar, Final

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Center, Horizontal, VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Button, ContentSwitcher, Digits, Footer, Input, Static

from placet_authenticator import enrolling
from placet_authenticator.authenticator import Authenticator
from placet_authenticator.enrolling import Enrolled
from placet_authenticator.errors import AuthenticatorError, ImportFailedError, UnreachableError
from placet_authenticator.records import Enrollment
from placet_authenticator.tui.source_line import SourceLine
from placet_authenticator.tui.texts import said
from placet_protocol.approval import NAME_MAX
from placet_protocol.otpauth import EnrollmentUri
from placet_protocol.text import visible

AGAIN_SECONDS: Final = 2.0
"""Pause before a server that does not answer is asked again whether the digits were confirmed."""


class EnrollScreen(Screen[None]):
    """Three steps: the invitation, the digits, the end. ``changed`` is called when there is a new device or it is gone.

    Leaving during the second step loses nothing: the device becomes active when its digits are confirmed.
    """

    TITLE = "Enrol"
    CSS_PATH = "places.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back")]

    class Redeemed(Message):
        """The server knows this device now."""

        def __init__(self, enrolled: Enrolled) -> None:
            super().__init__()
            self.enrolled = enrolled

    class Failed(Message):
        """The server did not take the enrolment, or could not be asked."""

        def __init__(self, error: AuthenticatorError) -> None:
            super().__init__()
            self.error = error

    class Waited(Message):
        """Asked whether the digits were confirmed; ``trouble`` is empty unless the server did not answer."""

        def __init__(self, trouble: str) -> None:
            super().__init__()
            self.trouble = trouble

    class Settled(Message):
        """The digits were confirmed, or the enrolment was turned down."""

        def __init__(self, enrollment: Enrollment, *, confirmed: bool) -> None:
            super().__init__()
            self.enrollment = enrollment
            self.confirmed = confirmed

    def __init__(self, device: Authenticator, changed: Callable[[], None]) -> None:
        super().__init__()
        self._device = device
        self._changed = changed
        self._uri: EnrollmentUri | None = None

    def compose(self) -> ComposeResult:
        """All three steps; one is shown."""
        with ContentSwitcher(initial="offer", classes="card"):
            with VerticalScroll(id="offer", can_focus=False):
                yield Static("Enrol at a server", classes="heading", markup=False)
                yield Static(
                    "Paste the text that the application shows, or the path of a picture of its QR code.",
                    classes="quiet",
                    markup=False,
                )
                yield SourceLine("https://…/e/…  or  ~/Pictures/qr.png", id="source")
                yield Static(id="found", markup=False)
                yield Static(
                    "What your other devices will call this one:", classes="quiet calling", markup=False
                )
                yield Input(platform.node()[:NAME_MAX] or "terminal", id="name", max_length=NAME_MAX)
                yield Horizontal(
                    Button("Back", id="back"),
                    Button("Enrol", id="enroll", variant="primary", disabled=True),
                    classes="answers",
                )
            with VerticalScroll(id="compare", can_focus=False):
                yield Static("Compare these six digits", classes="heading", markup=False)
                yield Center(Digits(id="digits"))
                yield Static(id="whom", markup=False)
                yield Static(id="progress", classes="quiet", markup=False)
                yield Horizontal(Button("Go on without waiting", id="later"), classes="answers")
            with VerticalScroll(id="end", can_focus=False):
                yield Static(id="outcome", classes="heading", markup=False)
                yield Static(id="meaning", classes="quiet", markup=False)
                yield Horizontal(Button("Done", id="done", variant="primary"), classes="answers")
        yield Footer()

    def on_mount(self) -> None:
        """Ready to paste."""
        self.query_one("#source").focus()

    def on_source_line_emptied(self) -> None:
        """What was found before counts no more."""
        self._found(None, "")

    def on_source_line_failed(self, event: SourceLine.Failed) -> None:
        """Say why nothing was found."""
        self._found(None, event.trouble)

    def on_source_line_read(self, event: SourceLine.Read) -> None:
        """Show who invites, before anything is sent."""
        try:
            uri = enrolling.read_uri(event.text)
        except ImportFailedError as error:
            self._found(None, said(error))
        else:
            self._found(uri, f"{visible(uri.name)} at {uri.origin} wants to be able to ask you.")

    def on_input_submitted(self) -> None:
        """Enter enrols, once there is something to enrol at."""
        self._begin()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Enrol, or go back."""
        if event.button.id == "enroll":
            self._begin()
        else:
            self.action_leave()

    def on_enroll_screen_failed(self, event: Failed) -> None:
        """Back to the first step, with the reason."""
        self._found(None, said(event.error))

    def on_enroll_screen_redeemed(self, event: Redeemed) -> None:
        """Show the digits, large, and wait for their confirmation."""
        enrollment = event.enrolled.enrollment
        self._changed()
        if enrollment.active:
            self.post_message(self.Settled(enrollment, confirmed=True))
            return
        digits = self.query_one("#digits", Digits)
        digits.update(f"{enrollment.check[:3]} {enrollment.check[3:]}")
        self.query_one("#whom", Static).update(
            f"{visible(enrollment.name)} must see the same digits and confirm them. If they differ, somebody stands between."
        )
        self._say_waiting("")
        self.query_one(ContentSwitcher).current = "compare"
        self.query_one("#later").focus()
        self._wait(enrollment)

    def on_enroll_screen_waited(self, event: Waited) -> None:
        """Say whether the server answers meanwhile."""
        self._say_waiting(event.trouble)

    def on_enroll_screen_settled(self, event: Settled) -> None:
        """Say how it ended."""
        name = visible(event.enrollment.name)
        if event.confirmed:
            has_codes = any(each.device == event.enrollment.id for each in self._device.tokens())
            codes = " Its codes are under Codes, also without a connection." if has_codes else ""
            self._end("Enrolled", f"{name} can ask you on this device now.{codes}", trouble=False)
        else:
            self._end(
                "Turned down",
                f"{name} did not confirm. Nothing of it was kept; ask for a new one.",
                trouble=True,
            )
        self._changed()

    def action_leave(self) -> None:
        """Go back; a device that was made is kept."""
        self.dismiss(None)

    def _found(self, uri: EnrollmentUri | None, text: str) -> None:
        self._uri = uri
        self.query_one("#enroll", Button).disabled = uri is None
        found = self.query_one("#found", Static)
        found.update(text)
        found.set_class(bool(text) and uri is None, "-trouble")

    def _begin(self) -> None:
        if (uri := self._uri) is not None:
            self._found(None, "")
            self.query_one("#found", Static).update(f"Asking {uri.origin} …")
            self._redeem(uri, self.query_one("#name", Input).value or "terminal")

    def _say_waiting(self, trouble: str) -> None:
        text = (
            f"Not reached: {visible(trouble)}. Trying again …"
            if trouble
            else "Waiting for the confirmation …"
        )
        self.query_one("#progress", Static).update(text)

    def _end(self, outcome: str, meaning: str, *, trouble: bool) -> None:
        heading = self.query_one("#outcome", Static)
        heading.update(("✗ " if trouble else "✓ ") + outcome)
        heading.set_class(trouble, "-trouble")
        heading.set_class(not trouble, "-good")
        self.query_one("#meaning", Static).update(meaning)
        self.query_one(ContentSwitcher).current = "end"
        self.query_one("#done").focus()

    @work(exclusive=True, group="enrolling")
    async def _redeem(self, uri: EnrollmentUri, name: str) -> None:
        try:
            self.post_message(self.Redeemed(await self._device.enroll(uri, device_name=name)))
        except AuthenticatorError as error:
            self.post_message(self.Failed(error))

    @work(exclusive=True, group="enrolling")
    async def _wait(self, enrollment: Enrollment) -> None:
        while True:
            try:
                confirmed = await self._device.confirmed(enrollment)
                if not confirmed:
                    await self._device.leave(enrollment)
            except UnreachableError as error:
                self.post_message(self.Waited(error.detail))
                await asyncio.sleep(AGAIN_SECONDS)
                self.post_message(self.Waited(""))
            except AuthenticatorError as error:
                self.post_message(self.Failed(error))
                return
            else:
                self.post_message(self.Settled(enrollment, confirmed=confirmed))
                return
