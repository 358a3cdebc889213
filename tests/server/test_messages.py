from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from placet_server.domain.destinations import email
from placet_server.domain.mail import MessageDraft, Reported
from placet_server.domain.messages import LIFE_MS
from placet_server.domain.texts import Text
from placet_server.ports import Sql, plan, step
from placet_server.storage import open_store
from support.answering import World, code_of, world
from support.coding import ANA, carry, check, due_of, issue
from support.scale import scaled


def _draft(w: World, **changes: Any) -> MessageDraft:
    facts: dict[str, Any] = {
        "to": ANA,
        "channels": ("sms",),
        "texts": {"sms": Text("Hello")},
        "expires_at": w.now + LIFE_MS,
    }
    return MessageDraft(**(facts | changes))


async def _events(w: World) -> list[Any]:
    return [msgspec.json.decode(item.body.payload) for item in await w.domain.outbox.due(w.now) if item.body]


async def test_a_message_is_claimed_once(tmp_path: Path) -> None:
    """Of several deliverers one gets a message; should it fail, the message is due again at the claim's end."""
    async with world(tmp_path) as w:
        due = await due_of(w, await issue(w))
        claims = await asyncio.gather(
            *(w.domain.messages.claim(due, w.now + 5_000, w.now) for _ in range(10))
        )
        assert claims.count(True) == 1
        assert await w.domain.messages.due(w.now) == []
        assert await w.domain.messages.next_due() == w.now + 5_000
        (again,) = await w.domain.messages.due(w.now + 5_000)
        assert (again.id, again.attempts, again.status) == (due.id, 1, "sending")


async def test_what_a_dead_process_had_claimed_is_due_at_once(tmp_path: Path) -> None:
    """A new deliverer need not wait for the end of claims; what is put off, or over, stays as it is."""
    async with world(tmp_path) as w:
        claimed, later, done = [await due_of(w, await issue(w)) for _ in range(3)]
        await carry(w, done)
        for due in (claimed, later):
            assert await w.domain.messages.claim(due, w.now + 45_000, w.now)
        await w.domain.messages.later(later, w.now + 10_000, (), w.now)
        w.clock.advance(ms=1)
        await w.domain.messages.release(w.now)
        assert [due.id for due in await w.domain.messages.due(w.now)] == [claimed.id]
        assert await w.domain.messages.claim((await w.domain.messages.due(w.now))[0], w.now + 1, w.now)


async def test_a_message_goes_on_where_the_last_attempt_ended(tmp_path: Path) -> None:
    """What was tried is remembered over a restart, and the next deliverer knows text and destination again."""
    async with world(tmp_path) as w:
        issued = await issue(w, channels=("sms", "voice"))
        due = await due_of(w, issued)
        assert await w.domain.messages.claim(due, w.now + 5_000, w.now)
        await w.domain.messages.later(due, w.now + 10_000, ("sms:kannel",), w.now, "time-out")
    store = await open_store(tmp_path / "placet.db")
    w.domain.messages._store = store
    (left,) = await w.domain.messages.due(w.now + 10_000)
    assert (left.tried, left.channels, left.to, left.code) == (
        ("sms:kannel",),
        ("sms", "voice"),
        ANA,
        issued.value,
    )
    assert issued.value in left.texts["sms"].text
    assert await w.domain.messages.several([left.id]) == [left]
    await store.close()


async def test_the_text_is_erased_when_the_message_is_over(tmp_path: Path) -> None:
    """Delivered, failed, or past its end: destination and text are gone, the masked destination stays."""
    async with world(tmp_path) as w:
        messages = w.domain.messages
        dues = [await due_of(w, await issue(w)) for _ in range(4)]
        for due in dues[:3]:
            assert await messages.claim(due, w.now + 60_000, w.now)
        for due in dues[:2]:
            await messages.accepted(due, "sms", "kannel", "ref", w.now)
        assert await w.count("messages", "sealed IS NOT NULL") == 4
        assert await messages.reported(dues[0].id, dues[0].report_secret, "delivered", w.now)
        await messages.failed(dues[2], "no gateway takes it", w.now)
        assert await w.count("messages", "sealed IS NOT NULL") == 2
        w.clock.advance(seconds=600)
        await messages.expire(w.now)
        assert await w.count("messages", "sealed IS NOT NULL") == 0
        found = [await messages.get(w.caller, due.id) for due in dues]
        assert [each.status for each in found] == ["delivered", "sent", "failed", "expired"]
        assert {each.to for each in found} == {"+34*******01"}
        assert await messages.next_due() is None
        w.clock.advance(seconds=31 * 86_400)
        await messages.sweep(w.now)
        assert await w.count("messages") == 0


