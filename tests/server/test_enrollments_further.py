from __future__ import annotations

import asyncio
from pathlib import Path

from placet_protocol import jose
from placet_server.domain.refusals import RefusedError
from placet_server.ports import Sql
from support.answering import code_of, world
from support.enrolling import confirm, invite, joined, plain, redeem, status_of
from support.joining import Joiner, other


async def test_enr_05_a_second_device_waits_for_the_first_ones_yes(tmp_path: Path) -> None:
    """With a plain key the right digits are not enough: the active device is asked and told, and its yes allows."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        enrollment, joiner = await invite(w), Joiner("tablet")
        redeemed = await redeem(w, enrollment, joiner)
        check = joiner.check(enrollment, redeemed)
        for digits in (check, other(check), other(check), other(check)):
            assert await code_of(confirm(w, enrollment, digits)) == "device_pending"
        (notice,) = await w.domain.notices.pending(phone.device, w.now)
        assert (notice.kind, "tablet" in notice.text) == ("device.requested", True)
        ((_, request),) = await w.domain.approvals.pending_for(phone.device, w.now)
        assert jose.peek(request)[1]["vis"] == [["Device", "tablet"], ["Platform", "test"]]
        await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
        w.clock.advance(ms=1)
        assert (await confirm(w, enrollment, check)).status == "confirmed"
        assert await w.domain.devices.count_active(w.user.id) == 2
        kinds = [each.kind for each in await w.domain.notices.pending(phone.device, w.now)]
        assert kinds == ["device.requested", "device.added"]
        tablet = await w.domain.devices.get("default", redeemed.device.id)
        assert await w.domain.notices.pending(tablet, w.now) == []


async def test_enr_05_the_question_of_a_device_is_not_superseded(tmp_path: Path) -> None:
    """A face that makes room for new requests leaves the question about the further device where it is."""
    async with world(tmp_path) as w:
        await w.enrol()
        await redeem(w, await invite(w), Joiner("tablet"))
        asked = []
        for _ in range(3):
            w.clock.advance(ms=1)  # of one millisecond none is the oldest
            asked.append(await w.ask(supersede=True))
        (question,) = await w.store.rows(Sql("asked", "SELECT ask FROM enrollments WHERE ask IS NOT NULL"))
        question_state = await w.domain.approvals.state(w.caller.application.id, question[0], w.now)
        assert question_state.status == "pending"
        assert [await w.status(each) for each in asked] == ["superseded", "pending", "pending"]


async def test_enr_05_a_no_ends_the_enrolment(tmp_path: Path) -> None:
    """When the active device denies, or the question expires, enrolment and new device end."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        enrollment, joiner = await invite(w), Joiner()
        redeemed = await redeem(w, enrollment, joiner)
        ((_, request),) = await w.domain.approvals.pending_for(phone.device, w.now)
        await w.domain.decisions.decide(phone.answer(request, "deny"), w.now)
        assert await status_of(w, enrollment) == "void"
        check = joiner.check(enrollment, redeemed)
        assert await code_of(confirm(w, enrollment, check)) == "enrollment_ended"
        assert (await w.domain.devices.get("default", redeemed.device.id)).status == "revoked"


