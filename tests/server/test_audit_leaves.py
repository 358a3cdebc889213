from __future__ import annotations

import hashlib
import json
from pathlib import Path

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from placet_server.domain.audit import leaf
from placet_server.ports import Sql
from support.answering import world

_FACTS = st.dictionaries(
    st.from_regex(r"[a-z_.]{1,12}", fullmatch=True),
    st.text(st.characters(codec="utf-8")) | st.integers(0, 2**53 - 1),
)


@given(facts=_FACTS)
def test_a_leaf_is_the_hash_of_canonical_json(facts: dict[str, str | int]) -> None:
    """Body and hash are those of RFC 8785 and RFC 6962, by an independent implementation."""
    made = leaf(17, "thing.happened", "default", "subject", **facts)
    event = {
        "at": 17,
        "facts": facts,
        "kind": "thing.happened",
        "org": "default",
        "subject": "subject",
        "v": 1,
    }
    assert made.body.encode() == rfc8785.dumps(event)
    assert made.hash == hashlib.sha256(b"\x00" + made.body.encode()).digest()


async def test_aud_01_each_change_of_state_is_one_leaf(tmp_path: Path) -> None:
    """Asking, answering, cancelling, expiring and superseding leave one entry each; refusals of late ones none."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        before = await w.count("audit")
        first, request = await w.asked()
        answer = phone.answer(request, "approve")
        for _ in range(3):
            await w.domain.decisions.decide(answer, w.now)
        second = await w.ask()
        await w.domain.approvals.cancel(w.application.id, second.approval.id, w.now)
        for _ in range(3):
            await w.ask(ttl=20)
        await w.ask(supersede=True, ttl=20)
        w.clock.advance(seconds=20)
        await w.domain.approvals.sweep(w.now)
        await w.domain.approvals.sweep(w.now)
        kinds = Sql("kinds", "SELECT kind FROM audit ORDER BY seq LIMIT 99 OFFSET ?")
        assert sorted(row[0] for row in await w.store.rows(kinds, (before,))) == sorted(
            ["approval.created"] * 6
            + ["approval.approved", "approval.cancelled", "approval.superseded"]
            + ["approval.expired"] * 3
        )
        assert await w.status(first) == "approved"


async def test_leaves_hold_no_text_of_the_question(tmp_path: Path) -> None:
    """The log is copied to where nothing can be erased, so it says ids, states and hashes only."""
    async with world(tmp_path) as w:
        phone = await w.enrol()
        _, request = await w.asked(message="Bob is ill", number="entry:6", ip="192.0.2.77")
        await w.domain.decisions.decide(phone.answer(request, "deny"), w.now)
        bodies = await w.store.rows(Sql("bodies", "SELECT body FROM audit"))
        text = " ".join(row[0] for row in bodies)
        assert not [word for word in ("Bob", "ill", "192.0.2", "EUR", "5550100") if word in text]
        assert all(json.loads(row[0])["org"] == "default" for row in bodies)
