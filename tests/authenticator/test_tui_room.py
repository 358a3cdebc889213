"""What the app does where columns or lines are scarce."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.widgets import Input

from placet_authenticator.errors import VaultError
from placet_authenticator.inbox import Arrived, Connected, Lost
from placet_authenticator.printing import cells
from placet_authenticator.tui.messages import Heard
from placet_authenticator.tui.onboarding_screen import OnboardingScreen
from placet_authenticator.tui.texts import one_line
from support import parties
from support.apps import running, until
from support.desks import BEGIN, desk, enrollment, entry, held
from support.persons import PASSPHRASE
from support.snapshots import screen_text


@pytest.mark.parametrize(("size", "most"), [((60, 16), 1), ((80, 24), 1), ((140, 45), 3)])
async def test_what_is_said_leaves_the_list_readable(
    tmp_path: Path, size: tuple[int, int], most: int
) -> None:
    """Three requests at once: where lines are scarce only the newest words lie over the list."""
    async with running(tmp_path / "home", enrollment(), size=size, clock=lambda: BEGIN) as (app, pilot):
        for number in range(3):
            new = entry(rid=f"new-{number}", iat=parties.BEGUN + 100 + number, msg=f"Request {number}?")
            app.post_message(Heard(Arrived(new)))
        await until(pilot, lambda: screen_text(app).count("Request 2?") == 2)
        assert screen_text(app).count("Acme Pay asks") == most
        assert ("Request 0?" in screen_text(app).split("Acme Pay asks", 1)[1]) == (most == 3)


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("\u2764\ufe0f", "\u2764"),
        ("\U0001f44d\U0001f3fd", "\U0001f44d"),
        ("\u270c\U0001f3fd", "\u270c"),
        ("1\ufe0f\u20e3", "1\u20e3"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\U0001f469\U0001f467"),
        ("\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f3f3\U0001f308"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
    ],
    ids=ascii,
)
def test_emoji_in_a_list_are_as_wide_as_every_terminal_draws_them(written: str, listed: str) -> None:
    """Tones, variants and joined pictures are counted in different ways; letters keep their joiners."""
    assert one_line(written) == listed
    assert cell_len(listed) == cells(listed)


async def test_a_request_shows_what_its_line_in_the_list_leaves_out(tmp_path: Path) -> None:
    """The line has the plain emoji and its whole countdown; the request itself has every character as it was signed."""
    asked = "Send \u2764\ufe0f and \U0001f44d\U0001f3fd?"
    async with desk(tmp_path / "home", [enrollment(), held(msg=asked)]) as here:
        assert "Send \u2764 and \U0001f44d?" in screen_text(here.app)
        await here.press("enter")
        assert asked in screen_text(here.app)


LONG = "First National Bank of Nowhere and Sons Holding"


@pytest.mark.parametrize(
    ("columns", "names", "shown"),
    [
        (60, [LONG], "● First Nationa… connected"),
        (80, [LONG], "● First National Bank of No… connected"),
        (60, ["Acme", "Corner Shop"], "● 1 connected  ○ 1 offline"),
        (80, ["Acme", "Corner Shop"], "● Acme connected  ○ Corner Sh… offline"),
        (140, ["Acme", "Corner Shop"], "● Acme connected  ○ Corner Shop offline for 0 s"),
        (80, ["Acme"] * 9, "● 5 connected  ○ 4 offline"),
    ],
)
async def test_the_bar_says_in_words_how_servers_are_reached(
    tmp_path: Path, columns: int, names: list[str], shown: str
) -> None:
    """Names are shortened before words are left out; many servers are counted."""
    origins = [parties.ORIGIN, *(f"https://s{number}.example" for number in range(1, len(names)))]
    there = [
        enrollment(id=f"device-{number}", origin=origin, name=name)
        for number, (origin, name) in enumerate(zip(origins, names, strict=True))
    ]
    async with desk(tmp_path / "home", there, size=(columns, 16)) as here:
        for number, origin in enumerate(origins):
            await here.hear(
                Lost(origin, "no route") if number % 2 else Connected(origin, "socket", here.clock.now)
            )
        assert screen_text(here.app).split("\n")[0].endswith(f"  {shown}")


async def test_a_vault_that_cannot_be_made_is_said_below_the_choices(tmp_path: Path) -> None:
    """The line takes room only once there is something to say."""

    async def refused(_: str) -> None:
        raise VaultError("the disk is full", "Make room on it")

    async with desk(tmp_path / "home", size=(80, 24), connected=False) as here:
        await here.app.lock()
        await here.app.push_screen(OnboardingScreen(refused))
        await here.press("enter")
        for place in ("#first", "#again"):
            here.app.screen.query_one(place, Input).value = PASSPHRASE
        here.app.screen.query_one("#again", Input).focus()
        await here.press("enter")
        trouble = here.app.screen.query_one("#trouble")
        assert not trouble.display
        await here.press("enter")
        await here.until(lambda: here.shows("The disk is full. Make room on it."))
        assert trouble.display