async def test_enr_05_the_question_can_be_asked_late(tmp_path: Path) -> None:
    """When the fatigue rules forbid the question at first, confirming asks it once they allow it."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        busy = [await w.ask() for _ in range(3)]
        enrollment, joiner = await invite(w), Joiner()
        redeemed = await redeem(w, enrollment, joiner)
        check = joiner.check(enrollment, redeemed)
        assert await code_of(confirm(w, enrollment, check)) == "device_pending"
        assert len(await w.domain.approvals.pending_for(phone.device, w.now)) == 3
        for created in busy:
            await w.domain.approvals.cancel(w.application.id, created.approval.id, w.now)
        assert await code_of(confirm(w, enrollment, check)) == "device_pending"
        ((_, request),) = await w.domain.approvals.pending_for(phone.device, w.now)
        await w.domain.decisions.decide(phone.answer(request, "approve"), w.now)
        assert (await confirm(w, enrollment, check)).status == "confirmed"


async def test_enr_05_an_administrator_needs_a_reason(tmp_path: Path) -> None:
    """With devices:admin a further device needs no yes but a reason, which the audit log keeps."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        opened = w.domain.enrollments.open(w.caller, w.user, None, None, w.now)
        assert await code_of(opened) == "reason_required"
        enrollment, joiner = await invite(w, reason="new phone, ticket 17"), Joiner("tablet")
        redeemed = await redeem(w, enrollment, joiner)
        assert await w.domain.approvals.pending_for(phone.device, w.now) == []
        w.clock.advance(ms=1)
        assert (await confirm(w, enrollment, joiner.check(enrollment, redeemed))).status == "confirmed"
        assert await w.count("audit", "kind = 'enrollment.opened' AND body LIKE '%ticket 17%'") == 1
        kinds = [each.kind for each in await w.domain.notices.pending(phone.device, w.now)]
        assert kinds == ["device.requested", "device.added"]


async def test_enr_05_a_reason_without_the_scope_allows_nothing(tmp_path: Path) -> None:
    """A plain key that gives a reason still waits for the active device."""
    async with world(tmp_path) as w:
        await w.enrol()
        enrollment = await w.domain.enrollments.open(plain(w), w.user, None, "because", w.now)
        joiner = Joiner()
        redeemed = await redeem(w, enrollment, joiner)
        check = joiner.check(enrollment, redeemed)
        assert await code_of(confirm(w, enrollment, check)) == "device_pending"


async def test_enr_05_two_first_devices_at_once_are_one(tmp_path: Path) -> None:
    """Two enrolments of a user without devices, confirmed at once: one gets through, the other has to ask it."""
    async with world(tmp_path) as w:
        pairs = []
        for _ in range(2):
            enrollment, joiner = await invite(w), Joiner()
            pairs.append((enrollment, joiner.check(enrollment, await redeem(w, enrollment, joiner))))
        answers = await asyncio.gather(*(confirm(w, *pair) for pair in pairs), return_exceptions=True)
        assert [each.code for each in answers if isinstance(each, RefusedError)] == ["device_pending"]
        assert await w.domain.devices.count_active(w.user.id) == 1


async def test_enr_05_who_may_revoke_may_not_put_a_device_in_its_place(tmp_path: Path) -> None:
    """When the person's device is revoked, a plain key invites no other one, and finishes none that it invited before."""
    async with world(tmp_path) as w:
        first, early, joiner = await joined(w, Joiner()), await invite(w), Joiner()
        await w.domain.devices.revoke("default", first.device.id, "application", w.now)
        assert await code_of(invite(w)) == "forbidden"
        redeemed = await redeem(w, early, joiner)
        assert await code_of(confirm(w, early, joiner.check(early, redeemed))) == "device_pending"
        assert await w.domain.devices.count_active(w.user.id) == 0
        opened = w.domain.enrollments.open(w.caller, w.user, None, None, w.now)
        assert await code_of(opened) == "reason_required"
        again, joiner = await invite(w, reason="phone lost, ticket 18"), Joiner()
        redeemed = await redeem(w, again, joiner)
        assert (await confirm(w, again, joiner.check(again, redeemed))).status == "confirmed"


async def test_enr_05_a_policy_without_digits_is_no_way_around_that(tmp_path: Path) -> None:
    """With enrollment.confirmation none, an invitation from before the revocation makes no device active by itself."""
    async with world(tmp_path, enrollment__confirmation="none") as w:
        joined = await redeem(w, await invite(w), Joiner())
        assert joined.device.status == "active"
        early = await invite(w)
        await w.domain.devices.revoke("default", joined.device.id, "application", w.now)
        late = await redeem(w, early, Joiner())
        assert late.device.status == "pending"
