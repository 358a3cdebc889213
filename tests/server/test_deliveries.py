from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import get_args

from placet_server.domain.mail import Reported
from placet_server.ports import Sql, plan, step
from placet_server.storage import open_store
from support.answering import world
from support.coding import ANA, carry, check, due_of, events, issue
from support.scale import scaled


async def test_a_message_is_claimed_once(tmp_path: Path) -> None:
    """Of several deliverers one gets a message; should it fail, the message is due again at the claim's end."""
    async with world(tmp_path) as w:
        due = await due_of(w, await issue(w))
        claims = await asyncio.gather(
            *(w.domain.deliveries.claim(due, w.now + 5_000, w.now) for _ in range(10))
        )
        assert claims.count(True) == 1
        assert await w.domain.deliveries.due(w.now) == []
        assert await w.domain.deliveries.next_due() == w.now + 5_000
        (again,) = await w.domain.deliveries.due(w.now + 5_000)
        assert (again.id, again.attempts, again.status) == (due.id, 1, "sending")


async def test_what_a_dead_process_had_claimed_is_due_at_once(tmp_path: Path) -> None:
    """A new deliverer need not wait for the end of claims; what is put off, or over, stays as it is."""
    async with world(tmp_path) as w:
        claimed, later, done = [await due_of(w, await issue(w)) for _ in range(3)]
        await carry(w, done)
        for due in (claimed, later):
            assert await w.domain.deliveries.claim(due, w.now + 45_000, w.now)
        await w.domain.deliveries.later(later, w.now + 10_000, (), w.now)
        w.clock.advance(ms=1)
        await w.domain.deliveries.release(w.now)
        assert [due.id for due in await w.domain.deliveries.due(w.now)] == [claimed.id]
        assert await w.domain.deliveries.claim((await w.domain.deliveries.due(w.now))[0], w.now + 1, w.now)


async def test_a_message_goes_on_where_the_last_attempt_ended(tmp_path: Path) -> None:
    """What was tried is remembered over a restart, and the next deliverer knows text and destination again."""
    async with world(tmp_path) as w:
        issued = await issue(w, channels=("sms", "voice"))
        due = await due_of(w, issued)
        assert await w.domain.deliveries.claim(due, w.now + 5_000, w.now)
        await w.domain.deliveries.later(due, w.now + 10_000, ("sms:kannel",), w.now, "time-out")
    store = await open_store(tmp_path / "placet.db")
    w.domain.deliveries._store = store
    (left,) = await w.domain.deliveries.due(w.now + 10_000)
    assert (left.tried, left.channels, left.to, left.code) == (
        ("sms:kannel",),
        ("sms", "voice"),
        ANA,
        issued.value,
    )
    assert issued.value in left.texts["sms"].text
    assert await w.domain.deliveries.several([left.id]) == [left]
    await store.close()


async def test_the_text_is_erased_when_the_message_is_over(tmp_path: Path) -> None:
    """Delivered, failed, or past its end: destination and text are gone, the masked destination stays."""
    async with world(tmp_path) as w:
        deliveries = w.domain.deliveries
        dues = [await due_of(w, await issue(w)) for _ in range(4)]
        for due in dues[:3]:
            assert await deliveries.claim(due, w.now + 60_000, w.now)
        for due in dues[:2]:
            await deliveries.accepted(due, "sms", "kannel", "ref", w.now)
        assert await w.count("messages", "sealed IS NOT NULL") == 4
        assert await deliveries.reported(
            dues[0].id, w.domain.deliveries.report_secret(dues[0].id), "delivered", w.now
        )
        await deliveries.failed(dues[2], "no gateway takes it", w.now)
        assert await w.count("messages", "sealed IS NOT NULL") == 2
        w.clock.advance(seconds=600)
        await deliveries.expire(w.now)
        assert await w.count("messages", "sealed IS NOT NULL") == 0
        found = [await w.domain.messages.get(w.caller, due.id) for due in dues]
        assert [each.status for each in found] == ["delivered", "sent", "failed", "expired"]
        assert {each.to for each in found} == {"+34*******01"}
        assert await deliveries.next_due() is None
        w.clock.advance(seconds=31 * 86_400)
        await deliveries.sweep(w.now)
        assert await w.count("messages") == 0


