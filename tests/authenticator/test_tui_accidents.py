"""A request on the screen, and hands that did not mean it: nothing leaves the screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual._xterm_parser import XTermParser
from textual.widgets._footer import FooterKey

from placet_authenticator.deciding import Answer
from placet_authenticator.inbox import Arrived, Closed
from placet_authenticator.tui import approval_screen
from support import parties
from support.desks import Desk, answers_kept, desk, enrollment, entry, held, look

SIZES = [(60, 16), (80, 24), (140, 45)]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Answer]:
    """Answers as they leave the screen; none is sent."""
    return answers_kept(monkeypatch)


def deny_key(here: Desk) -> list[FooterKey]:
    """What says in the footer that d denies; the mouse can press it, too."""
    return [each for each in here.app.screen.query(FooterKey) if each.action == "deny"]


@pytest.mark.parametrize("keys", ["dd", "dm", "dn", "ddddddd", "dmn", "dnmdmn"])
async def test_num_05_no_word_and_no_held_key_denies(tmp_path: Path, given: list[Answer], keys: str) -> None:
    """A reason counts only after a pause in which nothing was pressed; Escape and q go back at once."""
    async with desk(tmp_path / "home", [enrollment(), held()]) as here:
        await look(here)
        here.hand.pace = 0.7
        await here.press(*keys)
        assert here.shows("Why do you deny it?")
        assert given == []
        await here.press("q", "4", "7", "1")
        assert here.shows("Enter approves")
        await here.press("d")
        here.hand.wait()
        await here.press("d")
        assert [each.reason for each in given] == ["declined"]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_num_05_no_double_click_denies(
    tmp_path: Path, given: list[Answer], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reasons come up under the mouse that clicked; a second click at once does nothing, nor does the footer."""
    monkeypatch.setattr(approval_screen, "READ_SECONDS", 60.0)  # on a busy machine two clicks take their time
    async with desk(tmp_path / "home", [enrollment(), held()], size=size) as here:
        await look(here)
        await here.until(lambda: not here.app.screen.query_one("#deny").disabled)
        button = here.app.screen.query_one("#deny").region
        for place in [(button.x + 2, line) for line in button.line_range]:
            await here.pilot.click(offset=place)
            await here.until(lambda: here.shows("Why do you deny it?"))
            for _ in range(2):
                await here.pilot.click(offset=place)
            await here.pilot.pause()
            assert given == []
            await here.press("escape")
            await here.until(lambda: here.shows("Type the 3 digits"))
        for _ in range(3):
            await here.until(lambda: deny_key(here) and deny_key(here)[0].region)
            await here.pilot.click(offset=deny_key(here)[0].region.offset)
        await here.pilot.pause()
        assert here.shows("Why do you deny it?")
        assert given == []


async def test_num_05_a_key_is_judged_by_its_own_moment(tmp_path: Path, given: list[Answer]) -> None:
    """Keys of the first second that get here late, since the app was busy, are as dead as the others."""
    async with desk(tmp_path / "home", [enrollment(), held()]) as here:
        await here.press("enter")
        await here.until(lambda: not here.app.screen.query_one("#deny").disabled)
        here.hand.pace = 0.1
        await here.press("4", "7", "1", "enter")
        assert given == []
        assert here.shows("[ ]") or here.shows("╭───╮")
        await here.press("d", "n")
        assert not here.shows("Why do you deny it?")


async def test_num_05_escape_wins_over_an_enter_that_came_with_it(
    tmp_path: Path, given: list[Answer]
) -> None:
    """Over a slow line both arrive at once, which looks like Alt+Enter; who wanted to leave has not said yes."""
    async with desk(tmp_path / "home", [enrollment(), held()]) as here:
        await look(here)
        await here.press("4", "7", "1")
        assert here.shows("Enter approves")
        parser = XTermParser()
        for each in [*parser.feed("\x1b\r"), *parser.tick()]:
            here.app.post_message(each)
        await here.pilot.pause()
        assert given == []
        assert not here.shows("Enter approves")


async def test_num_05_nothing_comes_to_lie_over_the_request_that_is_read(tmp_path: Path) -> None:
    """Its own announcement goes when it is opened; of others only bell and count tell, also behind the help."""
    second = entry(rid="0190c1f1-ffff", msg="Buy a ship?")
    async with desk(tmp_path / "home", [enrollment()]) as here:
        await here.hear(Arrived(entry()))
        assert len(here.toasts()) == 1
        await look(here)
        assert here.toasts() == []
        await here.hear(Arrived(second))
        await here.press("question_mark")
        await here.hear(Closed(parties.ORIGIN, "0190c1f1-ffff", "cancelled", "the application"))
        assert here.toasts() == []
        await here.press("escape", "escape")
        assert here.shows("Withdrawn")
        assert here.shows("Buy a ship?")


async def test_num_05_no_button_can_be_reached_by_keys(tmp_path: Path, given: list[Answer]) -> None:
    """Tab goes nowhere, so that Enter never means what a button says."""
    async with desk(tmp_path / "home", [enrollment(), held()]) as here:
        await look(here)
        for keys in (["tab"], ["shift+tab"], ["tab", "tab"]):
            await here.press("4", "7", "1", *keys)
            assert here.app.focused is None
            await here.press("backspace", "enter")
        await here.press("d")
        here.hand.wait()
        await here.press("tab", "enter")
        assert given == []
