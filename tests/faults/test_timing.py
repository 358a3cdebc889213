"""What an answer's time could tell: who is known, and which half of a credential was right."""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from placet_server.domain.apikeys import read_api_key
from support.described import NAME, NOBODY, OCTO_KEY, Faces, faces
from support.http import read_answer
from support.scale import FULL
from support.wishes import Wish

pytestmark = pytest.mark.skipif(
    os.environ.get(FULL) != "1", reason="compares times on a quiet machine: python3 dev.py faults"
)
SAMPLES = 2_000
GAP = 0.05
CHANCE = 0.01
ATTEMPTS = 4
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


async def times(made: Faces, *wishes: Wish) -> list[list[float]]:
    """Seconds that each of these takes, asked in turns on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    sent = [wish.encoded() for wish in wishes]
    found: list[list[float]] = [[] for _ in wishes]
    for number in range(SAMPLES + 100):
        for place in sorted(range(len(sent)), reverse=bool(number % 2)):
            begun = time.perf_counter()
            writer.write(sent[place])
            answer = await read_answer(reader)
            if number >= 100:  # the first ones warm up
                found[place].append(time.perf_counter() - begun)
            assert answer is not None
            assert answer.status in {401, 404}
    writer.close()
    return found


def chance_of(one: Sequence[float], other: Sequence[float]) -> float:
    """How likely such samples are when nothing differs: Mann-Whitney, two-sided, by the normal approximation."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    first = sum(rank for rank, (_, which) in enumerate(ranked, start=1) if which == 0)
    n, m = len(one), len(other)
    above = first - n * (n + 1) / 2 - n * m / 2
    return math.erfc(abs(above) / math.sqrt(n * m * (n + m + 1) / 12) / math.sqrt(2))


async def alike(made: Faces, *wishes: Wish) -> None:
    """Fail when two calls differ in time, attempt after attempt; noise of the machine differs from one to the next."""
    seen = []
    for _ in range(ATTEMPTS):
        one, other = await times(made, *wishes)
        gap = abs(statistics.median(one) / statistics.median(other) - 1)
        seen.append((gap, chance_of(one, other)))
        if gap < GAP and seen[-1][1] > CHANCE:
            return
    pytest.fail(f"{wishes[0].path}: {seen}")


def with_checksum(stem: str) -> str:
    number, text = zlib.crc32(stem.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        text = _BASE62[digit] + text
    return stem + text


async def test_api_02_an_unknown_key_takes_the_time_of_a_wrong_secret(tmp_path: Path) -> None:
    """Natively and on a face with accounts: medians within 5 %, and no order to be seen in 2,000 pairs."""
    async with faces(tmp_path / "data") as made:
        key = read_api_key(made.key)
        assert key is not None
        unknown = with_checksum(f"plk_{key.id[::-1]}_{key.secret}")
        wrong = with_checksum(f"plk_{key.id}_{key.secret[::-1]}")
        assert read_api_key(unknown)
        assert read_api_key(wrong)
        await alike(
            made,
            *(
                Wish("GET", "/v1/users", None, [("Authorization", f"Bearer {one}")])
                for one in (unknown, wrong)
            ),
        )
        long = OCTO_KEY + "-and-more"
        path = "/v1/public/wallet/check-balance"
        for name, secret in ((NAME, long),):
            other = "x" * len(name)
            await alike(
                made,
                Wish("GET", path, None, [("api-login", name), ("api-key", secret)]),
                Wish("GET", path, None, [("api-login", other), ("api-key", secret)]),
            )


async def test_enu_01_without_a_key_known_people_take_the_time_of_unknown_ones(tmp_path: Path) -> None:
    """Users, approval requests and reports, asked for by strangers."""
    async with faces(tmp_path / "data") as made:
        user = made.values["user"]
        _, asked = await made.live.call(
            "POST", "/v1/approval_requests", {"tfa_id": int(user), "message": "Pay?"}, key=made.key
        )
        for path, one, none in (
            ("/v1/users/{}", user, "999999999"),
            ("/v1/approval_requests/{}", asked["id"], NOBODY),
            ("/protected/json/users/{}/status", user, "999999999"),
            ("/onetouch/json/approval_requests/{}", asked["id"], NOBODY),
        ):
            await alike(made, *(Wish("GET", path.replace("{}", each)) for each in (one, none)))


async def test_enu_04_a_wrong_secret_takes_the_time_of_a_message_that_is_not_there(tmp_path: Path) -> None:
    """A report URL tells by its time no more than by its words."""
    async with faces(tmp_path / "data") as made:
        await made.live.call("POST", "/v1/messages", {"phone": "+447700900123", "text": "Hi"}, key=made.key)
        (message,) = await made.gateway.count(1)
        path = f"/gateway/reports/recorded/{{}}/{'a' * 32}"
        await alike(made, *(Wish("GET", path.replace("{}", each)) for each in (message.id, NOBODY)))


def test_a_difference_would_be_seen() -> None:
    """Samples that differ by a twentieth are told apart, equal ones are not."""
    one = [1.0 + (number * 7919 % 1000) / 10_000 for number in range(SAMPLES)]
    assert chance_of(one, [value * 1.05 for value in one]) < CHANCE
    assert chance_of(one, list(reversed(one))) > CHANCE
