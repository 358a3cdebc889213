from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from placet_server.domain.outbox import event, rfc3339
from placet_server.ports import Sql, plan, step
from placet_server.testing import ClearSealer
from support.answering import world


async def test_a_question_wakes_its_users_devices(tmp_path: Path) -> None:
    """The push row is committed with the request, names request and user, and is announced."""
    async with world(tmp_path) as w:
        created = await w.ask()
        (item,) = await w.domain.outbox.due(w.now)
        assert (item.kind, item.subject, item.target) == ("push", created.approval.id, w.user.id)
        assert (item.attempts, item.body) == (0, None)
        assert ("outbox", item.id) in w.bus.published
        assert ("user", w.user.id) in w.bus.published


async def test_an_ending_is_told_to_every_endpoint_once(tmp_path: Path) -> None:
    """Each webhook and the request's callback URL get a row with the same event and payload, thin and exact."""
    async with world(tmp_path) as w:
        hooks = [
            await w.domain.applications.add_webhook("Acme", f"https://acme.example/{name}", w.now)
            for name in "ab"
        ]
        phone = await w.enrol()
        w.application = await w.domain.applications.named("Acme")
        created, request = await w.asked(callback_url="https://acme.example/cb", number="entry:4")
        assert created.number is not None
        await w.domain.decisions.decide(phone.answer(request, "approve", created.number), w.now)
        items = [each for each in await w.domain.outbox.due(w.now) if each.kind == "webhook"]
        bodies = [each.body for each in items if each.body is not None]
        hooks.sort(key=lambda hook: hook.id)
        assert [each.target for each in items] == [hooks[0].id, hooks[1].id, ""]
        assert [each.url for each in bodies] == [hooks[0].url, hooks[1].url, "https://acme.example/cb"]
        assert {each.event_id for each in bodies} == {items[0].id}
        assert len({each.payload for each in bodies}) == 1
        payload = json.loads(bodies[0].payload)
        assert payload == {
            "type": "approval_request.approved",
            "timestamp": rfc3339(w.now),
            "data": {
                "id": created.approval.id,
                "tfa_id": w.user.tfa_id,
                "status": "approved",
                "reason": "ok",
                "device": phone.device.id,
                "created_at": rfc3339(w.now),
                "expires_at": rfc3339(w.now + 300_000),
                "decided_at": rfc3339(w.now),
            },
        }
        assert all(("outbox", each.id) in w.bus.published for each in items)


async def test_a_row_is_claimed_by_one(tmp_path: Path) -> None:
    """Of ten who want an item one gets it; it is due again later unless it is done by then."""
    async with world(tmp_path) as w:
        await w.ask()
        outbox = w.domain.outbox
        (item,) = await outbox.due(w.now)
        assert sum(await asyncio.gather(*(outbox.claim(item, w.now + 5000) for _ in range(10)))) == 1
        assert await outbox.due(w.now + 4999) == []
        assert await outbox.next_due() == w.now + 5000
        (again,) = await outbox.due(w.now + 5000)
        assert (again.id, again.attempts) == (item.id, 1)
        await outbox.done(again.id, "another")
        assert await outbox.several([item.id]) == []
        assert await outbox.next_due() is None


async def test_whk_06_events_of_one_millisecond_keep_their_order(tmp_path: Path) -> None:
    """What was committed first leaves first, though both have one time, or the second call even came in earlier."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://acme.example/hook", w.now)
        application = await w.domain.applications.named("Acme")
        outbox = w.domain.outbox
        for number in range(100):
            for kind, at in (("first", w.now), ("second", w.now), ("third", w.now - 1)):
                steps = event(ClearSealer(), w.entropy, application, kind, f"thing {number}", {}, at)
                await w.store.write(plan(*steps, guards=0))
        items = {item.subject: item for item in await outbox.due(w.now, 1_000)}
        assert len(items) == 100
        for item in items.values():
            told = []
            while head := await outbox.head(item):
                assert head.body is not None
                told.append(json.loads(head.body.payload)["type"])
                await outbox.done(head.id)
            assert told == ["first", "second", "third"]


async def test_a_swapped_body_does_not_open(tmp_path: Path) -> None:
    """A sealed body belongs to its row; moved to another one it is not delivered."""
    async with world(tmp_path) as w:
        for name in "ab":
            await w.domain.applications.add_webhook("Acme", f"https://acme.example/{name}", w.now)
        created = await w.ask()
        await w.domain.approvals.cancel(w.application.id, created.approval.id, w.now)
        swap = Sql(
            "swap", "UPDATE outbox SET sealed = (SELECT max(sealed) FROM outbox) WHERE kind = 'webhook'"
        )
        await w.store.write(plan(step(swap), guards=0))
        found = [item for item in await w.domain.outbox.due(w.now) if item.kind == "webhook"]
        assert sorted(item.body is None for item in found) == [False, True]


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_800_000_000_001, "2027-01-15T08:00:00.001Z"),
        (1_800_000_000_999, "2027-01-15T08:00:00.999Z"),
    ],
)
def test_times_have_milliseconds_and_a_zone(at: int, text: str) -> None:
    """Times are RFC 3339 in UTC, without rounding."""
    assert rfc3339(at) == text
