"""The app: one open authenticator, workers that follow its servers, and the screens that show it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from textual import events, on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen
from textual.worker import Worker, WorkerError

from placet_authenticator import running
from placet_authenticator import settings as choices
from placet_authenticator.errors import AuthenticatorError, VaultError
from placet_authenticator.inbox import Event, Inbox, Lost, Passed
from placet_authenticator.settings import Settings
from placet_authenticator.tui import screens, terminal, vaults
from placet_authenticator.tui.messages import (
    AnswerFailed,
    AnswerGiven,
    Heard,
    NoticeCame,
    NoticeOpened,
    PastOpened,
    RequestArrived,
    RequestEnded,
    RequestOpened,
    VaultLocked,
    VaultOpened,
)
from placet_authenticator.tui.texts import how_it_ended, one_line, outcome_word
from placet_authenticator.tui.themes import THEMES
from placet_protocol.text import visible

if TYPE_CHECKING:
    import aiohttp

    from placet_authenticator.authenticator import Authenticator
    from placet_authenticator.deciding import Verified
    from placet_authenticator.inbox import Entry
    from placet_authenticator.link import Link
    from placet_authenticator.vault import Vault

LOCK_AFTER: Final = 300.0
"""Seconds without key or mouse until the vault locks itself."""
MODES_OPEN: Final = {"inbox": screens.inbox, "codes": screens.codes, "servers": screens.servers}
"""What there is to switch between while the vault is open; the order of the keys 1, 2, 3."""


class PlacetApp(App[None]):
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
        Binding("question_mark", "help", "Help", key_display="?", id="help"),
        Binding("ctrl+l", "lock", "Lock", id="lock", priority=True),
        Binding("q", "quit", "Quit", id="quit"),
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
        links: Callable[[Authenticator], Sequence[Link]] = lambda device: device.links(),
        moment_of: Callable[[events.Event], float] = lambda event: event.time,
        lock_after: float = LOCK_AFTER,
    ) -> None:
        super().__init__()
        self.settings: Final = settings
        self.clock: Final = clock
        self.moment_of: Final = moment_of
        self._links_of = links
        self._lock_after = lock_after
        self._touched = time.monotonic()
        self._device: Authenticator | None = None
        self._vault: Vault | None = None
        self._session: aiohttp.ClientSession | None = None
        self._links: Sequence[Link] = ()
        self._following: list[Worker[None]] = []
        self._followed: frozenset[str] = frozenset()
        self._verified: Verified = "pin"
        self._unattended = settings.keyring or settings.passphrase_file is not None
        for theme in THEMES:
            self.register_theme(theme)
        self.set_reactive(App.theme, THEMES[0].name)  # as an assignment it would parse all styles twice
        self.add_mode("entrance", self._entrance)
        self._add_modes()

    @property
    def device(self) -> Authenticator:
        """The open authenticator; only screens that are shown while it is open may ask."""
        assert self._device is not None, "the vault is locked"
        return self._device

    @property
    def locked(self) -> bool:
        """Whether the vault is closed."""
        return self._device is None

    def on_mount(self) -> None:
        """Begin the clock, and open by itself a vault whose passphrase nobody types."""
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

    async def lock(self) -> None:
        """Forget keys and texts, and ask for the passphrase."""
        if self.locked:
            return
        self._unattended = False
        self.clear_notifications()
        await self.switch_mode("entrance")
        for mode in MODES_OPEN:
            self.remove_mode(mode)
        await self._close()
        self._add_modes()
        self.inbox = Inbox()
        self._show_count()
        self.screen.post_message(VaultLocked())

    def follow(self) -> None:
        """Connect to all servers anew, at once."""
        self.workers.cancel_group(self, "links")
        self._links = self._links_of(self.device)
        self._followed = frozenset(each.id for each in self.device.enrollments)
        self._following = [
            self.run_worker(self._follow(link), group="links", description=link.origin)
            for link in self._links
        ]

    def refresh_inbox(self) -> None:
        """Show what the authenticator knows now; call it after an enrolment or a leave."""
        before, self.inbox = self.inbox, self.device.state
        self.now = self.clock()
        if self._followed != frozenset(each.id for each in self.device.enrollments):
            self.follow()
        for notice in self.inbox.notices:
            if notice not in before.notices:
                self.post_message(NoticeCame(notice))
        if before.pending == self.inbox.pending and before.history == self.inbox.history:
            return
        known = {entry.key for entry in before.pending}
        past = {each.entry.key for each in before.history}
        for entry in self.inbox.pending:
            if entry.key not in known | past:
                self.post_message(RequestArrived(entry))
        for each in self.inbox.history:
            if each.entry.key in known:
                self.post_message(RequestEnded(each))
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
            self.say(error.detail, "What came was not kept", severity="error")
            message.absorbed.set_result(False)
            return
        self.refresh_inbox()
        message.absorbed.set_result(True)

    @on(RequestArrived)
    def _arrived(self, message: RequestArrived) -> None:
        self.bell()
        self.say(one_line(message.entry.message), f"{message.entry.application} asks")

    @on(RequestEnded)
    def _ended(self, message: RequestEnded) -> None:
        if message.ended.outcome != "superseded":
            ended = message.ended
            title = f"{outcome_word(ended)} {how_it_ended(ended)}"
            good = ended.outcome == "approved"
            self.say(one_line(ended.entry.message), title, severity="information" if good else "warning")

    @on(RequestOpened)
    def _opened(self, message: RequestOpened) -> None:
        self.push_screen(screens.approval(self, message.entry))
        self.run_worker(self._seen(message.entry), group="seen")

    @on(PastOpened)
    def _past_opened(self, message: PastOpened) -> None:
        self.push_screen(screens.past(self, message.ended))

    @on(NoticeCame)
    def _told(self, message: NoticeCame) -> None:
        self.bell()
        notice = message.notice
        server = next(
            (each.name for each in self.device.enrollments if each.origin == notice.origin), notice.origin
        )
        self.say(notice.text, f"{server} says", severity="warning", seconds=12)

    @on(NoticeOpened)
    def _notice_opened(self, message: NoticeOpened) -> None:
        self.push_screen(screens.notice(self, message.notice, message.server))

    @on(AnswerGiven)
    def _given(self, message: AnswerGiven) -> None:
        self.run_worker(self._answer(message), group="answers")

    def say(self, text: str, title: str = "", *, severity: str = "information", seconds: float = 6) -> None:
        """Show a few words for a while; foreign parts are filtered, and nothing is markup."""
        self.notify(
            visible(text),
            title=visible(title),
            severity=severity,  # type: ignore[arg-type]  # one of three words
            timeout=seconds,
            markup=False,
        )

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
        self.push_screen(screens.help_(self))

    def action_reconnect(self) -> None:
        """Connect to all servers anew, at once."""
        self.follow()
        self.say("Connecting …")

    def action_enroll(self) -> None:
        """Become a device on a server."""
        self.push_screen(screens.enroll(self))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: every place and the app's own commands."""
        if not self.locked:
            yield SystemCommand("Inbox", "What waits for your answer", partial(self.switch_mode, "inbox"))
            yield SystemCommand("Codes", "Codes of soft tokens", partial(self.switch_mode, "codes"))
            yield SystemCommand("Servers", "Where this is a device", partial(self.switch_mode, "servers"))
            yield SystemCommand("Enroll", "Become a device on a server", self.action_enroll)
            yield SystemCommand("Lock", "Ask for the passphrase again", self.action_lock)
        wanted = {"Theme", "Quit", "Screenshot"}
        yield from (each for each in super().get_system_commands(screen) if each.title in wanted)

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
            self.say(error.detail, "The vault does not open", severity="error")
            await self.switch_screen(self._entrance())

    async def _open(self, open_vault: Callable[[], Vault], verified: Verified) -> None:
        vault = await asyncio.to_thread(open_vault)
        from placet_authenticator.authenticator import Authenticator  # loads the HTTP client
        from placet_authenticator.calls import open_session

        self._vault, self._session, self._verified = vault, open_session(), verified
        self._device = Authenticator(vault, self._session, clock=self.clock)
        self.set_reactive(PlacetApp.inbox, self._device.state)
        self._touched = time.monotonic()
        self.follow()
        self._show_count()
        self.call_next(self._enter)

    async def _enter(self) -> None:
        await self.switch_mode("inbox")
        self.remove_mode("entrance")
        self.add_mode("entrance", self._entrance)
        self.screen.post_message(VaultOpened())

    async def _close(self) -> None:
        self.workers.cancel_all()
        for worker in self._following:
            with contextlib.suppress(WorkerError):
                await worker.wait()
        self._device, self._following, self._links, self._followed = None, [], (), frozenset()
        session, self._session = self._session, None
        vault, self._vault = self._vault, None
        if session is not None:
            await session.close()
        if vault is not None:
            vault.close()

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

    async def _follow(self, link: Link) -> None:
        async with link:
            async for event in link:
                if not await self._kept(event):
                    # Nothing is acknowledged, so nothing is lost: the next try brings it again.
                    await self._kept(Lost(link.origin, "the vault cannot be written"))
                    return

    async def _kept(self, event: Event) -> bool:
        heard = Heard(event)
        self.post_message(heard)
        return await heard.absorbed

    async def _answer(self, message: AnswerGiven) -> None:
        try:
            await self.device.decide(message.entry, message.answer, verified=self._verified)
        except AuthenticatorError as error:
            if not message.asker.post_message(AnswerFailed(message.entry, error)):
                self.say(f"{error.detail}. {error.hint}", "Your answer did not get through", severity="error")
        self.refresh_inbox()

    async def _seen(self, entry: Entry) -> None:
        for link in self._links:
            with contextlib.suppress(AuthenticatorError):  # said again when the request is looked at again
                await link.seen([(entry.device, entry.rid)])

    def _show_count(self) -> None:
        waiting = len(self.inbox.pending)
        terminal.set_title(self, f"({waiting}) {self.TITLE}" if waiting else str(self.TITLE))
