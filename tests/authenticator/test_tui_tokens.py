"""The screen of soft tokens: live codes, hidden until wanted, found by typing, copied by one key."""

from __future__ import annotations

from pathlib import Path

import pytest
import qrcode
from textual.app import App
from textual.widgets import Button, Static

from placet_authenticator import tokens
from placet_authenticator.records import Token
from placet_authenticator.tui.clipboard import Clipboard
from placet_authenticator.tui.token_list import TokenList, grouped
from placet_protocol.totp import hotp, step
from support.apps import NOW, paste, running, shows, token, until
from support.snapshots import screen_text

ACME = token("Acme Pay", "ada@example.com")
BANK = token("Bank of Utrecht", "NL91 4300", algorithm="SHA256", period=60)
GITHUB = token("GitHub", "ada")
LONG = token("Northwind", "a.lovelace@northwind.example", digits=8)
ALL = (ACME, BANK, GITHUB, LONG)


def digits(of: Token, now: int = NOW) -> str:
    """The code as the standard says, without the authenticator's own arithmetic."""
    return hotp(of.secret, step(now, of.period), of.digits, of.algorithm)  # type: ignore[arg-type]  # one of three names


async def test_codes_are_hidden_until_they_are_wanted(tmp_path: Path) -> None:
    """Space shows the code under the cursor and hides it again; leaving the screen hides it, too."""
    async with running(tmp_path, *ALL) as (app, pilot):
        await pilot.press("2")
        await shows(app, pilot, "••• •••")
        assert not any(grouped(digits(each)) in screen_text(app) for each in ALL)
        await pilot.press("down", "space")
        await shows(app, pilot, grouped(digits(BANK)))
        await shows(app, pilot, grouped(digits(BANK, NOW + 60_000)))
        assert grouped(digits(ACME)) not in screen_text(app)
        await pilot.press("space")
        await until(pilot, lambda: grouped(digits(BANK)) not in screen_text(app))
        await pilot.press("v")
        await shows(app, pilot, *(grouped(digits(each)) for each in ALL))
        await pilot.press("1", "2")
        await shows(app, pilot, "••• •••")
        assert not any(grouped(digits(each)) in screen_text(app) for each in ALL)


async def test_enter_copies_the_code_without_showing_it(tmp_path: Path) -> None:
    """The clipboard has the digits alone, as a form wants them; the screen says whose they are."""
    async with running(tmp_path, *ALL) as (app, pilot):
        await pilot.press("2", "down", "down", "down", "enter")
        await until(pilot, lambda: app.clipboard == digits(LONG))
        await shows(app, pilot, "Copied the code of Northwind:")
        assert grouped(digits(LONG)) not in screen_text(app)
        await pilot.press("n")
        await until(pilot, lambda: app.clipboard == digits(LONG, NOW + 30_000))


async def test_a_code_at_its_end_is_said_to_be_so(tmp_path: Path) -> None:
    """Three seconds are too few to type six digits: the next code is offered."""
    async with running(tmp_path, ACME, clock=lambda: NOW + 15_000) as (app, pilot):
        await pilot.press("2", "enter")
        await until(pilot, lambda: app.clipboard == digits(ACME, NOW + 15_000))
        await shows(app, pilot, "It ends in 3 s; n copies the next one.")


async def test_a_code_leaves_the_clipboard_after_its_time() -> None:
    """What was copied is overwritten, and only once; what was not copied here is left alone."""
    app: App[None] = App()
    async with app.run_test() as pilot:
        clipboard = Clipboard(app, 0.05)
        clipboard.clear()
        await until(pilot, lambda: app.clipboard == "")
        clipboard.put("111111")
        clipboard.put("222222")
        await until(pilot, lambda: app.clipboard == "222222")
        await until(pilot, lambda: app.clipboard == "")


async def test_locking_takes_the_code_off_the_clipboard(tmp_path: Path) -> None:
    """A locked device leaves nothing to paste."""
    async with running(tmp_path, ACME) as (app, pilot):
        await pilot.press("2", "enter")
        await until(pilot, lambda: app.clipboard == digits(ACME))
        await pilot.press("ctrl+l")
        await until(pilot, lambda: app.locked)
        await until(pilot, lambda: app.clipboard == "")


async def test_the_list_shrinks_while_one_types(tmp_path: Path) -> None:
    """Every word must be in the name; Enter copies what the cursor is on, Escape shows all again."""
    async with running(tmp_path, *ALL) as (app, pilot):
        await pilot.press("2", "slash", *"a")
        await shows(app, pilot, "4 of 4")
        await pilot.press(*"da")
        await shows(app, pilot, "2 of 4")
        assert "Northwind" not in screen_text(app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.clipboard == digits(GITHUB))
        await pilot.press(*" git")
        await shows(app, pilot, "1 of 4")
        await pilot.press("escape")
        await shows(app, pilot, "Northwind")
        await until(pilot, lambda: isinstance(app.focused, TokenList))


async def test_codes_are_those_of_the_standard(tmp_path: Path) -> None:
    """RFC 6238 with each hash and length, at an odd period and for secrets of 80 bits."""
    odd = [
        token(
            f"{algorithm} {length}",
            "x",
            algorithm=algorithm,
            digits=length,
            period=47,
            secret=b"012345678%d" % length,
        )
        for algorithm in ("SHA1", "SHA256", "SHA512")
        for length in (6, 7, 8)
    ]
    async with running(tmp_path, *odd) as (app, pilot):
        await pilot.press("2", "v")
        await shows(app, pilot, *(grouped(digits(each)) for each in odd))
        await shows(app, pilot, f"{tokens.code(odd[0], NOW).lasts_ms // 1000} s")