async def test_otp_16_forged_reports_change_nothing(tmp_path: Path) -> None:
    """Reports without the message's own secret, or of unknown messages, are refused and change nothing."""
    async with world(tmp_path) as w:
        due = await carry(w, await due_of(w, await issue(w)))
        other = await due_of(w, await issue(w))
        before = await w.store.rows(Sql("all", "SELECT * FROM messages ORDER BY id"))
        secret = due.report_secret
        assert len(base64.urlsafe_b64decode(secret)) >= 16
        forged = ["", "x", other.report_secret, secret[:-1], secret + "A", secret.lower(), "\udcff", "٠" * 32]
        forged += [f"{number:032d}" for number in range(scaled(1_000))]
        for state in get_args(Reported):
            for text in forged:
                assert not await w.domain.messages.reported(due.id, text, state, w.now)
        for unknown in ("", "x" * 36, "\udcff", other.id[:-1]):
            assert not await w.domain.messages.reported(unknown, secret, "delivered", w.now)
        assert await w.store.rows(Sql("all", "SELECT * FROM messages ORDER BY id")) == before
        assert await w.domain.messages.reported(due.id, secret, "sent", w.now)


async def test_otp_16_no_report_verifies_a_code(tmp_path: Path) -> None:
    """A delivered message leaves its code as it was; the first final state of a message stays."""
    async with world(tmp_path) as w:
        issued = await issue(w)
        due = await carry(w, await due_of(w, issued))
        states: tuple[Reported, ...] = ("sent", "undelivered", "delivered", "delivered")
        for state in states:
            assert await w.domain.messages.reported(due.id, due.report_secret, state, w.now)
        info = await w.domain.codes.get(w.caller, issued.id, w.now)
        assert (info.status, info.message_status) == ("live", "undelivered")
        assert (await check(w, issued.value, code_id=issued.id)).outcome == "matched"


async def test_a_report_may_overtake_the_gateways_answer(tmp_path: Path) -> None:
    """A delivery that is reported before the gateway's answer arrived is not undone by that answer."""
    async with world(tmp_path) as w:
        due = await due_of(w, await issue(w))
        assert await w.domain.messages.claim(due, w.now + 5_000, w.now)
        assert await w.domain.messages.reported(due.id, due.report_secret, "delivered", w.now)
        await w.domain.messages.accepted(due, "sms", "kannel", "ref-7", w.now)
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
        await w.domain.messages.reported(due.id, due.report_secret, "delivered", w.now)
        w.clock.advance(ms=1)
        await check(w, first.value, code_id=first.id)
        second = await issue(w, tries=1)
        due = await carry(w, await due_of(w, second))
        w.clock.advance(ms=1)
        await w.domain.messages.reported(due.id, due.report_secret, "undelivered", w.now)
        w.clock.advance(ms=1)
        await check(w, "no", code_id=second.id)
        third = await due_of(w, await issue(w))
        await w.domain.messages.claim(third, w.now + 5_000, w.now)
        await w.domain.messages.failed(third, "no gateway takes it", w.now)
        await issue(w)
        w.clock.advance(seconds=600)
        await w.domain.messages.expire(w.now)
        events = await _events(w)
        told = {
            code: [event["type"] for event in events if event["data"]["code_id"] == code]
            for code in (first.id, second.id, third.code_id)
        }
        assert list(told.values()) == [
            ["code.sent", "code.delivered", "code.matched"],
            ["code.sent", "code.undelivered", "code.exhausted"],
            ["code.failed"],
        ]
        assert events[-1]["type"] == "code.failed"
        assert events[-1]["data"]["reason"] == "It was not sent in time."
        for event in events:
            assert event["data"]["destination"] == "+34*******01"
            assert "600000001" not in str(event)


