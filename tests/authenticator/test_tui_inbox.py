"""The inbox as a person sees and uses it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import tzset

import pytest
from textual.widgets import OptionList

from placet_authenticator.authenticator import Authenticator
from placet_authenticator.inbox import Arrived, Closed, Connected, Lost, Notice, Noticed
from placet_authenticator.link import Link
from placet_authenticator.records import Enrollment, Held
from placet_authenticator.tui.messages import Heard
from placet_authenticator.tui.texts import ago, clock_time
from placet_authenticator.vault import Vault
from support import parties
from support.desks import BEGIN, Desk, desk, enrollment, entry, held, usual_vault
from support.persons import PASSPHRASE
from support.snapshots import assert_looks_as

SIZES = [(60, 16), (80, 24), (140, 45)]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same clock on every machine."""
    monkeypatch.setenv("TZ", "UTC")
    tzset()
    yield
    monkeypatch.undo()
    tzset()


def highlighted(here: Desk) -> str:
    option = here.app.screen.query_one(OptionList).highlighted_option
    assert option is not None
    return str(option.id)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_inbox_at_three_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    """What waits is above what is over; each line fits, and what was cut ends with an ellipsis."""
    async with desk(tmp_path / "home", usual_vault(), size=size) as here:
        assert_looks_as(here.app, f"inbox-{size[0]}x{size[1]}")


async def test_an_empty_inbox_says_what_to_do(tmp_path: Path) -> None:
    """Without a server it names the key that enrols; with one it says that nothing waits."""
    async with desk(tmp_path / "new", connected=False) as here:
        assert here.shows("Press e to enrol")
        await here.press("e")
        assert type(here.app.screen).__name__ == "EnrollScreen"
    async with desk(tmp_path / "old", [enrollment()]) as here:
        assert here.shows("Nothing waits for you.")


