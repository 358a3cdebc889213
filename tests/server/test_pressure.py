from __future__ import annotations

import asyncio
import resource
from collections import Counter
from pathlib import Path

import pytest

from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Created
from placet_server.ports import Sql
from support.answering import Answerer, World, code_of, draft, world
from support.scale import scaled


def _resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def _answered(w: World, phone: Answerer, dec: str, **changes: object) -> None:
    _, request = await w.asked()
    await w.domain.decisions.decide(phone.answer(request, dec, **changes), w.now)


async def _held_for(w: World) -> int:
    """Seconds after which a further question may be asked."""
    with pytest.raises(RefusedError) as refused:
        await w.ask()
    assert refused.value.code == "on_hold"
    assert refused.value.retry_after is not None
    return refused.value.retry_after


async def test_num_04_three_questions_wait_at_a_time(tmp_path: Path) -> None:
    """Of 50 simultaneous creates three are accepted; each ending makes room for one."""
    async with world(tmp_path) as w:
        tries = await asyncio.gather(*(w.ask() for _ in range(50)), return_exceptions=True)
        codes = [each.code for each in tries if isinstance(each, RefusedError)]
        assert codes == ["too_many_pending"] * 47
        one = next(each for each in tries if not isinstance(each, BaseException))
        await w.domain.approvals.cancel(w.application.id, one.approval.id, w.now)
        await w.ask()
        assert await code_of(w.ask()) == "too_many_pending"


async def test_a_full_house_says_when_the_first_question_ends(tmp_path: Path) -> None:
    """``Retry-After`` is what is left of the question that ends first, however young it is; then there is room."""
    async with world(tmp_path) as w:
        for ttl in (300, 40, 90):
            await w.ask(ttl=ttl)
        await w.ask(await w.new_user("5550101"), ttl=5)
        for passed, left in ((0, 40), (20_500, 20), (19_000, 1)):
            w.clock.advance(ms=passed)
            with pytest.raises(RefusedError, match="too_many_pending") as refused:
                await w.ask()
            assert refused.value.retry_after == left
        w.clock.advance(ms=500)
        await w.ask(ttl=20)


