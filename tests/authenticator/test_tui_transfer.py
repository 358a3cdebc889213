"""A soft token on its way to another authenticator: what is on the screen is read back by two readers of QR codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from textual.widgets import Input

from pictures.make import for_rsvg, own_fonts
from placet_authenticator.exporting import otpauth
from placet_authenticator.records import Token
from placet_authenticator.settings import Settings
from placet_authenticator.tui.app import PlacetApp
from placet_authenticator.tui.transfer_screen import TransferScreen
from placet_authenticator.vault import QUICK, Vault
from support.apps import running, shows, token, until
from support.persons import PASSPHRASE
from support.qrcodes import drawn, zbar, zxing
from support.snapshots import screen_text
from support.system import needed
from support.tmux import terminal

PLACET = Path(sys.executable).parent / "placet"
ACME = token("Acme Pay", "ada@example.com")
BROUGHT = Token("b" * 16, "Placet", "Ada Lovelace", bytes(range(20)), "SHA1", 6, 30, 0, device="device-1")
FOREIGN = token("Old Forum", "me", secret=b"0123456789", digits=8, period=60, algorithm="SHA512")
TOKENS = (ACME, BROUGHT, FOREIGN)


async def prove(app: PlacetApp, passphrase: str = PASSPHRASE) -> None:
    """Type the passphrase and Enter."""
    line = app.screen.query_one("#passphrase", Input)
    line.value = passphrase
    await line.action_submit()


@pytest.mark.parametrize("size", [(80, 24), (140, 45), (60, 45)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("moved", TOKENS, ids=lambda token: token.issuer)
async def test_two_readers_read_the_screenshot(tmp_path: Path, moved: Token, size: tuple[int, int]) -> None:
    """The picture of the app holds exactly the token's URI, for tokens of an enrolment and of other sites alike."""
    rsvg = needed("rsvg-convert")
    async with running(tmp_path, moved, size=size) as (app, pilot):
        await pilot.press("2", "m")
        await shows(app, pilot, "Passphrase")
        await prove(app)
        await shows(app, pilot, "Scan it with")
        picture = tmp_path / "screen.png"
        svg = for_rsvg(own_fonts(app.export_screenshot()))
        subprocess.run([rsvg, "-w", "1600", "-o", str(picture)], input=svg.encode(), check=True)
    assert zxing(picture) == otpauth.uri(moved)
    assert zbar(picture) == otpauth.uri(moved)


@pytest.mark.parametrize("no_color", ["", "1"], ids=["colours", "no colours"])
def test_two_readers_read_the_terminal(tmp_path: Path, no_color: str) -> None:
    """What a terminal of 80 by 24 shows is the code, in plain text already; Escape takes it off."""
    settings = Settings(tmp_path / "home")
    with Vault.create(settings.vault, PASSPHRASE, profile=QUICK) as vault:
        vault.put(ACME)
    home = str(settings.home)
    with terminal(tmp_path, [PLACET], PLACET_HOME=home, NO_COLOR=no_color) as window:
        window.shows("Placet is locked")
        window.type(PASSPHRASE)
        window.press("Enter")
        window.shows("1 Inbox", "e Enrol")
        window.press("2")
        window.shows("ada@example.com")
        window.press("m")
        window.shows("Whoever sees this", "Passphrase")
        window.type(PASSPHRASE)
        window.press("Enter")
        window.shows("Scan it with")
        picture = tmp_path / "pane.png"
        window.until(lambda: zxing(drawn(window.screen(), picture)) == otpauth.uri(ACME))
        assert zbar(picture) == otpauth.uri(ACME)
        window.press("t")
        window.shows("otpauth://totp/", "Give this text")
        window.press("c")
        window.until(lambda: window.tmux("show-buffer").strip() == otpauth.uri(ACME))
        window.press("Escape")
        window.shows("1 Inbox", "••• •••")
        assert "otpauth" not in window.screen()
        window.press("q")
        window.shows("ended 0")
        assert window.tmux("show-buffer").strip() == ""


async def test_without_the_passphrase_nothing_is_shown(tmp_path: Path) -> None:
    """A wrong one is refused, and the vault stays open; Escape goes back."""
    async with running(tmp_path, ACME) as (app, pilot):
        await pilot.press("2", "m")
        await shows(app, pilot, "Passphrase")
        await pilot.press("t", "c")
        await prove(app, "another")
        await shows(app, pilot, "The passphrase is wrong")
        assert "█" not in screen_text(app)
        assert app.clipboard == ""
        assert not app.locked
        await pilot.press("escape")
        await shows(app, pilot, "••• •••")


async def test_the_code_goes_when_another_screen_comes(tmp_path: Path) -> None:
    """Help, another place or the lock take it off the screen and out of the widgets; the proof is asked again."""
    async with running(tmp_path, ACME) as (app, pilot):
        await pilot.press("2", "m")
        for leave, back in (("question_mark", "escape"), ("1", "2")):
            await shows(app, pilot, "Passphrase")
            await prove(app)
            await shows(app, pilot, "Goes away within 2 min.")
            screen = app.screen
            await pilot.press(leave)
            await until(pilot, lambda: app.screen is not screen)  # noqa: B023  waited for here
            assert isinstance(screen, TransferScreen)
            assert screen._secret is None
            assert "█" not in str(screen.query_one("#qr").render())
            await pilot.press(back)
        await shows(app, pilot, "Passphrase")
        await prove(app)
        await shows(app, pilot, "Goes away within")
        await pilot.press("ctrl+l")
        await shows(app, pilot, "Placet is locked")
        await pilot.press(*PASSPHRASE, "enter")
        await until(pilot, lambda: app.current_mode == "inbox")
        await pilot.press("2")
        await shows(app, pilot, "••• •••")


async def test_it_goes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen that somebody forgets does not show a secret for ever."""
    monkeypatch.setattr("placet_authenticator.tui.transfer_screen.SHOWN_SECONDS", 1)
    async with running(tmp_path, ACME) as (app, pilot):
        await pilot.press("2", "m")
        await shows(app, pilot, "Passphrase")
        await prove(app)
        await shows(app, pilot, "••• •••")


async def test_a_small_terminal_shows_the_text(tmp_path: Path) -> None:
    """Where the code does not fit, the screen says how much it needs, and shows the text; no room is needed for that."""
    async with running(tmp_path, ACME, size=(60, 16)) as (app, pilot):
        await pilot.press("2", "m")
        await shows(app, pilot, "Passphrase")
        await prove(app)
        await shows(app, pilot, "columns and 22 lines; here are 60 and 16", "otpauth://totp/")
        assert otpauth.uri(ACME) in "".join(screen_text(app).split())
        await pilot.resize_terminal(80, 24)
        await shows(app, pilot, "Scan it with")


async def test_where_nobody_typed_a_passphrase_a_question_stands(tmp_path: Path) -> None:
    """An unattended vault asks; the harmless answer is under the keys."""
    settings = Settings(tmp_path)
    Vault.create(settings.vault, PASSPHRASE, profile=QUICK).close()
    with Vault.open(settings.vault, PASSPHRASE) as vault:
        vault.put(ACME)
    app = PlacetApp(settings, links=lambda _: ())
    async with app.run_test() as pilot:
        await app.unlock(PASSPHRASE, "none")
        await until(pilot, lambda: app.current_mode == "inbox")
        await pilot.press("2", "m")
        await shows(app, pilot, "Look around first.")
        await pilot.press("enter")
        await shows(app, pilot, "••• •••")
        await pilot.press("m")
        await shows(app, pilot, "Look around first.")
        await pilot.click("#show")
        await shows(app, pilot, "Scan it with")