async def test_otp_16_forged_reports_change_nothing(tmp_path: Path) -> None:
    """Reports without the message's own secret, or of unknown messages, are refused and change nothing."""
    async with world(tmp_path) as w:
        due = await carry(w, await due_of(w, await issue(w)))
        other = await due_of(w, await issue(w))
        before = await w.store.rows(Sql("all", "SELECT * FROM messages ORDER BY id"))
        secret = w.domain.deliveries.report_secret(due.id)
        assert len(base64.urlsafe_b64decode(secret)) >= 16
        forged = [
            "",
            "x",
            w.domain.deliveries.report_secret(other.id),
            secret[:-1],
            secret + "A",
            secret.lower(),
            "\udcff",
            "٠" * 32,
        ]
        forged += [f"{number:032d}" for number in range(scaled(1_000))]
        for state in get_args(Reported):
            for text in forged:
                assert not await w.domain.deliveries.reported(due.id, text, state, w.now)
        for unknown in ("", "x" * 36, "\udcff", other.id[:-1]):
            assert not await w.domain.deliveries.reported(unknown, secret, "delivered", w.now)
        assert await w.store.rows(Sql("all", "SELECT * FROM messages ORDER BY id")) == before
        assert await w.domain.deliveries.reported(due.id, secret, "sent", w.now)


async def test_otp_16_no_report_verifies_a_code(tmp_path: Path) -> None:
    """A delivered message leaves its code as it was; the first final state of a message stays."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        due = await carry(w, await due_of(w, issued))
        states: tuple[Reported, ...] = ("sent", "undelivered", "delivered", "delivered")
        for state in states:
            assert await w.domain.deliveries.reported(
                due.id, w.domain.deliveries.report_secret(due.id), state, w.now
            )
        info = await w.domain.codes.get(w.caller, issued.id, w.now)
        assert (info.status, info.message_status) == ("live", "undelivered")
        assert (await check(w, issued.value, code_id=issued.id)).outcome == "matched"


async def test_a_report_may_overtake_the_gateways_answer(tmp_path: Path) -> None:
    """A delivery that is reported before the gateway's answer arrived is not undone by that answer."""
    async with world(tmp_path) as w:
        due = await due_of(w, await issue(w))
        assert await w.domain.deliveries.claim(due, w.now + 5_000, w.now)
        assert await w.domain.deliveries.reported(
            due.id, w.domain.deliveries.report_secret(due.id), "delivered", w.now
        )
        await w.domain.deliveries.accepted(due, "sms", "kannel", "ref-7", w.now)
        info = await w.domain.messages.get(w.caller, due.id)
        assert (info.status, info.gateway, info.reference) == ("delivered", "kannel", "ref-7")


async def test_the_application_hears_of_its_codes(tmp_path: Path) -> None:
    """code.sent, code.delivered, code.matched, code.exhausted, code.undelivered and code.failed tell no number, no code."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://hooks.example/", w.now)
        w.application = await w.domain.applications.named("Acme")
        first = await issue(w)
        due = await carry(w, await due_of(w, first))
        w.clock.advance(ms=1)
        await w.domain.deliveries.reported(
            due.id, w.domain.deliveries.report_secret(due.id), "delivered", w.now
        )
        w.clock.advance(ms=1)
        await check(w, first.value, code_id=first.id)
        second = await issue(w, tries=1)
        due = await carry(w, await due_of(w, second))
        w.clock.advance(ms=1)
        await w.domain.deliveries.reported(
            due.id, w.domain.deliveries.report_secret(due.id), "undelivered", w.now
        )
        w.clock.advance(ms=1)
        await check(w, "no", code_id=second.id)
        third = await due_of(w, await issue(w))
        await w.domain.deliveries.claim(third, w.now + 5_000, w.now)
        await w.domain.deliveries.failed(third, "no gateway takes it", w.now)
        await issue(w)
        w.clock.advance(seconds=600)
        await w.domain.deliveries.expire(w.now)
        told_of = await events(w)
        told = {
            code: [event["type"] for event in told_of if event["data"]["code_id"] == code]
            for code in (first.id, second.id, third.code_id)
        }
        assert list(told.values()) == [
            ["code.sent", "code.delivered", "code.matched"],
            ["code.sent", "code.undelivered", "code.exhausted"],
            ["code.failed"],
        ]
        assert told_of[-1]["type"] == "code.failed"
        assert told_of[-1]["data"]["reason"] == "It was not sent in time."
        for event in told_of:
            assert event["data"]["destination"] == "+34*******01"
            assert "600000001" not in str(event)


async def test_a_damaged_row_stops_no_other(tmp_path: Path) -> None:
    """A message whose sealed text does not open ends as failed; the one behind it is still delivered."""
    async with world(tmp_path) as w:
        broken, good = await issue(w), await issue(w)
        damage = Sql("damage", "UPDATE messages SET sealed = x'00' WHERE id = ?")
        await w.store.write(plan(step(damage, broken.message_id), guards=0))
        assert [due.id for due in await w.domain.deliveries.due(w.now)] == [good.message_id]
        assert (await w.domain.messages.get(w.caller, broken.message_id or "")).status == "failed"
        assert [due.id for due in await w.domain.deliveries.due(w.now, 1)] == [good.message_id]
