"""Enrolments whose answer was lost on the way, and redemptions that the server died in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from placet_protocol import jose
from placet_server.ports import Sql, plan
from placet_server.ports import step as step_of
from support.answering import code_of, world
from support.enrolling import confirm, invite, redeem, status_of
from support.joining import Joiner


@pytest.mark.parametrize("confirmation", ["required", "none"])
async def test_enr_02_a_device_whose_answer_was_lost_asks_again(tmp_path: Path, confirmation: str) -> None:
    """The same keys get the same certificate, digits and soft token until the time is over, and nothing is made anew."""
    async with world(tmp_path, enrollment__confirmation=confirmation) as w:
        enrollment, joiner = await invite(w), Joiner()
        together = await asyncio.gather(*(redeem(w, enrollment, joiner) for _ in range(10)))
        w.clock.advance(seconds=599)
        answers = [*together, await redeem(w, enrollment, joiner)]
        assert len({each.certificate for each in answers}) == 1
        assert len({joiner.token_uri(each) for each in answers}) == 1
        assert answers[-1].device.status == ("active" if confirmation == "none" else "pending")
        assert (await w.count("devices"), await w.count("soft_tokens")) == (1, 1)
        assert await w.count("audit", "kind = 'enrollment.redeemed'") == 1
        for changes in (
            {"tkn": jose.b64u(bytes(32))},
            {"push": joiner.members(enrollment)["push"] | {"auth": jose.b64u(bytes(16))}},
            {"push": Joiner().members(enrollment)["push"]},
            {"aud": "https://other.example"},
        ):
            wish = joiner.wish(enrollment, **changes)
            assert (
                await code_of(w.domain.enrollments.redeem(enrollment.id, wish, w.now)) == "enrollment_ended"
            )
        if confirmation == "required":
            await confirm(w, enrollment, joiner.check(enrollment, answers[-1]))
        w.clock.advance(seconds=1)
        assert await code_of(redeem(w, enrollment, joiner)) == "enrollment_ended"


async def test_enr_02_a_redemption_is_finished_by_the_next_try(tmp_path: Path) -> None:
    """Where the server died between keeping a device and letting it in, the device's next try lets it in."""
    async with world(tmp_path, enrollment__confirmation="none") as w:
        enrollment, joiner = await invite(w), Joiner()
        await redeem(w, enrollment, joiner)
        undo = Sql("undo", "UPDATE enrollments SET status = 'redeemed'")
        undone = Sql("undone", "UPDATE devices SET status = 'pending'")
        await w.store.write(plan(step_of(undo), step_of(undone)))
        assert (await redeem(w, enrollment, joiner)).device.status == "active"
        assert await status_of(w, enrollment) == "confirmed"


async def test_enr_02_a_revoked_device_is_told_nothing_again(tmp_path: Path) -> None:
    """Once its device was revoked an invitation is over for its keys, too."""
    async with world(tmp_path) as w:
        enrollment, joiner = await invite(w), Joiner()
        redeemed = await redeem(w, enrollment, joiner)
        await w.domain.devices.revoke("default", redeemed.device.id, "lost", w.now)
        assert await code_of(redeem(w, enrollment, joiner)) == "enrollment_ended"
