"""Many checks at once over HTTP: exactly one success, exactly as many mismatches as tries."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from placet_server.testing import ManualClock, live_server
from support.http import read_answer, request
from support.native import Native, clock_of, native_api
from support.onecode import OneCode
from support.scale import scaled


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[OneCode]:
    async with native_api(tmp_path / "data") as native:
        yield OneCode(native, tmp_path / "data")


class Gun:
    """Keep-alive connections that hold back the last byte of their requests, and release all of them together."""

    def __init__(self, connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
        self._connections = connections

    async def fire(self, sent: list[bytes]) -> list[tuple[int, Any]]:
        """Status and JSON of one request on each connection."""
        used = self._connections[: len(sent)]
        for (_, writer), text in zip(used, sent, strict=True):
            writer.write(text[:-1])
            await writer.drain()
        await asyncio.sleep(0)
        for (_, writer), text in zip(used, sent, strict=True):
            writer.write(text[-1:])
        answers = await asyncio.gather(*(read_answer(reader) for reader, _ in used))
        assert None not in answers
        return [(answer.status, answer.json()) for answer in answers if answer is not None]


@asynccontextmanager
async def loaded(native: Native, count: int) -> AsyncIterator[Gun]:
    """So many connections to the server."""
    port = urlsplit(native.server.url).port
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    try:
        yield Gun(opened)
    finally:
        for _, writer in opened:
            writer.close()


def checking(shop: OneCode, code_id: str, code: str) -> bytes:
    """The bytes of a check."""
    body = json.dumps({"code": code}).encode()
    return request(
        "POST",
        f"/v1/codes/{code_id}/check",
        body,
        Authorization=f"Bearer {shop.native.key}",
        Content_Type="application/json",
    )


@pytest.mark.parametrize(("rounds", "at_once"), [(1_000, 2), (200, 20)])
async def test_otp_04_of_checks_at_once_exactly_one_matches(shop: OneCode, rounds: int, at_once: int) -> None:
    """Whatever number of connections releases the last byte of the right code together, one is told that it matched."""
    async with loaded(shop.native, at_once) as gun:
        for number in range(scaled(rounds)):
            _, made = await shop.issue(deliver=False, phone=f"+44770090{number:04d}")
            answers = await gun.fire([checking(shop, made["id"], made["code"])] * at_once)
            assert {status for status, _ in answers} == {200}
            outcomes = Counter(answer["outcome"] for _, answer in answers)
            assert outcomes == {"matched": 1, "used": at_once - 1}, number


async def test_otp_05_of_wrong_guesses_at_once_five_are_compared(shop: OneCode) -> None:
    """Of a hundred different guesses sent together five are called wrong; after them the right code is refused."""
    _, made = await shop.issue(deliver=False, phone="+447700900555", code="right-4711")
    async with loaded(shop.native, 100) as gun:
        answers = await gun.fire([checking(shop, made["id"], f"wrong-{guess}") for guess in range(100)])
    outcomes = Counter(answer.get("outcome") or answer["code"] for _, answer in answers)
    assert outcomes["mismatch"] == 5
    assert set(outcomes) <= {"mismatch", "exhausted", "throttled"}
    assert all((status == 429) == (answer.get("code") == "throttled") for status, answer in answers)
    clock_of(shop.native).advance(seconds=60)
    status, answer = await shop.check(made["id"], "right-4711")
    assert (status, answer["matched"], answer["outcome"], answer["tries_left"]) == (
        200,
        False,
        "exhausted",
        0,
    )


async def test_otp_05_tries_outlive_a_restart(tmp_path: Path) -> None:
    """Three wrong tries, a new server on the same data, two more: the sixth is refused although it is right."""
    data = tmp_path / "data"
    async with live_server(data, clock=ManualClock()) as server:
        native = Native(server, await server.api_key(), 0)
        _, made = await OneCode(native, data).issue(deliver=False, phone="+447700900556", code="right-4711")
        left = [(await OneCode(native, data).check(made["id"], "wrong"))[1]["tries_left"] for _ in range(3)]
        assert left == [4, 3, 2]
    async with live_server(data, clock=ManualClock()) as server:
        shop = OneCode(Native(server, native.key, 0), data)
        for expected in (1, 0):
            wrong = {"matched": False, "outcome": "mismatch", "tries_left": expected}
            assert await shop.check(made["id"], "wrong") == (200, wrong)
        status, answer = await shop.check(made["id"], "right-4711")
        assert (status, answer["matched"], answer["outcome"]) == (200, False, "exhausted")


async def test_otp_06_wrong_codes_slow_down_the_recipient_not_the_code(shop: OneCode) -> None:
    """After five wrong tries a new code for the same number has to wait: 429 with Retry-After, right or wrong."""
    for _ in range(2):
        _, made = await shop.issue(deliver=False, phone="+44 7700 900557")
        tried = [(await shop.check(made["id"], "wrong"))[0] for _ in range(3)]
    assert tried == [200, 200, 429]
    body = json.dumps({"code": made["code"]}).encode()
    url = f"{shop.native.server.url}/v1/codes/{made['id']}/check"
    headers = {"Authorization": f"Bearer {shop.native.key}", "Content-Type": "application/json"}
    async with shop.native.server.http.post(url, data=body, headers=headers) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "30")
        assert (await answer.json())["code"] == "throttled"
    clock_of(shop.native).advance(seconds=31)
    assert (await shop.check(made["id"], made["code"]))[1]["matched"] is True
