"""Recovery codes over HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.native import Native, clock_of, native_api


@pytest.fixture
async def native(tmp_path: Path) -> AsyncIterator[Native]:
    async with native_api(tmp_path / "data") as found:
        yield found


async def test_ten_codes_count_once_each(native: Native) -> None:
    """Ten are shown once; each is good once, however it is written; the rest are counted."""
    path = f"/v1/users/{native.tfa_id}/recovery_codes"
    none_yet = {"matched": False, "outcome": "no_codes", "left": 0}
    assert await native("POST", f"{path}/verify", {"code": "k7m2x-9qwrt"}) == (200, none_yet)
    status, made = await native("POST", path)
    assert (status, made["left"], len(set(made["codes"]))) == (201, 10, 10)
    assert await native("GET", path) == (200, {"left": 10})
    first, second = made["codes"][:2]
    typed = f"{first[:5]}{first[6:]}".upper()
    assert await native("POST", f"{path}/verify", {"code": typed}) == (
        200,
        {"matched": True, "outcome": "matched", "left": 9},
    )
    assert (await native("POST", f"{path}/verify", {"code": first}))[1]["outcome"] == "used"
    spaced = f" {second[:5]} \N{EN DASH} {second[6:]} "
    assert (await native("POST", f"{path}/verify", {"code": spaced}))[1]["outcome"] == "matched"
    second = made["codes"][2]
    assert (await native("POST", path))[1]["left"] == 10
    assert (await native("POST", f"{path}/verify", {"code": second}))[1]["outcome"] == "mismatch"
    assert await native("GET", path) == (200, {"left": 10})


async def test_of_one_code_sent_many_times_at_once_one_counts(native: Native) -> None:
    """Twenty calls with the same unused code: one is told that it matched."""
    path = f"/v1/users/{native.tfa_id}/recovery_codes"
    _, made = await native("POST", path)
    for code in made["codes"]:
        answers = await asyncio.gather(*(native("POST", f"{path}/verify", {"code": code}) for _ in range(20)))
        assert Counter(answer["outcome"] for _, answer in answers) == {"matched": 1, "used": 19}


async def test_guessing_is_slowed_down(native: Native) -> None:
    """After five wrong codes 429 with Retry-After, for right ones, too; half a minute later they count again."""
    path = f"/v1/users/{native.tfa_id}/recovery_codes"
    _, made = await native("POST", path)
    for _ in range(5):
        assert (await native("POST", f"{path}/verify", {"code": "wrong"}))[0] == 200
    status, problem = await native("POST", f"{path}/verify", {"code": made["codes"][0]})
    assert (status, problem["code"], problem["retry_after"]) == (429, "throttled", 30)
    clock_of(native).advance(seconds=11)
    assert (await native("POST", f"{path}/verify", {"code": made["codes"][0]}))[1]["retry_after"] == 19
    clock_of(native).advance(seconds=20)
    assert (await native("POST", f"{path}/verify", {"code": made["codes"][0]}))[1]["matched"] is True


async def test_api_07_the_same_call_makes_no_second_set(native: Native) -> None:
    """Under one key the first set stays, and is not shown again."""
    path = f"/v1/users/{native.tfa_id}/recovery_codes"
    key = {"Idempotency-Key": "k-1"}
    _, made = await native("POST", path, **key)
    assert await native("POST", path, **key) == (201, {"left": 10})
    assert (await native("POST", f"{path}/verify", {"code": made["codes"][3]}))[1]["matched"] is True
