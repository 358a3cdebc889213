"""A device whose clock is wrong says so where codes are made and where servers are asked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from placet_authenticator.inbox import CLOCK_OFF, Connected, Event, Inbox, Lost, reduce
from placet_authenticator.running import now
from placet_server.testing import live_server
from support import parties
from support.apps import token
from support.desks import BEGIN, desk, enrollment
from support.persons import PASSPHRASE, authenticator, enrolled
from support.programs import environment

OTHER = "https://second.example"


class Ahead:
    """A server's clock that is an hour and a half ahead of this machine's."""

    def now(self) -> int:
        """The time in ms UTC."""
        return now() + 5_430_000


def listed(home: Path) -> subprocess.CompletedProcess[str]:
    """What ``placet list`` says."""
    return subprocess.run(
        [Path(sys.executable).parent / "placet", "list", "--passphrase-stdin"],
        input=PASSPHRASE,
        capture_output=True,
        text=True,
        env=environment(PLACET_HOME=str(home)),
        check=False,
    )


def after(*events: Event) -> Inbox:
    """The state after these, all at once."""
    state = Inbox()
    for event in events:
        state = reduce(state, event, BEGIN)
    return state


@pytest.mark.parametrize(("off", "said"), [(0, False), (CLOCK_OFF, False), (CLOCK_OFF + 1, True)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_clock_is_wrong_beyond_fifteen_seconds(off: int, sign: int, *, said: bool) -> None:
    """In both directions; nearer than that a code is good."""
    state = after(Connected(parties.ORIGIN, "socket", BEGIN + sign * off))
    assert (state.wrong_clock([parties.ORIGIN]) is not None) == said


def test_only_servers_of_this_person_that_answer_count() -> None:
    """The farthest of them; what a lost or left server once said may be long mended."""
    state = after(
        Connected(parties.ORIGIN, "poll", BEGIN + 20_000), Connected(OTHER, "socket", BEGIN - 90_000)
    )
    wrong = state.wrong_clock([parties.ORIGIN, OTHER, "https://never.example"])
    assert wrong is not None
    assert wrong.origin == OTHER
    assert state.wrong_clock([]) is None
    gone = reduce(state, Lost(OTHER, "no route"), BEGIN).wrong_clock([parties.ORIGIN, OTHER])
    assert gone is not None
    assert gone.origin == parties.ORIGIN


@pytest.mark.parametrize("size", [(60, 16), (80, 24)], ids=str)
async def test_codes_and_servers_say_that_the_clock_is_wrong(tmp_path: Path, size: tuple[int, int]) -> None:
    """How far, compared with whom, and what to do; the words go once the clocks agree."""
    words = "! Your clock is 42 s behind Acme's: codes may fail. Set it, then press r."
    async with desk(tmp_path / "home", [enrollment(), token("GitHub", "ada")], size=size) as here:
        for place in ("2", "3"):
            await here.press(place)
            assert not here.shows("Your clock")
        await here.hear(Connected(parties.ORIGIN, "socket", BEGIN + 42_000))
        for place in ("2", "3"):
            await here.press(place)
            assert here.shows(words)
        await here.hear(Connected(parties.ORIGIN, "socket", BEGIN - 3_600_000))
        assert here.shows("Your clock is 1 h ahead of Acme's")
        await here.press("2", "r")
        assert here.toasts()[-1] == ": Connecting …"
        await here.hear(Connected(parties.ORIGIN, "socket", BEGIN))
        for place in ("2", "3"):
            await here.press(place)
            assert not here.shows("Your clock")


async def test_the_command_that_asks_servers_says_so_too(tmp_path: Path) -> None:
    """On stderr, beside the answer."""
    async with live_server(tmp_path / "server", clock=Ahead()) as server:
        key, user = await server.api_key(), await server.user()
        async with authenticator(tmp_path / "home") as device:
            await enrolled(server, device, user.tfa_id, key)
        asked = await asyncio.to_thread(listed, tmp_path / "home")
        assert (asked.returncode, asked.stdout) == (0, "Nothing waits for you.\n")
        assert f"your clock is 1 h 30 min behind that of {server.url}" in asked.stderr
