"""One request on the screen: it is read whole, and only deliberate typing approves it."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator
from pathlib import Path
from time import tzset
from typing import Any

import pytest
from textual import events

from placet_authenticator.deciding import Answer
from placet_authenticator.errors import UnreachableError
from placet_authenticator.inbox import Closed, Connected, Lost
from placet_authenticator.records import Past, Record
from placet_authenticator.tui.approval_screen import ApprovalScreen
from placet_authenticator.tui.inbox_screen import InboxScreen
from placet_authenticator.tui.messages import AnswerFailed, RequestOpened
from placet_authenticator.tui.typed import Typed
from placet_protocol.documents import Context, RelyingParty
from support import parties
from support.desks import Desk, answers_kept, desk, enrollment, entry, held, look, usual_vault
from support.snapshots import assert_looks_as, screen_text

SIZES = [(60, 16), (80, 24), (140, 45)]
NAMED = (
    "enter",
    "enter",
    "enter",
    "tab",
    "shift+tab",
    "space",
    "backspace",
    "delete",
    "insert",
    "ctrl+v",
    "f1",
)
KEYS = [*string.digits, *string.ascii_letters, *NAMED, *("up", "down", "left", "right", "pageup", "pagedown")]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same clock on every machine."""
    monkeypatch.setenv("TZ", "UTC")
    tzset()
    yield
    monkeypatch.undo()
    tzset()


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Answer]:
    """Answers as they leave the screen; none is sent."""
    return answers_kept(monkeypatch)


