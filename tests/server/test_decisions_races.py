from __future__ import annotations

import asyncio
import random
from pathlib import Path

from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Created
from support.answering import Answerer, World, world
from support.scale import scaled

ROUNDS = scaled(1_000)
_FREE = {"approval__max_unapproved": "100", "approval__window": "10"}


async def _decided(w: World, document: str, at: int) -> str:
    """The state that a decision led to, or the one that the refusal names."""
    try:
        decided = await w.domain.decisions.decide(document, at)
    except RefusedError as error:
        return f"lost to {error.state}" if error.code == "already_decided" else error.code
    return decided.status


async def _one_ending(w: World, created: Created, heard: list[str]) -> str:
    """The final state; store, webhook rows, audit log and all answers agree on it."""
    approval_id = created.approval.id
    approval = await w.domain.approvals.get(w.application.id, approval_id, w.now + 10_000_000)
    status = str(approval.status)
    assert await w.endings(created) == [f"approval.{status}"]
    assert await w.count("outbox", "kind = 'webhook' AND subject = ?", approval_id) == 1
    assert await w.count("decisions", "approval = ?", approval_id) == (status in {"approved", "denied"})
    assert {each.removeprefix("lost to ") for each in heard} <= {status}
    return status


async def _answerers(w: World, count: int) -> list[Answerer]:
    await w.domain.applications.add_webhook("Acme", "https://acme.example/hook", w.now)
    return [await w.enrol() for _ in range(count)]


async def test_dec_04_the_first_of_eight_devices_wins(tmp_path: Path) -> None:
    """In every round of 8 devices one answer wins; the others are told the same final state."""
    chance, states = random.Random(4), set()
    async with world(tmp_path, **_FREE) as w:
        phones = await _answerers(w, 8)
        for _ in range(ROUNDS):
            w.clock.advance(seconds=11)
            created, request = await w.asked()
            answers = [phone.answer(request, chance.choice(["approve", "deny"])) for phone in phones]
            heard = await asyncio.gather(*(_decided(w, answer, w.now) for answer in answers))
            assert sum("lost" not in each for each in heard) == 1
            states.add(await _one_ending(w, created, list(heard)))
    assert states == {"approved", "denied"}


async def test_dec_05_expiry_and_decision_never_both(tmp_path: Path) -> None:
    """Decisions that arrive within 5 ms of the end, with the sweeper running, leave one final state; late ones lose."""
    chance, states = random.Random(5), set()
    async with world(tmp_path, **_FREE) as w:
        (phone,) = await _answerers(w, 1)
        for _ in range(ROUNDS):
            w.clock.advance(seconds=11)
            created, request = await w.asked(ttl=1)
            end = created.approval.expires_at
            arrival = end + chance.randint(-5, 5)
            calls = [
                _decided(w, phone.answer(request, "approve"), arrival),
                w.domain.approvals.sweep(end + chance.randint(-5, 5)),
            ]
            chance.shuffle(calls)
            heard = [each for each in await asyncio.gather(*calls) if isinstance(each, str)]
            await w.domain.approvals.sweep(end)
            status = await _one_ending(w, created, heard)
            assert arrival < end or status == "expired"
            states.add(status)
    assert states == {"approved", "expired"}


async def test_dec_05_arrival_at_the_end_is_too_late(tmp_path: Path) -> None:
    """The last millisecond before the end counts, the end itself does not."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        in_time, first = await w.asked()
        too_late, second = await w.asked()
        end = in_time.approval.expires_at
        assert await _decided(w, phone.answer(first, "approve"), end - 1) == "approved"
        assert await _decided(w, phone.answer(second, "approve"), end) == "lost to expired"
        assert await w.endings(too_late) == ["approval.expired"]


async def test_dec_06_cancel_and_approve_never_both(tmp_path: Path) -> None:
    """In every race of the application's cancel against an approval one wins and the other is told."""
    chance, states = random.Random(6), set()
    async with world(tmp_path, **_FREE) as w:
        (phone,) = await _answerers(w, 1)
        for _ in range(ROUNDS):
            w.clock.advance(seconds=11)
            created, request = await w.asked()

            async def cancelled(created: Created = created) -> str:
                try:
                    return (
                        await w.domain.approvals.cancel(w.application.id, created.approval.id, w.now)
                    ).status
                except RefusedError as error:
                    return f"lost to {error.state}" if error.code == "not_pending" else error.code

            calls = [_decided(w, phone.answer(request, "approve"), w.now), cancelled()]
            chance.shuffle(calls)
            heard = list(await asyncio.gather(*calls))
            assert sum("lost" not in each for each in heard) == 1
            states.add(await _one_ending(w, created, heard))
    assert states == {"approved", "cancelled"}


async def test_dec_08_answers_belong_to_their_senders(tmp_path: Path) -> None:
    """Many concurrent decisions of 50 devices, good and foreign ones mixed: each outcome is its sender's own."""
    chance = random.Random(8)
    async with world(tmp_path) as w:
        users = [await w.new_user(f"55501{number:02d}") for number in range(1, 51)]
        phones = [await w.enrol(user) for user in users]
        asked = [await w.asked(user) for user in users]

        async def one(mine: int, other: int) -> None:
            answer = phones[mine].answer(asked[other][1], "approve" if other % 2 else "deny")
            heard = await _decided(w, answer, w.now)
            wanted = "approved" if other % 2 else "denied"
            assert heard in ({wanted, f"lost to {wanted}"} if mine == other else {"invalid_decision"})

        pairs = [(mine, mine) for mine in range(50)]
        pairs += [(chance.randrange(50), chance.randrange(50)) for _ in range(scaled(9_000))]
        chance.shuffle(pairs)
        await asyncio.gather(*(one(*pair) for pair in pairs))
        for mine, (created, _) in enumerate(asked):
            approval = await w.domain.approvals.get(w.application.id, created.approval.id, w.now)
            assert approval.device == phones[mine].device.id
