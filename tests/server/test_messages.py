from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from placet_server.domain.destinations import email
from placet_server.domain.mail import MessageDraft
from placet_server.domain.messages import LIFE_MS
from placet_server.domain.texts import Text
from placet_server.ports import Sql
from support.answering import World, code_of, world
from support.coding import ANA, carry, events, issue


def _draft(w: World, **changes: Any) -> MessageDraft:
    facts: dict[str, Any] = {
        "to": ANA,
        "channels": ("sms",),
        "texts": {"sms": Text("Hello")},
        "expires_at": w.now + LIFE_MS,
    }
    return MessageDraft(**(facts | changes))


async def test_a_plain_message_is_taken_and_told_of(tmp_path: Path) -> None:
    """A text goes out as a code does: masked, within the budget of its destination, and with events of its own."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://hooks.example/", w.now)
        w.application = await w.domain.applications.named("Acme")
        info = await w.domain.messages.send(w.caller, _draft(w, texts={"sms": Text("Hello, " * 60)}), w.now)
        assert (info.status, info.kind, info.to, info.parts) == ("queued", "text", "+34*******01", 3)
        assert info == await w.domain.messages.get(w.caller, info.id)
        assert ("message", info.id) in w.bus.published
        (due,) = await w.domain.deliveries.due(w.now)
        await carry(w, due)
        assert [event["type"] for event in await events(w)] == ["message.sent"]
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
        assert await w.domain.deliveries.due(later - 1) == []
        assert [due.id for due in await w.domain.deliveries.due(later)] == [info.id]
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


async def test_nothing_is_kept_in_clear(tmp_path: Path) -> None:
    """No unsealed column of codes and messages holds a number, a text or a purpose."""
    async with world(tmp_path) as w:
        await issue(w, purpose="pay-canary", text="text-canary {code}")
        columns = "SELECT application, owner, lookup, subject, prefix, purpose, status FROM codes"
        told = await w.store.rows(Sql("clear", columns))
        told += await w.store.rows(Sql("mail", "SELECT kind, status, channels, channel, tried FROM messages"))
        assert not any("canary" in str(value) or "3460" in str(value) for row in told for value in row)
