from __future__ import annotations

from pathlib import Path

import pytest

from placet_server.domain.destinations import email
from placet_server.domain.verifications import Started
from placet_server.ports import PhoneInfo
from placet_server.testing import FixedBook
from support.answering import World, code_of, world
from support.coding import ANA, BEN, due_of, issue


async def _start(w: World, **more: object) -> Started:
    return await w.domain.phone_verifications.start(w.caller, ANA, w.now, **more)  # type: ignore[arg-type]  # as typed there


async def _status(w: World) -> tuple[str, int]:
    found = await w.domain.phone_verifications.status(w.caller, w.now, destination=ANA)
    return found.status, found.seconds_left


async def test_a_repeat_sends_the_same_code(tmp_path: Path) -> None:
    """Inside its life the same code goes out again, by another channel if asked; nothing prolongs it."""
    async with world(tmp_path) as w:
        first = await _start(w, language="es-ES")
        assert (first.seconds_left, first.repeated) == (600, False)
        w.clock.advance(seconds=60)
        second = await _start(w, channel="voice")
        assert (second.id, second.code, second.seconds_left, second.repeated) == (
            first.id,
            first.code,
            540,
            True,
        )
        (due,) = await w.domain.deliveries.due(w.now)
        assert (due.channels, due.code, due.code_id) == (("voice",), first.code, first.id)
        assert "Su clave" in due.texts["voice"].text
        w.clock.advance(seconds=540)
        assert await _status(w) == ("expired", 0)
        third = await _start(w)
        assert (third.id != first.id, third.code != first.code, third.repeated) == (True, True, False)


async def test_the_right_code_verifies_once(tmp_path: Path) -> None:
    """Pending, then verified; the code is consumed, and the next start begins a new verification."""
    async with world(tmp_path) as w:
        started = await _start(w)
        verifications = w.domain.phone_verifications
        assert await _status(w) == ("pending", 600)
        assert (await verifications.check(w.caller, BEN, started.code, w.now)).outcome == "unknown"
        assert (await verifications.check(w.caller, ANA, "x", w.now)).outcome == "mismatch"
        assert (await verifications.check(w.caller, ANA, started.code, w.now)).outcome == "matched"
        assert await _status(w) == ("verified", 0)
        assert (await verifications.check(w.caller, ANA, started.code, w.now)).outcome == "used"
        by_id = await verifications.status(w.caller, w.now, id=started.id)
        assert (by_id.status, by_id.destination) == ("verified", "+34*******01")
        assert not (await _start(w)).repeated


async def test_an_exhausted_code_is_not_sent_again(tmp_path: Path) -> None:
    """After five wrong tries the next start makes another code."""
    async with world(tmp_path) as w:
        started = await _start(w)
        for _ in range(5):
            await w.domain.phone_verifications.check(w.caller, ANA, "x", w.now)
        again = await _start(w)
        assert (again.id != started.id, again.repeated) == (True, False)


async def test_a_code_of_the_callers_own_takes_its_place(tmp_path: Path) -> None:
    """A given code replaces the one that is out."""
    async with world(tmp_path) as w:
        first = await _start(w)
        second = await _start(w, value="4711")
        assert (second.code, second.repeated) == ("4711", False)
        assert (await w.domain.codes.get(w.caller, first.id, w.now)).status == "replaced"
        assert (await _start(w)).code == "4711"


async def test_repeats_are_within_the_budget_too(tmp_path: Path) -> None:
    """The sixth message to a number in ten minutes is refused, repeated or not."""
    async with world(tmp_path) as w:
        for _ in range(5):
            started = await _start(w)
        assert await code_of(_start(w)) == "too_many_codes"
        assert (
            await w.domain.phone_verifications.check(w.caller, ANA, started.code, w.now)
        ).outcome == "matched"


async def test_verifications_and_codes_do_not_meet(tmp_path: Path) -> None:
    """A code to the same number is no verification, nor the other way round, and none is found for a stranger."""
    async with world(tmp_path) as w:
        code = await issue(w)
        status = w.domain.phone_verifications.status
        assert await code_of(status(w.caller, w.now, id=code.id)) == "not_found"
        for nowhere in (None, email("ana@example.org")):
            named = await issue(w, nowhere, channels=(), purpose="phone verification")
            assert await code_of(status(w.caller, w.now, id=named.id)) == "not_found"
        assert await code_of(status(w.caller, w.now, destination=ANA)) == "not_found"
        started = await _start(w)
        assert started.id != code.id
        assert (await w.domain.codes.newest(w.caller, w.now, destination=ANA)) is not None
        said = await w.domain.codes.check(w.caller, started.code, w.now, code_id=started.id)
        assert said.outcome == "mismatch"
        other = w.caller_of(await w.new_application("Other"))
        assert await code_of(status(other, w.now, id=started.id)) == "not_found"


async def test_a_number_tells_type_and_carrier(tmp_path: Path) -> None:
    """The answer carries what the number's range says; only telephone numbers are taken."""
    async with world(tmp_path) as w:
        info = PhoneInfo("mobile", "Vodafone", "ES", "+34 600 00 00 01")
        w.domain.phone_verifications._book = FixedBook(n34600000001=info)
        assert (await _start(w)).info == info
        mail = w.domain.phone_verifications.start(w.caller, email("a@example.org"), w.now)
        assert await code_of(mail) == "invalid_destination"


@pytest.mark.parametrize("code", ["٤٧١١", "47 11", "471"])
async def test_odd_codes_of_the_callers_own_are_refused(tmp_path: Path, code: str) -> None:
    """Four to 32 visible ASCII characters, nothing else."""
    async with world(tmp_path) as w:
        assert await code_of(_start(w, value=code)) == "invalid_request"


async def test_a_verification_is_seen_by_its_deliverer(tmp_path: Path) -> None:
    """The message of a verification is one like that of any code."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        started = await _start(w)
        assert started.message_id in {due.id for due in await w.domain.deliveries.due(w.now)}
        assert (await due_of(w, issued)).code == issued.value


async def test_after_a_resend_the_code_that_counts_goes_again(tmp_path: Path) -> None:
    """A verification's code may be resent like any other; who asks again gets the new one."""
    async with world(tmp_path) as w:
        first = await _start(w)
        w.clock.advance(seconds=31)
        second = await w.domain.codes.resend(w.caller, first.id, w.now)
        third = await _start(w)
        assert (third.repeated, third.id, third.code) == (True, second.id, second.value)
        assert (
            await w.domain.phone_verifications.check(w.caller, ANA, third.code, w.now)
        ).outcome == "matched"