async def test_a_request_that_arrives_rings_and_is_on_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bell, a toast with who and what, the count beside the tab; the cursor stays on the line that it was on."""
    async with desk(tmp_path / "home", usual_vault()) as here:
        rings: list[int] = []
        monkeypatch.setattr(here.app, "bell", lambda: rings.append(1))
        before = highlighted(here)
        new = entry(rid="newest", iat=parties.BEGUN + 111, msg="[b]Log in[/b] now?")
        await here.hear(Arrived(new))
        assert rings == [1]
        assert here.toasts() == ["Acme Pay asks: [b]Log in[/b] now?"]
        assert here.shows("1 Inbox  3")
        assert here.app.inbox.pending[0].rid == "newest"
        assert highlighted(here) == before
        await here.hear(Arrived(new))
        assert rings == [1]


async def test_the_countdown_runs_and_what_is_over_moves_down(tmp_path: Path) -> None:
    """Each second counts; a request whose time is over is in the history as expired."""
    async with desk(tmp_path / "home", usual_vault()) as here:
        assert here.shows("0:58")
        await here.pass_seconds(3)
        assert here.shows("0:55")
        await here.pass_seconds(60)
        assert here.toasts()[-1].startswith("Expired nobody answered in time: Transfer")
        assert [each.rid for each in here.app.inbox.pending] == [parties.APPROVAL]
        assert here.app.inbox.history[0].outcome == "expired"


async def test_the_servers_clock_counts_not_ours(tmp_path: Path) -> None:
    """A server whose clock is 30 s ahead ends its requests 30 s earlier here."""
    async with desk(tmp_path / "home", usual_vault()) as here:
        await here.hear(Connected(parties.ORIGIN, "socket", BEGIN + 30_000))
        assert here.shows("0:28")


async def test_offline_it_says_what_it_cannot_do(tmp_path: Path) -> None:
    """For how long, what does not work meanwhile, what does, and which key tries at once."""
    async with desk(tmp_path / "home", usual_vault()) as here:
        await here.hear(Lost(parties.ORIGIN, "no route"))
        await here.pass_seconds(20)
        for words in (
            "Acme cannot be reached for 20 s",
            "answers cannot be sent",
            "r tries now",
            "Codes work",
        ):
            assert here.shows(words), words
        assert here.shows("○ Acme offline for 20 s")
        await here.hear(Connected(parties.ORIGIN, "poll", here.clock.now))
        assert not here.shows("cannot be reached")
        assert here.shows("● Acme connected by polling")


async def test_history_and_notices_open_whole(tmp_path: Path) -> None:
    """An answer given here names what was signed; one given elsewhere says so; a notice is shown in full."""
    async with desk(tmp_path / "home", usual_vault()) as here:
        await here.press("down", "down", "enter")
        assert here.shows("Approved by this device")
        assert here.shows("You signed")
        await here.press("escape", "down", "enter")
        assert here.shows("Acme says")
        assert here.shows('The device "phone" was added for you.')
        await here.press("escape", "down", "enter")
        assert here.shows("Denied by another device as not started by you")
        assert here.shows("No answer was signed on this device.")


async def test_a_notice_rings_once(tmp_path: Path) -> None:
    """What a server tells is shown at once and kept in the list."""
    async with desk(tmp_path / "home", [enrollment()]) as here:
        told = Noticed(Notice(parties.ORIGIN, "n9", "device_added", "A device was added.", BEGIN))
        await here.hear(told, told)
        assert here.toasts() == ["Acme says: A device was added."]
        assert here.shows("Acme says: A device was added.")


async def test_the_places_are_reached_by_number_and_by_mouse(tmp_path: Path) -> None:
    """1, 2 and 3, or a click on the bar."""
    async with desk(tmp_path / "home", usual_vault()) as here:
        for key, mode in (("2", "codes"), ("3", "servers"), ("1", "inbox")):
            await here.press(key)
            assert here.app.current_mode == mode
        await here.pilot.click("#tab-codes")
        assert here.app.current_mode == "codes"
        await here.press("1")
        await here.pilot.click("#requests", offset=(10, 2))
        assert type(here.app.screen).__name__ == "ApprovalScreen"


async def test_what_another_process_does_is_seen(tmp_path: Path) -> None:
    """A request that a command stored and an enrolment that a command made are here within a second."""
    followed: list[list[str]] = []

    def note(device: Authenticator) -> Sequence[Link]:
        followed.append([each.id for each in device.enrollments])
        return ()

    async with desk(tmp_path / "home", [enrollment()], links=note) as here:
        with Vault.open(here.app.settings.vault, PASSPHRASE) as other:
            other.put(held(), enrollment(id="device-2", origin="https://second.example", name="Second"))
        await here.pass_seconds(1)
        assert here.shows("Pay 100.00 € to Zoë?")
        assert followed == [[parties.DEVICE], [parties.DEVICE, "device-2"]]
        with Vault.open(here.app.settings.vault, PASSPHRASE) as other:
            other.remove(*other.all(Held))
            assert len(other.all(Enrollment)) == 2


async def test_locking_takes_everything_off_the_screen(tmp_path: Path) -> None:
    """After the lock there is neither text nor device; requests are there again after unlocking."""
    async with desk(tmp_path / "home", usual_vault()) as here:
        await here.press("enter")
        await here.press("ctrl+l")
        assert here.app.locked
        assert not here.shows("Acme")
        assert here.app.inbox.pending == ()
        assert [type(each).__name__ for each in here.app.screen_stack] == ["UnlockScreen"]
        await here.press("2", "ctrl+l")
        assert here.app.current_mode == "entrance"
        await here.app.unlock(PASSPHRASE)
        await here.pilot.pause()
        assert here.shows("Pay 100.00 € to Zoë?")


async def test_a_vault_that_cannot_be_written_loses_no_request(tmp_path: Path) -> None:
    """What could not be kept is not acknowledged, and the person is told."""
    async with desk(tmp_path / "home", [enrollment()]) as here:
        assert not here.app.locked
        here.app.device.vault._db.conn.execute("PRAGMA query_only = ON")
        heard = Heard(Arrived(entry()))
        here.app.post_message(heard)
        assert not await heard.absorbed
        assert here.toasts()[0].startswith("What came was not kept: The vault cannot be written")
        here.app.device.vault._db.conn.execute("PRAGMA query_only = OFF")
        await here.hear(
            Arrived(entry()), Closed(parties.ORIGIN, parties.APPROVAL, "denied", "another device")
        )
        assert here.toasts()[-1] == "Denied by another device: Pay 100.00 € to Zoë?"


def test_lengths_of_time_are_short() -> None:
    """One unit for an age, a clock for what is left; never a negative one."""
    ages = [ago(ms) for ms in (-5, 59_999, 60_000, 3_599_999, 3_600_000, 90_000_000)]
    assert ages == ["0 s", "59 s", "1 min", "59 min", "1 h", "1 d"]
    assert [clock_time(ms) for ms in (-1, 61_000, 3_661_000)] == ["0:00", "1:01", "1:01:01"]
