from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest

from placet_server.domain.recovery import COUNT
from placet_server.domain.values import Verification
from placet_server.ports import Sql
from support.answering import World, world


async def _make(w: World) -> tuple[str, ...]:
    return await w.domain.recovery_codes.make(w.caller, w.user, w.now)


async def _spend(w: World, code: str) -> Verification:
    return await w.domain.recovery_codes.spend(w.caller, w.user, code, w.now)


async def test_ten_codes_count_once_each(tmp_path: Path) -> None:
    """Ten different codes, each good once, in any spelling that a person may use; then none is left."""
    async with world(tmp_path) as w:
        codes = await _make(w)
        assert len(set(codes)) == COUNT == await w.domain.recovery_codes.left(w.user)
        assert all(re.fullmatch(r"[2-9a-hj-km-np-z]{5}-[2-9a-hj-km-np-z]{5}", code) for code in codes)
        assert await _spend(w, codes[0].upper()) == "matched"
        assert await _spend(w, codes[0]) == "used"
        assert await _spend(w, f" {codes[1][:5]} {codes[1][6:]} ") == "matched"
        assert await w.domain.recovery_codes.left(w.user) == 8


async def test_of_many_at_once_one_counts(tmp_path: Path) -> None:
    """Twenty simultaneous uses of one code: one success."""
    async with world(tmp_path) as w:
        for code in await _make(w):
            said = Counter(await asyncio.gather(*(_spend(w, code) for _ in range(20))))
            assert said == {"matched": 1, "used": 19}


async def test_new_codes_end_the_old_ones(tmp_path: Path) -> None:
    """After making new ones the old ones are wrong codes."""
    async with world(tmp_path) as w:
        old, new = await _make(w), await _make(w)
        assert await _spend(w, old[0]) == "mismatch"
        assert await _spend(w, new[0]) == "matched"
        assert await w.count("recovery_codes") == 10


async def test_another_users_code_is_wrong(tmp_path: Path) -> None:
    """Codes belong to one user; who has none is told so."""
    async with world(tmp_path) as w:
        codes = await _make(w)
        other = await w.new_user("5550177")
        spend = w.domain.recovery_codes.spend
        assert await spend(w.caller, other, codes[0], w.now) == "no_token"
        await w.domain.recovery_codes.make(w.caller, other, w.now)
        assert await spend(w.caller, other, codes[0], w.now) == "mismatch"


async def test_guessing_waits_and_is_told(tmp_path: Path) -> None:
    """From the fifth failure every try waits, right ones too; person and application are told; success forgets."""
    async with world(tmp_path) as w:
        await w.domain.applications.add_webhook("Acme", "https://hooks.example/", w.now)
        w.application = await w.domain.applications.named("Acme")
        device = (await w.enrol()).device
        codes = await _make(w)
        said = Counter(await asyncio.gather(*(_spend(w, f"wrong{number}") for number in range(60))))
        assert said == {"mismatch": 5, "throttled": 55}
        assert await _spend(w, codes[0]) == "throttled"
        kinds = [notice.kind for notice in await w.domain.notices.pending(device, w.now)]
        assert sorted(kinds) == ["codes.guessed", "recovery.made"]
        (item,) = await w.domain.outbox.due(w.now)
        assert item.body is not None
        assert b'"type":"user.held"' in item.body.payload
        w.clock.advance(seconds=30)
        assert await _spend(w, codes[0]) == "matched"
        assert await w.count("throttles") == 0
        used = [due.body.payload for due in await w.domain.outbox.due(w.now) if due.body]
        assert any(b'"type":"recovery_code.used"' in payload and b'"left":9' in payload for payload in used)


async def test_only_macs_are_kept_and_end_with_the_user(tmp_path: Path) -> None:
    """No code is in the file; removing the user erases what is kept of them."""
    async with world(tmp_path) as w:
        codes = await _make(w)
        content = (tmp_path / "placet.db-wal").read_bytes() + (tmp_path / "placet.db").read_bytes()
        assert not any(code.replace("-", "").encode() in content for code in codes)
        await w.domain.users.remove("default", w.user.tfa_id, w.now)
        assert await w.count("recovery_codes") == 0


async def test_log_04_every_try_has_its_entry(tmp_path: Path) -> None:
    """Making, using and a refusal append one entry each."""
    async with world(tmp_path) as w:
        codes = await _make(w)
        await _spend(w, codes[0])
        await _spend(w, "x")
        sql = Sql("kinds", "SELECT kind FROM audit WHERE kind LIKE 'recovery%' ORDER BY seq")
        assert [row[0] for row in await w.store.rows(sql)] == [
            "recovery_codes.made",
            "recovery_code.used",
            "recovery_code.refused",
        ]


@pytest.mark.parametrize("code", ["", "x" * 1000, "\udcff", "\0", "-----"])
async def test_odd_codes_are_wrong_codes(tmp_path: Path, code: str) -> None:
    """Whatever is typed is a mismatch at most."""
    async with world(tmp_path) as w:
        await _make(w)
        assert await _spend(w, code) == "mismatch"