async def test_a_plain_message_is_taken_and_told_of(tmp_path: Path) -> None:
    """A text goes out as a code does: masked, within the budget of its destination, and with events of its own."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://hooks.example/", w.now)
        w.application = await w.domain.applications.named("Acme")
        info = await w.domain.messages.send(w.caller, _draft(w, texts={"sms": Text("Hello, " * 60)}), w.now)
        assert (info.status, info.kind, info.to, info.parts) == ("queued", "text", "+34*******01", 3)
        assert info == await w.domain.messages.get(w.caller, info.id)
        assert ("message", info.id) in w.bus.published
        (due,) = await w.domain.messages.due(w.now)
        await carry(w, due)
        assert [event["type"] for event in await _events(w)] == ["message.sent"]
        for _ in range(4):
            await w.domain.messages.send(w.caller, _draft(w), w.now)
        assert await code_of(w.domain.messages.send(w.caller, _draft(w), w.now)) == "too_many_codes"
        assert await code_of(issue(w)) == "too_many_codes"


async def test_plain_messages_open_no_breaker(tmp_path: Path) -> None:
    """Texts that nobody answers neither hold a block of numbers nor count as codes there."""
    policies = {"code__per_destination": "1000", "code__per_destination_day": "1000", "code__breaker": "5"}
    async with world(tmp_path, **policies) as w:
        for _ in range(20):
            await w.domain.messages.send(w.caller, _draft(w), w.now)
        assert await issue(w)


async def test_a_message_can_wait_for_its_time(tmp_path: Path) -> None:
    """A scheduled message is due then and not before; beyond 90 days, in the past, or over before it begins: refused."""
    async with world(tmp_path) as w:
        later = w.now + 3_600_000
        info = await w.domain.messages.send(
            w.caller, _draft(w, send_at=later, expires_at=later + 1_000), w.now
        )
        assert await w.domain.messages.due(later - 1) == []
        assert [due.id for due in await w.domain.messages.due(later)] == [info.id]
        for changes in (
            {"send_at": w.now - 1},
            {"send_at": w.now + 91 * 86_400_000, "expires_at": w.now + 92 * 86_400_000},
            {"send_at": later, "expires_at": later},
            {"expires_at": w.now},
        ):
            assert (
                await code_of(w.domain.messages.send(w.caller, _draft(w, **changes), w.now))
                == "invalid_request"
            )


@pytest.mark.parametrize(
    "text", [Text("a\0b"), Text("a\x1b[0m"), Text("a", "x\r\nBcc: b@c.de"), Text("a\u202eb"), Text("\ud800")]
)
async def test_api_16_texts_are_clean(tmp_path: Path, text: Text) -> None:
    """Controls, direction overrides and header lines do not get into a message."""
    async with world(tmp_path) as w:
        draft = _draft(w, to=email("a@example.org"), channels=("email",), texts={"email": text})
        assert await code_of(w.domain.messages.send(w.caller, draft, w.now)) == "invalid_text"


async def test_messages_belong_to_who_sent_them(tmp_path: Path) -> None:
    """Another application or credential finds no such message; the operator sees all, page by page."""
    async with world(tmp_path, code__per_destination="100") as w:
        face = w.caller_of(w.application, "afilnet")
        mine = [await w.domain.messages.send(w.caller, _draft(w), w.now) for _ in range(3)]
        theirs = await w.domain.messages.send(face, _draft(w), w.now)
        assert await code_of(w.domain.messages.get(w.caller, theirs.id)) == "not_found"
        assert await code_of(w.domain.messages.get(w.caller, "x")) == "not_found"
        page = await w.domain.messages.page(w.caller, limit=2)
        rest = await w.domain.messages.page(w.caller, after=page.next, limit=2)
        assert {each.id for each in (*page.items, *rest.items)} == {each.id for each in mine}
        assert rest.next is None
        assert len((await w.domain.messages.page(None)).items) == 4


async def test_a_damaged_row_stops_no_other(tmp_path: Path) -> None:
    """A message whose sealed text does not open ends as failed; the one behind it is still delivered."""
    async with world(tmp_path) as w:
        broken, good = await issue(w), await issue(w)
        damage = Sql("damage", "UPDATE messages SET sealed = x'00' WHERE id = ?")
        await w.store.write(plan(step(damage, broken.message_id), guards=0))
        assert [due.id for due in await w.domain.messages.due(w.now)] == [good.message_id]
        assert (await w.domain.messages.get(w.caller, broken.message_id or "")).status == "failed"
        assert [due.id for due in await w.domain.messages.due(w.now, 1)] == [good.message_id]


async def test_nothing_is_kept_in_clear(tmp_path: Path) -> None:
    """No unsealed column of codes and messages holds a number, a text or a purpose."""
    async with world(tmp_path) as w:
        await issue(w, purpose="pay-canary", text="text-canary {code}")
        columns = "SELECT application, owner, lookup, subject, prefix, purpose, status FROM codes"
        told = await w.store.rows(Sql("clear", columns))
        told += await w.store.rows(Sql("mail", "SELECT kind, status, channels, channel, tried FROM messages"))
        assert not any("canary" in str(value) or "3460" in str(value) for row in told for value in row)
