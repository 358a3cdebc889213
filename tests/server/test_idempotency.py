from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from placet_server.domain.idempotency import LIFE_MS, Kept
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Created
from placet_server.ports import Sql, plan
from support.answering import World, code_of, draft, world
from support.scale import scaled

ANSWER = Kept(201, b'{"id":"1"}')


async def _create(w: World, key: str) -> Created:
    guard = w.domain.idempotency.guard(w.caller, key, b"print", ANSWER, w.now)
    return await w.domain.approvals.create(w.caller, w.user, draft(), w.now, lambda _: guard)


async def test_api_07_the_same_call_gets_the_same_answer_for_a_day(tmp_path: Path) -> None:
    """Within 24 hours the answer is replayed; then the key is new and can be taken again."""
    async with world(tmp_path) as w:
        once = w.domain.idempotency
        assert await once.replay(w.caller, "key", b"print", w.now) is None
        assert await w.store.write(plan(once.guard(w.caller, "key", b"print", ANSWER, w.now))) == 0
        for _ in range(2):
            assert await once.replay(w.caller, "key", b"print", w.now) == ANSWER
            w.clock.advance(ms=LIFE_MS // 2 - 1)
        assert await w.store.write(plan(once.guard(w.caller, "key", b"print", ANSWER, w.now))) == 1
        w.clock.advance(ms=2)
        assert await once.replay(w.caller, "key", b"print", w.now) is None
        other = Kept(200, b"{}")
        assert await w.store.write(plan(once.guard(w.caller, "key", b"other", other, w.now))) == 0
        assert await once.replay(w.caller, "key", b"other", w.now) == other
        w.clock.advance(ms=LIFE_MS)
        await once.sweep(w.now)
        assert await w.count("idempotency") == 0


async def test_api_07_another_call_under_the_key_conflicts(tmp_path: Path) -> None:
    """Another body under a used key is refused, and nothing is replayed for it."""
    async with world(tmp_path) as w:
        once = w.domain.idempotency
        await w.store.write(plan(once.guard(w.caller, "key", b"print", ANSWER, w.now)))
        assert await code_of(once.replay(w.caller, "key", b"other", w.now)) == "idempotency_conflict"


async def test_api_07_keys_belong_to_their_caller(tmp_path: Path) -> None:
    """The same key of another application, or on another face, is another key."""
    async with world(tmp_path) as w:
        once = w.domain.idempotency
        await w.store.write(plan(once.guard(w.caller, "key", b"print", ANSWER, w.now)))
        other = w.caller_of(await w.new_application("Other"))
        face = structs.replace(w.caller, face="authy")
        for caller in (other, face):
            assert await once.replay(caller, "key", b"print", w.now) is None


async def test_api_07_creating_at_once_creates_once(tmp_path: Path) -> None:
    """Of two simultaneous creates under one key, round after round, one asks; the other is told of the conflict."""
    async with world(tmp_path) as w:
        for number in range(scaled(1_000)):
            await w.calm()
            tries = await asyncio.gather(
                *(_create(w, f"key-{number}") for _ in range(2)), return_exceptions=True
            )
            assert [each.code for each in tries if isinstance(each, RefusedError)] == ["idempotency_conflict"]
        assert await w.count("approvals") == scaled(1_000)


async def test_key_04_kept_answers_are_sealed_in_their_place(tmp_path: Path) -> None:
    """An answer that is moved under another key does not open."""
    async with world(tmp_path) as w:
        once = w.domain.idempotency
        for key in ("a", "b"):
            await w.store.write(plan(once.guard(w.caller, key, b"print", Kept(201, key.encode()), w.now)))
        rows = await w.store.rows(Sql("kept", "SELECT lookup, sealed FROM idempotency"))
        assert len({bytes(lookup) for lookup, _ in rows}) == len({bytes(sealed) for _, sealed in rows}) == 2
        assert not any(b"key" in bytes(lookup) for lookup, _ in rows)


@pytest.mark.parametrize("key", ["", " ", "with space", "x" * 256, "ümlaut", "new\nline", "\x00"])
async def test_odd_keys_are_refused(tmp_path: Path, key: str) -> None:
    """A key is 1 to 255 visible ASCII characters."""
    async with world(tmp_path) as w:
        assert await code_of(w.domain.idempotency.replay(w.caller, key, b"", w.now)) == "invalid_request"