async def test_a_token_is_added_by_its_uri(tmp_path: Path) -> None:
    """What a site chose is shown before it is kept, a short secret included; then the cursor is on it."""
    async with running(tmp_path, ACME) as (app, pilot):
        await pilot.press("2", "a")
        assert app.screen.query_one("#add", Button).disabled
        await paste(app, pilot, "otpauth://totp/Old:me?secret=jbsw y3dp-ehpk3pxp&issuer=Old")
        await until(pilot, lambda: not app.screen.query_one("#add", Button).disabled)
        await shows(app, pilot, "secret of 80 bits")
        await pilot.press("enter")
        await until(pilot, lambda: len(app.device.tokens()) == 2)
        added = next(each for each in app.device.tokens() if each.issuer == "Old")
        await pilot.press("enter")
        await until(pilot, lambda: app.clipboard == digits(added))


async def test_a_token_is_added_from_a_picture(tmp_path: Path) -> None:
    """A file dropped on the terminal arrives as a quoted path."""
    picture = tmp_path / "my code.png"
    with picture.open("wb") as file:
        qrcode.make(
            "otpauth://totp/Mail:ada?secret=GEZDGNBVGY3TQOJQ&algorithm=SHA512&digits=8&period=60"
        ).save(file)
    async with running(tmp_path / "home") as (app, pilot):
        await pilot.press("2", "a")
        await paste(app, pilot, f"'{picture}'")
        await until(pilot, lambda: not app.screen.query_one("#add", Button).disabled)
        await shows(app, pilot, "8 digits, new every 60 s, SHA512")
        await pilot.click("#add")
        await until(pilot, lambda: [each.label for each in app.device.tokens()] == ["Mail:ada"])
        await shows(app, pilot, "•••• ••••")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("otpauth://totp/x?secret=!!!!", "The secret is not base32"),
        ("https://example.com", "Not an otpauth"),
        ("nowhere.png", "neither a URI nor a file"),
        ("~nobody-of-this-name/qr.png", "neither a URI nor a file"),
        ("x" * 300, "neither a URI, nor a secret, nor a file"),
        ("'https://example.com'", "Not an otpauth"),
    ],
)
async def test_what_cannot_be_added_is_explained(tmp_path: Path, typed: str, said: str) -> None:
    """Nothing is kept, and the reason is on the screen."""
    async with running(tmp_path) as (app, pilot):
        await pilot.press("2", "a")
        await paste(app, pilot, typed)
        found = app.screen.query_one("#found", Static)
        await until(pilot, lambda: found.has_class("-trouble"))
        assert said.casefold() in str(found.render()).casefold()
        await pilot.press("enter", "escape")
        assert app.device.tokens() == []
        await shows(app, pilot, "No codes yet")


async def test_removing_asks_first(tmp_path: Path) -> None:
    """The focus is on the harmless answer, and Escape is one, too."""
    async with running(tmp_path, ACME, GITHUB) as (app, pilot):
        await pilot.press("2", "d", "enter")
        await pilot.press("d", "escape")
        assert len(app.device.tokens()) == 2
        await pilot.press("d", "right", "enter")
        await until(pilot, lambda: len(app.device.tokens()) == 1)
        assert app.device.tokens() == [GITHUB]
        assert "Acme Pay" not in screen_text(app).split("Erased")[0]


async def test_a_click_selects_and_a_second_copies(tmp_path: Path) -> None:
    """The mouse does what the keys do."""
    async with running(tmp_path, *ALL) as (app, pilot):
        await pilot.press("2")
        await pilot.click(TokenList, offset=(5, 4), times=2)
        await until(pilot, lambda: app.clipboard == digits(GITHUB))


async def test_tui_02_labels_are_never_markup_nor_move_text(tmp_path: Path) -> None:
    """A label that a stranger wrote is drawn as it is, and what would turn the line around is spelled out."""
    hostile = token("[b]Bank[/b] [x", "a\u202edc\x1b[2J")
    async with running(tmp_path, hostile) as (app, pilot):
        await pilot.press("2", "enter")
        await shows(app, pilot, "Copied the code of")
        await until(pilot, lambda: screen_text(app).count("[b]Bank[/b]") == 2)
        await shows(app, pilot, "‹U+202E›")
        assert "\x1b" not in screen_text(app)


async def test_a_thousand_tokens_cost_what_is_seen(tmp_path: Path) -> None:
    """Codes are computed for the lines in view only, wherever the list stands."""
    many = [token(f"Site {number:04}", "me") for number in range(1000)]
    asked = 0

    def clock() -> int:
        nonlocal asked
        asked += 1
        return NOW

    async with running(tmp_path, *many, clock=clock) as (app, pilot):
        await pilot.press("2")
        asked = 0
        await pilot.press("end")
        await shows(app, pilot, "Site 0999")
        await pilot.press("slash", *"site 0500", "enter")
        await until(pilot, lambda: app.clipboard == digits(many[500]))
        assert asked < 1000
