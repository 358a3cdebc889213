"""The app: one open authenticator, workers that follow its servers, and the screens that show it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from textual import events, on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen
from textual.worker import Worker, WorkerError

from placet_authenticator import running
from placet_authenticator import settings as choices
from placet_authenticator.errors import AuthenticatorError, VaultError
from placet_authenticator.inbox import Event, Inbox, Passed
from placet_authenticator.settings import Settings
from placet_authenticator.tui import palette, screens, terminal, toasts, vaults
from placet_authenticator.tui.announcing import Announcing
from placet_authenticator.tui.clipboard import Clipboard
from placet_authenticator.tui.messages import (
    AnswerFailed,
    AnswerGiven,
    Heard,
    NoticeCame,
    NoticeOpened,
    PastOpened,
    RequestOpened,
    TransferWanted,
)
from placet_authenticator.tui.news import news
from placet_authenticator.tui.opened import LinksOf, Opened
from placet_authenticator.tui.texts import said, server_names
from placet_authenticator.tui.themes import Themed
from placet_authenticator.tui.toasts import Toast
from placet_protocol.text import visible

if TYPE_CHECKING:
    from placet_authenticator.authenticator import Authenticator
    from placet_authenticator.deciding import Verified
    from placet_authenticator.vault import Vault

LOCK_AFTER: Final = 300.0
"""Seconds without key or mouse until the vault locks itself."""
ANSWER_SECONDS: Final = 5.0
"""So long a lock waits for an answer that is on its way."""
MODES_OPEN: Final = {"inbox": screens.inbox, "codes": screens.codes, "servers": screens.servers}
"""What there is to switch between while the vault is open; the order of the keys 1, 2, 3."""


class PlacetApp(Themed, Announcing):
    """The person's device.

    Screens show ``inbox`` and ``now`` and post what the person wants; what servers say arrives as messages. No screen
    knows the network. ``clock`` gives ms UTC, ``links`` the lines to follow, ``moment_of`` when a key was pressed.
    """

    TITLE = "Placet"
    CSS_PATH = ["placet.tcss", "places.tcss"]  # noqa: RUF012  Textual's type
    DEFAULT_MODE = "entrance"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (76, "-middle"), (116, "-wide")]  # noqa: RUF012  Textual's type
    VERTICAL_BREAKPOINTS = [(0, "-low"), (22, "-high"), (30, "-tall")]  # noqa: RUF012  as above
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "go('inbox')", "Inbox", show=False, id="go.inbox"),
        Binding("2", "go('codes')", "Codes", show=False, id="go.codes"),
        Binding("3", "go('servers')", "Servers", show=False, id="go.servers"),
        Binding(
            "question_mark", "help", "Help", tooltip="What each key does here", key_display="?", id="help"
        ),
        Binding("ctrl+l", "lock", "Lock", tooltip="Lock the vault", id="lock", priority=True),
        Binding("q", "quit", "Quit", id="quit"),
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True),
        Binding(
            "ctrl+p",
            "command_palette",
            "Palette",
            tooltip="Find a job or a theme by its name",
            show=False,
            priority=True,
        ),
    ]

    inbox: reactive[Inbox] = reactive(Inbox(), init=False)
    """What the person sees of all servers."""
    now: reactive[int] = reactive(0, init=False)
    """The time in ms UTC, moved on each second."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], int] = running.now,
        links: LinksOf = lambda device: device.links(),
        moment_of: Callable[[events.Event], float] = lambda event: event.time,
        lock_after: float = LOCK_AFTER,
    ) -> None:
        super().__init__(settings.home)
        self.settings: Final = settings
        self.clock: Final = clock
        self.moment_of: Final = moment_of
        self.copies: Final = Clipboard(self)
        self._links_of = links
        self._lock_after = lock_after
        self._touched = time.monotonic()
        self._opened: Opened | None = None
        self._verified: Verified = "pin"
        self._turn = asyncio.Lock()
        self._quitting = False
        self._unattended = settings.keyring or settings.passphrase_file is not None
        self.add_mode("entrance", self._entrance)
        self._add_modes()

    @property
    def device(self) -> Authenticator:
        """The open authenticator; only screens that are shown while it is open may ask."""
        return self._open_now.device

    @property
    def locked(self) -> bool:
        """Whether the vault is closed."""
        return self._opened is None

    @property
    def attended(self) -> bool:
        """Whether a person typed the passphrase that opened the vault."""
        return self._verified == "pin"

    def on_mount(self) -> None:
        """Begin the clock, and open by itself a vault whose passphrase nobody types."""
        terminal.part_escape_from_enter()
        self.now = self.clock()
        self.set_interval(1.0, self._tick)
        self.call_after_refresh(gc.enable)
        self._show_count()
        if self._unattended:
            self.run_worker(self._open_unattended(), group="opening")

    async def on_unmount(self) -> None:
        """Let go of vault and network."""
        await self._close()

    async def unlock(self, passphrase: str, verified: Verified = "pin") -> None:
        """Open the vault and show the inbox. Raises ``PassphraseError`` and ``VaultError``."""
        await self._open(partial(vaults.opened, self.settings, passphrase), verified)

    async def create(self, passphrase: str) -> None:
        """Make the vault and show the inbox. Raises ``VaultError`` if there is one already."""
        await self._open(partial(vaults.made, self.settings, passphrase), "pin")

    async def prove(self, passphrase: str) -> None:
        """Raise ``PassphraseError`` unless this is the vault's passphrase; the vault stays open either way."""
        (await asyncio.to_thread(vaults.opened, self.settings, passphrase)).close()

    async def lock(self) -> None:
        """Forget keys and texts, and ask for the passphrase; an answer on its way is given a moment to arrive."""
        async with self._turn:
            if self.locked:
                return
            self._unattended = False
            self.clear_notifications()
            await self.switch_mode("entrance")
            with contextlib.suppress(TimeoutError, WorkerError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    for worker in self._answers():
                        await worker.wait()
            for mode in MODES_OPEN:
                self.remove_mode(mode)
            await self._close()
            self._add_modes()
            self.inbox = Inbox()
            self._show_count()

    def follow(self) -> None:
        """Connect to all servers anew, at once."""
        self._open_now.follow()

    def refresh_inbox(self) -> None:
        """Show what the authenticator knows now; call it after an enrolment or a leave."""
        before, self.inbox = self.inbox, self.device.state
        self.now = self.clock()
        if not self._open_now.all_followed:
            self.follow()
        changes = list(news(before, self.inbox))
        for each in changes:
            self.post_message(each)
        if changes:
            self._show_count()

    async def on_event(self, event: events.Event) -> None:
        """A key or the mouse puts off the lock."""
        if isinstance(event, events.Key | events.MouseEvent | events.Paste):
            self._touched = time.monotonic()
        await super().on_event(event)

    @on(Heard)
    def _heard(self, message: Heard) -> None:
        if self.locked or message.absorbed.done():
            return
        try:
            self.device.absorb(message.event)
        except VaultError as error:
            self.toast(Toast(said(error), "What came was not kept", "error"))
            message.absorbed.set_result(False)
            return
        self.refresh_inbox()
        message.absorbed.set_result(True)

    @on(RequestOpened)
    def _request_opened(self, message: RequestOpened) -> None:
        if self._opened is not None:
            self.clear_notifications()  # they would lie over its buttons
            self.push_screen(screens.approval(self, message.entry))
            self.run_worker(self._opened.seen(message.entry), group="seen")

    @on(PastOpened)
    def _past_opened(self, message: PastOpened) -> None:
        self.push_screen(screens.past(self, message.ended))

    @on(NoticeCame)
    def _told(self, message: NoticeCame) -> None:
        if self.locked:
            return
        self.bell()
        origin = message.notice.origin
        names = server_names(self.device.enrollments)
        self.toast(toasts.told(message.notice, names.get(origin, origin)))

    @on(NoticeOpened)
    def _notice_opened(self, message: NoticeOpened) -> None:
        self.push_screen(screens.notice(self, message.notice, message.server))

    @on(AnswerGiven)
    def _given(self, message: AnswerGiven) -> None:
        if self.locked:  # the lock was faster than the Enter before it
            self.toast(
                Toast("The vault was locked first; the request goes on waiting.", "Not answered", "error")
            )
        else:
            self.run_worker(self._answer(message), group="answers")

    @on(TransferWanted)
    def _transfer_wanted(self, message: TransferWanted) -> None:
        if not self.locked:
            self.push_screen(screens.transfer(self, message.token))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While the vault is locked there is nothing to go to."""
        del parameters
        return not (action in {"go", "lock", "enroll", "reconnect"} and self.locked)

    async def action_go(self, mode: str) -> None:
        """Switch to the inbox, the codes or the servers."""
        await self.switch_mode(mode)

    async def action_lock(self) -> None:
        """Lock the vault."""
        await self.lock()

    def action_help(self) -> None:
        """Show the keys of this screen."""
        self.push_screen(screens.help_(self.screen))

    async def action_quit(self) -> None:
        """End; an answer that is on its way arrives first, unless the person insists."""
        if self._quitting or not self._answers():
            self.exit()
        else:
            self._quitting = True
            self.toast(Toast("The app ends when it has arrived.", "Your answer is on its way"))
            self.run_worker(self._quit_answered(), group="quitting")

    def action_reconnect(self) -> None:
        """Connect to all servers anew, at once."""
        self.follow()
        self.toast(Toast("Connecting …"))

    def action_enroll(self) -> None:
        """Become a device on a server."""
        self.push_screen(screens.enroll(self))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: every place and the app's own commands."""
        del screen
        return palette.commands(self, locked=self.locked)

    def _fatal_error(self) -> None:
        # Textual's own report lists local variables, among them the passphrase, and foreign text as it came.
        self.bell()
        self._exit_renderables.append(visible(traceback.format_exc(), newline=True))
        self._close_messages_no_wait()

    def _entrance(self) -> Screen[None]:
        if self._unattended:
            return screens.opening(self)
        return screens.unlock(self) if self.settings.vault.is_file() else screens.onboarding(self)

    def _add_modes(self) -> None:
        for mode, factory in MODES_OPEN.items():
            self.add_mode(mode, partial(factory, self))

    async def _open_unattended(self) -> None:
        verified: Verified = "os" if self.settings.keyring else "none"
        try:
            passphrase = await asyncio.to_thread(choices.passphrase, self.settings)
            await self.unlock(passphrase, verified)
        except AuthenticatorError as error:
            self._unattended = False
            self.toast(Toast(said(error), "The vault does not open", "error"))
            await self.switch_screen(self._entrance())

    async def _open(self, open_vault: Callable[[], Vault], verified: Verified) -> None:
        async with self._turn:
            vault = await asyncio.to_thread(open_vault)
            self._verified = verified
            self._opened = Opened(self, vault, clock=self.clock, links_of=self._links_of, kept=self._kept)
            self.set_reactive(PlacetApp.inbox, self.device.state)
            self._touched = time.monotonic()
            self.follow()
            self._show_count()
            self.call_next(self._enter)

    async def _enter(self) -> None:
        async with self._turn:
            if self.locked:  # again already; the screen that asked for the passphrase still stands
                screens.ask_again(self.screen)
                return
            await self.switch_mode("inbox")
            self.remove_mode("entrance")
            self.add_mode("entrance", self._entrance)

    async def _close(self) -> None:
        self.copies.clear()
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()

    @property
    def _open_now(self) -> Opened:
        assert self._opened is not None, "the vault is locked"
        return self._opened

    async def _tick(self) -> None:
        self.now = self.clock()
        terminal.mend_size(self)
        if self.locked:
            return
        if time.monotonic() - self._touched >= self._lock_after:
            await self.lock()
            return
        with contextlib.suppress(VaultError):  # tried again in a second; a write that matters says so itself
            self.device.absorb(Passed())
        self.refresh_inbox()

    async def _kept(self, event: Event) -> bool:
        heard = Heard(event)
        self.post_message(heard)
        return await heard.absorbed

    async def _answer(self, message: AnswerGiven) -> bool:
        """Send it; False when it did not get through."""
        trouble: AuthenticatorError | None = None
        try:
            await self.device.decide(message.entry, message.answer, verified=self._verified)
        except AuthenticatorError as error:
            trouble = error
            if not message.asker.post_message(AnswerFailed(message.entry, error)):
                self.toast(Toast(said(error), "Your answer did not get through", "error"))
        self.refresh_inbox()
        return trouble is None

    def _answers(self) -> list[Worker[bool]]:
        return [each for each in self.workers if each.group == "answers" and not each.is_finished]

    async def _quit_answered(self) -> None:
        with contextlib.suppress(WorkerError):  # the person insisted
            if all([await worker.wait() for worker in self._answers()]):
                self.exit()
        self._quitting = False  # the person is told what failed, and stays

    def _show_count(self) -> None:
        waiting = len(self.inbox.pending)
        terminal.set_title(self, f"({waiting}) {self.TITLE}" if waiting else str(self.TITLE))
