"""Before the vault is open: the first start in three steps, the lock, and the passphrase."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.widgets import Button, ContentSwitcher, Input

from placet_authenticator.settings import Settings
from placet_authenticator.tui.app import PlacetApp
from placet_authenticator.vault import QUICK, Vault
from support.apps import nowhere, running, shows, token, until
from support.persons import PASSPHRASE
from support.snapshots import screen_text

ACME = token("Acme Pay", "ada@example.com")


async def test_the_first_start_makes_a_vault_in_three_steps(tmp_path: Path) -> None:
    """What this is, a passphrase twice, where to begin; nothing is written before the last one."""
    home = tmp_path / "home"
    app = PlacetApp(Settings(home), links=nowhere)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(app, pilot, "1 of 3")
        await pilot.press("enter", *PASSPHRASE, "enter", *PASSPHRASE, "enter")
        await shows(app, pilot, "3 of 3")
        assert not home.exists()
        await pilot.press("enter")
        await until(pilot, lambda: "Enrol at a server" in screen_text(app) and not app.locked)
        await pilot.press("escape")
        await shows(app, pilot, "Inbox")
    with Vault.open(Settings(home).vault, PASSPHRASE):
        assert (home / "vault.db").stat().st_mode & 0o777 == 0o600


async def test_two_passphrases_that_differ_do_not_pass(tmp_path: Path) -> None:
    """The person hears it while typing; a short one is called short, and one of eight characters is their choice."""
    app = PlacetApp(Settings(tmp_path / "home"), links=nowhere)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(app, pilot, "1 of 3")
        await pilot.press("enter", *"short", "enter", *"shirt")
        await shows(app, pilot, "The two differ.")
        assert app.screen.query_one("#to-begin", Button).disabled
        await pilot.press("enter")
        assert app.screen.query_one(ContentSwitcher).current == "secret"
        app.screen.query_one("#again", Input).value = "short"
        await shows(app, pilot, "Too short: 5 characters. It needs at least 8.")
        assert app.screen.query_one("#to-begin", Button).disabled
        await pilot.press("enter")
        assert app.screen.query_one(ContentSwitcher).current == "secret"
        for line in ("#first", "#again"):
            app.screen.query_one(line, Input).value = "shortish"
        await shows(app, pilot, "Short: 8 characters")
        assert not app.screen.query_one("#to-begin", Button).disabled
        await pilot.press("escape")
        await shows(app, pilot, "1 of 3")


async def test_the_lock_forgets_keys_and_shows_nothing(tmp_path: Path) -> None:
    """One key locks; no screen of before can be reached, and the passphrase opens it again."""
    async with running(tmp_path, ACME) as (app, pilot):
        await pilot.press("2", "space", "ctrl+l")
        await until(pilot, lambda: app.locked and "Placet is locked" in screen_text(app))
        with pytest.raises(AssertionError, match="locked"):
            _ = app.device
        await pilot.press("tab", "1", "2", "3")
        assert "Acme Pay" not in screen_text(app)
        line = app.screen.query_one("#passphrase", Input)
        line.value = "wrong"
        await pilot.press("enter")
        await shows(app, pilot, "The passphrase is wrong")
        assert app.locked
        assert line.value == ""
        await pilot.press(*PASSPHRASE, "enter")
        await until(pilot, lambda: not app.locked and app.current_mode == "inbox")
        await pilot.press("2")
        await shows(app, pilot, "Acme Pay")
        await shows(app, pilot, "••• •••")


async def test_a_device_that_nobody_touches_locks_itself(tmp_path: Path) -> None:
    """The time is a setting; a key puts it off."""
    settings = Settings(tmp_path)
    Vault.create(settings.vault, PASSPHRASE, profile=QUICK).close()
    app = PlacetApp(settings, links=nowhere, lock_after=0.0)
    async with app.run_test() as pilot:
        await app.unlock(PASSPHRASE)
        await until(pilot, lambda: app.locked and "Placet is locked" in screen_text(app))


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8])
async def test_a_lock_in_the_moment_of_opening_wins(tmp_path: Path, turns: int) -> None:
    """However far the way to the inbox has come: the lock shows, and the next passphrase opens."""
    settings = Settings(tmp_path)
    Vault.create(settings.vault, PASSPHRASE, profile=QUICK).close()
    app = PlacetApp(settings, links=nowhere)
    async with app.run_test() as pilot:
        await app.unlock(PASSPHRASE)
        for _ in range(turns):
            await asyncio.sleep(0)
        await app.lock()
        await until(pilot, lambda: "Placet is locked" in screen_text(app))
        assert (app.locked, app.current_mode) == (True, "entrance")
        await pilot.press(*PASSPHRASE, "enter")
        await until(pilot, lambda: not app.locked and app.current_mode == "inbox")


async def test_the_passphrase_is_never_on_the_screen(tmp_path: Path) -> None:
    """Dots while it is typed."""
    Vault.create(Settings(tmp_path).vault, PASSPHRASE, profile=QUICK).close()
    app = PlacetApp(Settings(tmp_path), links=nowhere)
    async with app.run_test() as pilot:
        await shows(app, pilot, "Placet is locked")
        await pilot.press(*PASSPHRASE)
        assert PASSPHRASE not in screen_text(app)
        assert "•" * len(PASSPHRASE) in screen_text(app)
