"""What outlives a start, and what quitting and locking wait for: the theme, and an answer that is on its way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from placet_authenticator import preferences
from placet_authenticator.errors import UnreachableError
from placet_authenticator.preferences import Preferences
from placet_authenticator.records import Record
from placet_authenticator.settings import Settings
from placet_authenticator.tui.app import PlacetApp
from placet_authenticator.tui.approval_screen import ApprovalScreen
from placet_authenticator.tui.inbox_screen import InboxScreen
from support.apps import nowhere, running, until
from support.desks import Desk, desk, enrollment, held, usual_vault
from support.snapshots import screen_text

VAULT: list[Record] = [enrollment(), held()]


class Server:
    """Takes its time with an answer; ``refuses`` makes it unreachable in the end."""

    def __init__(self, app: PlacetApp) -> None:
        self.got = 0
        self.let_go = asyncio.Event()
        self.refuses = False
        app.device.decide = self._decide  # type: ignore[method-assign]  # the network's side of it

    async def _decide(self, *_: object, **__: object) -> Any:
        self.got += 1
        await self.let_go.wait()
        if self.refuses:
            raise UnreachableError("the server went away", "Try again")


async def answer(here: Desk) -> Server:
    """Type the number and Enter; the server has the answer and thinks."""
    server = Server(here.app)
    await here.press("enter")
    here.hand.wait()
    await here.press("4", "7", "1", "enter")
    await here.until(lambda: server.got)
    return server


async def test_quitting_waits_for_an_answer_on_its_way(tmp_path: Path) -> None:
    """It is said why; the app ends when the server has taken the answer, and at once when the person insists."""
    for insists in (False, True):
        async with desk(tmp_path / str(insists), VAULT) as here:
            server = await answer(here)
            await here.press("ctrl+q")
            assert any("Your answer is on its way" in each for each in here.toasts())
            assert here.app.is_running
            assert not here.app._exit
            if insists:
                await here.press("ctrl+q")
            else:
                server.let_go.set()
            await here.until(lambda: here.app._exit)


async def test_an_answer_that_fails_keeps_the_app(tmp_path: Path) -> None:
    """The person hears that it did not get through before the app ends."""
    async with desk(tmp_path / "home", VAULT) as here:
        server = await answer(here)
        server.refuses = True
        await here.press("ctrl+q")
        server.let_go.set()
        await here.until(lambda: here.shows("The server went away"))
        assert not here.app._exit
        await here.press("ctrl+q")
        assert here.app._exit


async def test_the_lock_shows_at_once_and_waits_for_the_answer(tmp_path: Path) -> None:
    """Nothing of the vault is on the screen meanwhile; an answer that takes too long is given up."""
    for patience, goes in ((20.0, True), (0.1, False)):
        async with desk(tmp_path / str(goes), VAULT) as here:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("placet_authenticator.tui.app.ANSWER_SECONDS", patience)
                server = await answer(here)
                locking = asyncio.create_task(here.app.lock())
                await here.until(lambda: here.shows("Placet is locked"))
                if goes:
                    assert not here.app.locked
                    server.let_go.set()
                await locking
            assert here.app.locked


async def test_q_leaves_a_request_and_nothing_else(tmp_path: Path) -> None:
    """On a request, as in its help and on a past one, q goes back as Escape does; in the inbox it ends the app."""
    async with desk(tmp_path / "home", usual_vault()) as here:
        await here.press("enter")
        here.hand.wait()
        await here.press("question_mark", "q")
        assert isinstance(here.app.screen, ApprovalScreen)
        here.hand.wait()
        await here.press("d", "q")
        assert isinstance(here.app.screen, ApprovalScreen)
        await here.press("q")
        assert isinstance(here.app.screen, InboxScreen)
        await here.press("down", "down", "enter", "q")
        assert isinstance(here.app.screen, InboxScreen)
        assert not here.app._exit
        await here.press("q")
        assert here.app._exit


async def test_the_theme_is_found_again(tmp_path: Path) -> None:
    """It is in a file of the person alone; a damaged file or an unknown name is no reason not to start."""
    home = tmp_path / "home"
    async with running(home) as (app, pilot):
        assert app.theme == "placet-dark"
        assert not (home / preferences.NAME).exists()
        app.theme = "placet-contrast"
        await until(pilot, lambda: preferences.load(home) == Preferences("placet-contrast"))
    assert (home / preferences.NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.iterdir() if "preferences" in path.name] == [preferences.NAME]
    assert PlacetApp(Settings(home), links=nowhere).theme == "placet-contrast"
    for damage in (
        b"",
        b"{",
        b"[]",
        b'{"theme": 7}',
        b'{"theme": "textual-dark"}',
        b'{"theme": "' + b"x" * 20_000,
    ):
        (home / preferences.NAME).write_bytes(damage)
        assert PlacetApp(Settings(home), links=nowhere).theme == "placet-dark"


async def test_a_theme_that_cannot_be_kept_is_said_to_be_so(tmp_path: Path) -> None:
    """The choice holds for this run."""
    (tmp_path / preferences.NAME).mkdir()
    async with running(tmp_path) as (app, pilot):
        app.theme = "placet-light"
        await until(pilot, lambda: "The choice is not kept" in screen_text(app))
        assert app.theme == "placet-light"


async def test_the_palette_has_jobs_and_themes(tmp_path: Path) -> None:
    """Every place and the three themes are found by their names; of a locked app only what needs no vault."""
    async with desk(tmp_path / "home", usual_vault()) as here:
        await here.press("ctrl+p", *"servers")
        await here.until(lambda: here.shows("Where this is a device"))
        await here.press("enter")
        await here.until(lambda: here.app.current_mode == "servers")
        await here.press("ctrl+p", *"theme")
        await here.until(lambda: here.shows("Dark, light or high contrast"))
        await here.press("enter")
        await here.until(lambda: here.shows("placet-contrast") and here.shows("placet-light"))
        await here.press(*"light")
        await here.until(lambda: not here.shows("placet-contrast"))
        await here.press("enter")
        await here.until(lambda: here.app.theme == "placet-light")
        await here.app.lock()
        await here.press("ctrl+p")
        await here.until(lambda: here.shows("Quit"))
        assert not here.shows("Where this is a device")


async def test_the_help_lists_this_apps_keys_alone(tmp_path: Path) -> None:
    """What is bound here first, then what is bound everywhere; nothing that the toolkit binds for itself."""
    async with desk(tmp_path / "home", usual_vault(), size=(80, 45)) as here:
        await here.press("question_mark")
        shown = screen_text(here.app)
        assert shown.index("Here") < shown.index("Open what is under") < shown.index("Everywhere")
        assert shown.index("Everywhere") < shown.index("Lock the vault")
        for toolkit in ("Focus Next", "Scroll Left", "Copy selected text", "Page Left"):
            assert toolkit not in shown
        await here.press("escape", "enter")
        here.hand.wait()
        await here.press("question_mark")
        await here.until(lambda: here.shows("Leave without an answer"))
        assert not listed(screen_text(here.app), "2", "Codes")


def listed(shown: str, key: str, words: str) -> bool:
    """Whether a line of the help has this key and these words."""
    return any(line.strip("│ ").split() == [key, words] for line in shown.splitlines())
