"""Answers that the server took and the device never heard of: what the history says once the time is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from placet_authenticator.authenticator import Authenticator
from placet_authenticator.calls import open_session
from placet_authenticator.deciding import Answer, approve, deny
from placet_authenticator.errors import UnreachableError
from placet_authenticator.inbox import Passed
from placet_authenticator.records import Past
from placet_authenticator.vault import QUICK, Vault
from placet_server.testing import LiveServer, ManualClock, live_server
from support.apps import running, until
from support.lines import Line, line
from support.persons import PASSPHRASE, ask, enrolled, ok, state_of


class Scene(NamedTuple):
    """A server whose clock is set by hand, a line to it, an enrolled device with the same clock, and a user's key."""

    server: LiveServer
    wire: Line
    clock: ManualClock
    device: Authenticator
    tfa_id: int
    key: str

    async def unheard(self, answer: Answer, asked: Any) -> None:
        """Give an answer that the server takes, over a line that breaks before it says so."""
        self.wire.loses = b"/device/v1/decisions"
        with pytest.raises(UnreachableError):
            await self.device.decide(self.device.find(asked["id"]), answer)
        self.wire.loses = None

    async def history(self) -> list[tuple[str, str]]:
        """How things ended and by whom, newest first, after a look at the server."""
        await self.device.fetch()
        return [(each.outcome, each.by) for each in self.device.state.history]


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """An enrolled device that nothing was asked of."""
    clock = ManualClock()
    async with (
        line() as wire,
        live_server(folder / "s", public_url=wire.url, clock=clock) as server,
        open_session() as session,
    ):
        wire.aim(server.app.listening)
        key, user = await server.api_key(), await server.user()
        with Vault.create(folder / "a" / "vault.db", PASSPHRASE, profile=QUICK) as vault:
            device = Authenticator(vault, session, clock=clock.now)
            await enrolled(server, device, user.tfa_id, key)
            yield Scene(server, wire, clock, device, user.tfa_id, key)


@pytest.mark.parametrize("verb", ["approve", "deny"])
async def test_an_answer_that_nobody_heard_of_is_in_the_history_as_it_was_taken(
    tmp_path: Path, verb: str
) -> None:
    """Not given again, it is learnt when the time is over, with the proof; what the application sees is the same."""
    async with scene(tmp_path) as here:
        asked = await ask(here.server, here.tfa_id, here.key)
        await here.device.fetch()
        await here.unheard(approve(asked["number"]) if verb == "approve" else deny(), asked)
        outcome = (await state_of(here.server, asked, here.key))["status"]
        assert outcome == {"approve": "approved", "deny": "denied"}[verb]
        here.clock.advance(seconds=299)
        assert await here.history() == []
        here.clock.advance(seconds=1)
        assert await here.history() == [(outcome, "this device")]
        (past,) = here.device.vault.all(Past)
        assert past.decision is not None
        assert (past.outcome, past.sent) == (outcome, ())


async def test_an_answer_that_never_arrived_decides_nothing_later(tmp_path: Path) -> None:
    """Sent again after the time it comes too late: the request has expired, for the device and the application."""
    async with scene(tmp_path) as here:
        asked = await ask(here.server, here.tfa_id, here.key)
        await here.device.fetch()
        here.wire.cut()
        with pytest.raises(UnreachableError):
            await here.device.decide(here.device.find(asked["id"]), approve(asked["number"]))
        here.wire.mend()
        here.clock.advance(seconds=300)
        assert await here.history() == [("expired", "time")]
        assert (await state_of(here.server, asked, here.key))["status"] == "expired"
        (past,) = here.device.vault.all(Past)
        assert (past.sent, past.decision) == ((), None)


async def test_a_server_that_is_away_is_asked_the_next_time(tmp_path: Path) -> None:
    """Until then the history says what is known; another process with the same vault goes on asking."""
    async with scene(tmp_path) as here:
        asked = await ask(here.server, here.tfa_id, here.key)
        await here.device.fetch()
        await here.unheard(approve(asked["number"]), asked)
        here.wire.cut()
        here.clock.advance(seconds=300)
        here.device.absorb(Passed())
        assert await here.history() == [("expired", "time")]
        here.wire.mend()
        async with open_session() as session:
            other = Authenticator(here.device.vault, session, clock=here.clock.now)
            await other.settle()
            assert [(each.outcome, each.by) for each in other.state.history] == [("approved", "this device")]


async def test_what_the_application_took_back_stays_that(tmp_path: Path) -> None:
    """An answer that never arrived before the application withdrew: the device learns the end that there was."""
    async with scene(tmp_path) as here:
        asked = await ask(here.server, here.tfa_id, here.key)
        await here.device.fetch()
        here.wire.cut()
        with pytest.raises(UnreachableError):
            await here.device.decide(here.device.find(asked["id"]), deny())
        here.wire.mend()
        await ok(here.server, "POST", f"/v1/approval_requests/{asked['id']}/cancel", key=here.key)
        here.wire.cut()
        here.clock.advance(seconds=300)
        assert await here.history() == [("expired", "time")]
        here.wire.mend()
        assert await here.history() == [("cancelled", "the application")]


async def test_the_app_learns_it_by_itself(tmp_path: Path) -> None:
    """The history on the screen first says what is known, then what was true, without a key being pressed."""
    async with scene(tmp_path) as here:
        asked = await ask(here.server, here.tfa_id, here.key)
        await here.device.fetch()
        await here.unheard(approve(asked["number"]), asked)
        here.clock.advance(seconds=300)
        here.device.absorb(Passed())
        assert [each.outcome for each in here.device.state.history] == ["expired"]
        async with running(tmp_path / "a", clock=here.clock.now) as (app, pilot):
            await until(pilot, lambda: [each.outcome for each in app.inbox.history] == ["approved"])
            await app.lock()