def vault(**changes: Any) -> list[Record]:
    return [enrollment(), held(**changes)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_a_request_at_three_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    """Who, what, from where, how long, what is signed; the boxes for the number; then the reasons to deny."""
    name = f"{size[0]}x{size[1]}"
    async with desk(tmp_path / "home", usual_vault(), size=size) as here:
        await here.press("down")
        await look(here)
        await here.press("4", "7")
        assert_looks_as(here.app, f"request-{name}")
        await here.press("d")
        assert_looks_as(here.app, f"deny-{name}")
        await here.press("escape", "escape", "down", "enter")
        assert_looks_as(here.app, f"past-{name}")


async def test_the_typed_number_approves(tmp_path: Path, given: list[Answer]) -> None:
    """Three digits and Enter; Backspace corrects; a fourth digit begins anew."""
    async with desk(tmp_path / "home", vault()) as here:
        await look(here)
        await here.press("4", "8", "backspace", "7", "1")
        assert here.shows("Enter approves")
        await here.press("1", "enter")
        assert given == []
        await here.press("4", "7", "1", "enter")
        assert given == [Answer("approve", "ok", "471")]
        assert here.shows("Signing and sending")
        await here.press("4", "7", "1", "enter", "d")
        assert len(given) == 1


async def test_the_mouse_approves_only_what_was_typed(tmp_path: Path, given: list[Answer]) -> None:
    """The button is dead until the number is there."""
    async with desk(tmp_path / "home", vault()) as here:
        await look(here)
        await here.press("4", "7")
        await here.pilot.click("#approve")
        assert given == []
        await here.press("1")
        await here.pilot.click("#approve")
        await here.pilot.pause()
        assert given == [Answer("approve", "ok", "471")]


async def test_without_a_number_a_word_is_typed(tmp_path: Path, given: list[Answer]) -> None:
    """No single key approves: the word yes is spelled, then Enter; any other key in between begins anew."""
    async with desk(tmp_path / "home", vault(num="none")) as here:
        await look(here)
        assert here.shows("To approve, type yes")
        for keys in (["enter"], ["y", "enter"], ["y", "e", "x", "s", "enter"], ["y", "e", "e", "s", "enter"]):
            await here.press(*keys)
            assert given == []
        await here.press("y", "e", "S", "enter")
        assert given == [Answer("approve", "ok", None)]


@pytest.mark.parametrize(
    ("keys", "reason"), [("dd", "declined"), ("dm", "mistake"), ("dn", "not_me")], ids=["d", "m", "n"]
)
async def test_denying_says_why(tmp_path: Path, given: list[Answer], keys: str, reason: str) -> None:
    """Two keys: deny, and the reason; it needs no number."""
    async with desk(tmp_path / "home", vault()) as here:
        await look(here)
        await here.press(keys[0])
        here.hand.wait()
        await here.press(keys[1])
        assert [(each.verb, each.reason, each.number) for each in given] == [("deny", reason, None)]


async def test_denying_by_mouse_and_changing_ones_mind(tmp_path: Path, given: list[Answer]) -> None:
    """Escape or any other key goes back to the question; the buttons do what the keys do."""
    async with desk(tmp_path / "home", vault()) as here:
        await look(here)
        await here.press("4", "d", "x", "n", "m", "escape")
        assert given == []
        await look(here)
        await here.press("d", "escape")
        assert here.shows("Type the 3 digits")
        await here.press("m", "n")
        assert given == []
        await here.pilot.click("#deny")
        await here.until(lambda: not here.app.screen.query_one("#not_me").disabled)
        await here.pilot.click("#not_me")
        await here.pilot.pause()
        assert [each.reason for each in given] == ["not_me"]


async def test_num_05_keys_of_the_first_second_do_nothing(tmp_path: Path, given: list[Answer]) -> None:
    """Neither a number nor a denial that was begun within a second of the first sight is taken."""
    async with desk(tmp_path / "home", vault()) as here:
        await here.press("enter")
        here.hand.pace = 0.1
        await here.press("4", "7", "1", "enter", "d", "n")
        assert given == []
        assert here.shows("Read first")
        await here.pilot.click("#deny")
        assert not here.shows("Why do you deny it?")
        here.hand.wait()
        await here.press("enter")
        assert given == []
        await here.press("4", "7", "1")
        await here.press("question_mark", "escape", "enter")
        assert given == [], "what was typed before another screen came in front is gone"


async def test_tui_04_nothing_that_was_pasted_counts(tmp_path: Path, given: list[Answer]) -> None:
    """A marked paste is refused, and keys that come faster than a hand types are a paste that is not marked."""
    async with desk(tmp_path / "home", vault()) as here:
        await look(here)
        for text in ("471", "471\n", "\x1b[201~471\r", "dn"):
            here.app.post_message(events.Paste(text))
            await here.pilot.pause()
            assert here.shows("pasting is switched off")
            here.hand.wait()
            await here.press("enter")
        here.hand.pace = 0.001
        for keys in (["4", "7", "1", "enter"], ["d", "n"], ["d", "m"], ["d", "d"]):
            here.hand.wait()
            await here.press(*keys)
        here.hand.pace = 0.2
        await here.press("4", "7", "1")
        here.hand.pace = 0.001
        await here.press("enter")
        assert given == []


async def back_to_the_request(here: Desk) -> None:
    """Leave whatever a stray key opened, and look at the request again."""
    while not isinstance(here.app.screen, ApprovalScreen | InboxScreen):
        await here.press("escape")
    if isinstance(here.app.screen, InboxScreen):
        here.app.post_message(RequestOpened(here.app.inbox.pending[0]))
        await here.pilot.pause()
        here.hand.wait()


@pytest.mark.parametrize("num", ["entry:3", "none"])
async def test_num_05_random_keys_never_approve(tmp_path: Path, given: list[Answer], num: str) -> None:
    """Runs of random keys, with all the time in between that a hand needs: no approval leaves the screen."""
    chance = random.Random(f"{num} 45")
    async with desk(tmp_path / "home", vault(num=num)) as here:
        for _ in range(25):
            await back_to_the_request(here)
            await here.mash(*chance.choices(KEYS, k=20))
            if given:
                assert given.pop().verb == "deny"
                here.app.screen.post_message(AnswerFailed(entry(), UnreachableError("gone")))
        assert type(here.app.screen).__name__ in {
            "ApprovalScreen",
            "InboxScreen",
            "HelpScreen",
            "CommandPalette",
        }


def test_num_05_only_what_was_typed_in_one_go_counts() -> None:
    """Of 100,000 random keys, an approval is ready only right after three digits in a row, or the word yes."""
    for digits, good in ((3, re.compile(r"[0-9]{3}$")), (0, re.compile(r"yes$"))):
        chance, typed, keys, ready = random.Random(7), Typed(digits), "", 0
        for number in range(50_000):
            assert not typed.hasty(float(number))
            key = chance.choice("0123456789yesq")
            typed.key(key)
            keys = (keys + key)[-3:]
            ready += typed.complete
            assert good.search(keys) or not typed.complete, keys
        assert 0 < ready < 10_000


async def test_tui_03_every_detail_can_be_reached(tmp_path: Path) -> None:
    """Fields of full length on 40x12 and 200x50: scrolling shows every word, and the digest that is signed."""
    all_fields = tuple((f"Label{n:02}", " ".join(f"w{n:02}x{k:02}" for k in range(36))) for n in range(20))
    message = " ".join(f"m{k:02}" for k in range(60)) + "\nsecond line"
    context = Context("192.0.2.7", "Vienna, 8th district", "Firefox on a laptop")
    for size, fields in (((40, 12), all_fields[:6]), ((200, 50), all_fields)):
        wanted = {word for _, value in fields for word in value.split()} | {*message.split(), "8th", "laptop"}
        wanted |= {label for label, _ in fields}
        home = tmp_path / str(size[0])
        async with desk(home, vault(vis=fields, msg=message, ctx=context), size=size) as here:
            await look(here)
            await here.until(lambda: here.shows("▼"))
            seen, digest = "", entry(vis=fields, msg=message, ctx=context).digest
            for _ in range(200):
                seen += screen_text(here.app) + "\n"
                if "▼" not in screen_text(here.app):
                    break
                await here.mash("pagedown")
            else:
                pytest.fail("there is no end")
            assert wanted - set(re.findall(r"\S+", seen.replace("▌", " "))) == set()
            assert digest[:20] in seen
            await here.press("home")
            assert "▲" not in screen_text(here.app)
            await here.press("end", "pageup", "pagedown")
            assert "▼" not in screen_text(here.app)


@pytest.mark.parametrize(
    "size", [*SIZES, (60, 22), (120, 30), (80, 36)], ids=lambda size: f"{size[0]}x{size[1]}"
)
async def test_the_answer_stays_in_sight(tmp_path: Path, size: tuple[int, int]) -> None:
    """However long a request is, what is asked, the boxes, the hint and what is left to read are on the screen."""
    fields = tuple((f"Label {number}", "value " * 16) for number in range(20))
    async with desk(tmp_path / "home", vault(vis=fields), size=size) as here:
        await look(here)
        await here.until(lambda: here.shows("There is one try") and here.shows("more lines below"))
        assert here.shows("Type the 3 digits that Acme Pay shows you")
        await here.press("d")
        assert here.shows("n I did not start this; the application has to pause")


async def test_foreign_text_is_drawn_and_never_obeyed(tmp_path: Path, given: list[Answer]) -> None:
    """Markup in every place is shown letter by letter, malformed too, and clicking on it does nothing."""
    evil = "[@click=app.quit]ok[/] [b]x[/b] [/nope] [red"
    changes = {
        "msg": evil,
        "vis": ((evil, evil),),
        "rp": RelyingParty("a", evil),
        "ctx": Context(evil, evil, evil),
    }
    async with desk(tmp_path / "home", vault(**changes), size=(140, 45)) as here:
        assert screen_text(here.app).count(evil) == 2
        await look(here)
        assert screen_text(here.app).count(evil) == 8, (
            "who, message, value, claim, three of context, what is asked"
        )
        for line, text in enumerate(screen_text(here.app).split("\n")):
            if evil in text:
                await here.pilot.click(offset=(text.index(evil) + 2, line))
        assert isinstance(here.app.screen, ApprovalScreen)
        assert given == []


async def test_another_devices_answer_closes_the_request(tmp_path: Path) -> None:
    """Also when help is in front; who answered is said."""
    async with desk(tmp_path / "home", usual_vault()) as here:
        await look(here)
        await here.press("4", "7", "question_mark")
        await here.hear(Closed(parties.ORIGIN, parties.APPROVAL, "denied", "another device", "mistake"))
        assert here.toasts()[-1] == "Denied by another device as a mistake: Pay 100.00 € to Zoë?"
        await here.press("escape")
        assert isinstance(here.app.screen, InboxScreen)
        assert here.app.inbox.history[0].by == "another device"
        await look(here)
        await here.hear(Closed(parties.ORIGIN, "0190c1f1-ffff", "cancelled", "the application"))
        assert isinstance(here.app.screen, InboxScreen)
        assert here.toasts()[-1].startswith("Withdrawn by the application: Transfer")


async def test_a_request_that_expires_closes(tmp_path: Path) -> None:
    """An answer that would come too late cannot be begun."""
    async with desk(tmp_path / "home", vault()) as here:
        await look(here)
        assert here.shows("4:48 left")
        await here.pass_seconds(289)
        assert isinstance(here.app.screen, InboxScreen)


async def test_offline_says_that_an_answer_cannot_be_sent(tmp_path: Path, given: list[Answer]) -> None:
    """And one that was tried says what became of it, and can be given again."""
    async with desk(tmp_path / "home", vault()) as here:
        await here.hear(Lost(parties.ORIGIN, "no route"))
        await look(here)
        assert here.shows("an answer cannot be sent now")
        await here.press("4", "7", "1", "enter")
        error = UnreachableError("the server does not answer", "Try again")
        here.app.screen.post_message(AnswerFailed(entry(), error))
        await here.pilot.pause()
        assert here.shows("The server does not answer. Try again.")
        await here.hear(Connected(parties.ORIGIN, "socket", here.clock.now))
        await here.press("4", "7", "1", "enter")
        assert [each.number for each in given] == ["471", "471"]


async def test_leaving_without_an_answer_leaves_the_request(tmp_path: Path) -> None:
    """Escape is no answer."""
    async with desk(tmp_path / "home", vault()) as here:
        await look(here)
        await here.press("escape")
        assert len(here.app.inbox.pending) == 1
        assert here.app.device.vault.all(Past) == []