async def test_psh_10_the_queue_of_a_device_is_bounded(tmp_path: Path) -> None:
    """However many applications ask how often, a hundred questions wait for a device that is away; memory stays flat."""
    generous = {"approval__max_pending": "100", "approval__max_unapproved": "100", "approval__number": "none"}
    async with world(tmp_path, **generous) as w:
        phone = await w.enrol()
        callers = [w.caller] + [w.caller_of(await w.new_application(name, **generous)) for name in "BC"]
        before = _resident()
        outcomes: Counter[str] = Counter()
        for _ in range(scaled(10_000) // 20):
            asked = (
                w.domain.approvals.create(caller, w.user, draft(ttl=300 if caller is w.caller else 60), w.now)
                for caller in callers * 7
            )
            for each in await asyncio.gather(*asked, return_exceptions=True):
                assert isinstance(each, Created | RefusedError)
                outcomes[each.code if isinstance(each, RefusedError) else "asked"] += 1
        assert (outcomes["asked"], set(outcomes)) == (100, {"asked", "too_many_pending"})
        assert _resident() - before < 20_000_000
        assert len(await w.domain.items.waiting(phone.device, w.now)) == 100
        stranger = w.caller_of(await w.new_application("D", **generous))
        with pytest.raises(RefusedError, match="too_many_pending") as refused:
            await w.domain.approvals.create(stranger, w.user, draft(), w.now)
        assert refused.value.retry_after == 60
        await w.ask(await w.new_user("5550101"))
        w.clock.advance(seconds=60)
        await w.domain.approvals.create(stranger, w.user, draft(), w.now)
        waiting = await w.domain.items.waiting(phone.device, w.now)
        assert (
            0
            < len(waiting)
            == await w.count("approvals", "status = 'pending' AND user_id = ?", w.user.id)
            < 100
        )


async def test_num_04_five_unapproved_questions_hold(tmp_path: Path) -> None:
    """After five denials a sixth question is refused with the time to wait, and accepted after that time."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        for _ in range(5):
            await _answered(w, phone, "deny")
        assert await _held_for(w) == 600
        w.clock.advance(ms=599_001)
        assert await _held_for(w) == 1
        w.clock.advance(ms=999)
        await w.ask()


async def test_num_04_bombing_reaches_the_device_five_times(tmp_path: Path) -> None:
    """200 creates within ten minutes, answered by nobody, put five questions on the device."""
    async with world(tmp_path) as w:
        phone, codes, seen = await w.enrol(), set(), set()
        for _ in range(200):
            try:
                await w.ask(ttl=5)
            except RefusedError as error:
                codes.add((error.code, bool(error.retry_after)))
            seen |= {each for each, _ in await w.domain.approvals.pending_for(phone.device, w.now)}
            w.clock.advance(ms=2_900)
            await w.domain.approvals.sweep(w.now)
        assert len(seen) == 5
        assert codes == {("on_hold", True)}


async def test_num_04_no_ten_minutes_hold_more_than_five(tmp_path: Path) -> None:
    """However creates are spread, any ten minutes see at most five unapproved questions."""
    async with world(tmp_path) as w:
        accepted: list[int] = []
        for pause in (1, 590, 5, 5, 5, 5, 300, 300, 299, 2, 2, 2, 700, 1, 1, 1, 1, 599, 1, 1, 1, 1) * 3:
            try:
                await w.ask(ttl=1)
            except RefusedError:
                pass
            else:
                accepted.append(w.now)
            w.clock.advance(seconds=pause)
            await w.domain.approvals.sweep(w.now)
        assert len(accepted) > 15
        assert max(sum(start <= at < start + 600_000 for at in accepted) for start in accepted) <= 5


async def test_num_04_holds_double_up_to_two_hours(tmp_path: Path) -> None:
    """Each further series of five holds twice as long, at most two hours; one approval makes it ten minutes again."""
    async with world(tmp_path) as w:
        phone, holds = await w.enrol(), []
        for _ in range(6):
            for _ in range(5):
                await _answered(w, phone, "deny")
            holds.append(await _held_for(w))
            w.clock.advance(seconds=holds[-1])
        assert holds == [600, 1200, 2400, 4800, 7200, 7200]
        await _answered(w, phone, "approve")
        for _ in range(5):
            await _answered(w, phone, "deny")
        assert await _held_for(w) == 600


async def test_num_04_an_approval_ends_the_series(tmp_path: Path) -> None:
    """Four denials and an approval leave room for five more."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        for dec in ["deny"] * 4 + ["approve"] + ["deny"] * 5:
            await _answered(w, phone, dec)
        assert await _held_for(w) == 600


async def test_num_04_not_me_holds_at_once(tmp_path: Path) -> None:
    """``not_me`` holds for 30 minutes, tells the application, and no approval of another request lifts it."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://acme.example/hook", w.now)
        phone = await w.enrol()
        _, own = await w.asked()
        await _answered(w, phone, "deny", rsn="not_me")
        await w.domain.decisions.decide(phone.answer(own, "approve"), w.now)
        assert await _held_for(w) == 1800
        items = await w.domain.outbox.due(w.now)
        kinds = [item.body.payload for item in items if item.body and b'"user.held"' in item.body.payload]
        assert len(kinds) == 1
        w.clock.advance(seconds=1800)
        await w.ask()


async def test_num_04_cancelled_questions_do_not_count(tmp_path: Path) -> None:
    """Questions that were taken back neither fill a series nor keep one full."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        for _ in range(8):
            created = await w.ask()
            await w.domain.approvals.cancel(w.application.id, created.approval.id, w.now)
        for _ in range(4):
            await _answered(w, phone, "deny")
        fifth = await w.ask()
        assert await _held_for(w) == 600
        await w.domain.approvals.cancel(w.application.id, fifth.approval.id, w.now)
        await w.ask()


async def test_num_04_applications_do_not_hold_each_other(tmp_path: Path) -> None:
    """The rules are for each pair of person and application."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        await _answered(w, phone, "deny", rsn="not_me")
        assert await code_of(w.ask()) == "on_hold"
        other = w.caller_of(await w.new_application("Other", approval__number="none"))
        await w.domain.approvals.create(other, w.user, draft(), w.now)
        await w.ask(await w.new_user("5550101"))


async def test_num_04_superseding_is_no_way_around_the_limit(tmp_path: Path) -> None:
    """Of 30 questions that each would supersede the oldest, the person's devices get five, then there is a hold."""
    async with world(tmp_path) as w:
        await w.enrol()
        codes = []
        for _ in range(30):
            w.clock.advance(ms=1)
            try:
                await w.ask(supersede=True)
            except RefusedError as error:
                codes.append(error.code)
        assert codes == ["on_hold"] * 25
        assert await w.count("approvals") == 5
        assert await _held_for(w) == 600


async def test_a_newer_question_takes_the_place_of_the_oldest(tmp_path: Path) -> None:
    """Where the face wants it, a fourth question supersedes the oldest pending one, also when many come at once."""
    async with world(tmp_path, approval__max_unapproved="20") as w:
        made = []
        for _ in range(3):
            made.append(await w.ask())
            w.clock.advance(ms=1)
        await w.ask(supersede=True)
        assert [await w.status(each) for each in made] == ["superseded", "pending", "pending"]
        assert await w.endings(made[0]) == ["approval.superseded"]
        many = await asyncio.gather(*(w.ask(supersede=True) for _ in range(5)))
        assert await w.count("approvals", "status = 'pending'") == 3
        assert await w.count("approvals") == 4 + len(many)


async def test_a_hold_is_not_superseded_away(tmp_path: Path) -> None:
    """A face that supersedes is held like others, and loses no pending question by trying."""
    async with world(tmp_path, approval__max_unapproved="2") as w:
        waiting = [await w.ask(), await w.ask()]
        assert await code_of(w.ask(supersede=True)) == "on_hold"
        assert [await w.status(each) for each in waiting] == ["pending", "pending"]


async def test_expired_questions_make_room_before_the_sweep(tmp_path: Path) -> None:
    """A full house of questions whose time is over does not refuse the next one."""
    async with world(tmp_path) as w:
        for _ in range(3):
            await w.ask(ttl=10)
        w.clock.advance(seconds=10)
        await w.ask()
        assert await w.count("approvals", "status = 'expired'") == 3


async def test_counters_agree_with_the_rows(tmp_path: Path) -> None:
    """After endings of every kind the counter says how many requests are pending."""
    async with world(tmp_path, approval__max_pending="9", approval__max_unapproved="50") as w:
        phone = await w.enrol()
        approvals = w.domain.approvals
        for dec in ("approve", "deny", "approve"):
            await _answered(w, phone, dec)
        cancelled, _, _ = await w.ask(), await w.ask(ttl=5), await w.ask()
        await approvals.cancel(w.application.id, cancelled.approval.id, w.now)
        w.clock.advance(seconds=6)
        await approvals.sweep(w.now)
        row = await w.store.row(Sql("counter", "SELECT pending FROM pressure"))
        assert row is not None
        assert row[0] == await w.count("approvals", "status = 'pending'") == 1
