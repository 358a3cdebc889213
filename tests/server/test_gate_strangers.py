"""Who presents nothing valid is told to wait after a while; who does is never in that count."""

from __future__ import annotations

from pathlib import Path

import pytest

from placet_server.testing import live_server
from support.gated import gated
from support.gateroutes import JSON, ask, echo
from support.http import Answer, request

HERE, THERE = "192.0.2.7", "198.51.100.9"
LIMIT = 5
PROXY = ("127.0.0.0/8",)


def wrong(path: str = "/v1/echo", **headers: str) -> bytes:
    return request("POST", path, b"{}", Content_Type=JSON, **headers)


def heard(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["code"]


async def test_dos_05_strangers_of_one_address_are_told_to_wait(tmp_path: Path) -> None:
    """Twice the limit at once, whatever they try, then 429 until the named seconds are over."""
    async with gated(tmp_path, echo, strangers=LIMIT) as served:
        for _ in range(LIMIT):
            assert heard(await ask(served, wrong())) == (401, "unauthorized")
            assert heard(await ask(served, wrong("/nothing"))) == (404, "not_found")
        for path in ("/v1/echo", "/nothing"):
            limited = await ask(served, wrong(path))
            assert heard(limited) == (429, "rate_limited")
            assert limited.headers["retry-after"] == "12"
            assert "without a valid credential" in limited.json()["detail"]
        served.clock.advance(seconds=12)
        assert heard(await ask(served, wrong())) == (401, "unauthorized")
        assert heard(await ask(served, wrong())) == (429, "rate_limited")


async def test_dos_05_a_good_credential_is_not_held_up_by_strangers_beside_it(tmp_path: Path) -> None:
    """Behind the same address, calls with a key go on, are refused for their own reasons, and are not counted."""
    async with gated(tmp_path, echo, strangers=LIMIT) as served:
        good = wrong(X_Key="a")
        for _ in range(3 * LIMIT):
            assert (await ask(served, good)).status == 200
            assert heard(await ask(served, wrong(X_Key="a", X_Scopes="other"))) == (403, "forbidden")
            assert (await ask(served, request("GET", "/v1/items"))).status == 200
        for _ in range(2 * LIMIT):
            assert heard(await ask(served, wrong())) == (401, "unauthorized")
        assert heard(await ask(served, wrong())) == (429, "rate_limited")
        assert (await ask(served, good)).status == 200
        assert heard(await ask(served, wrong(X_Key="a", X_Scopes="other"))) == (403, "forbidden")
        assert (await ask(served, request("GET", "/v1/items"))).status == 200


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        (HERE, THERE, False),
        (HERE, f"::ffff:{HERE}", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
    ],
)
async def test_dos_05_each_network_has_a_count_of_its_own(
    tmp_path: Path, first: str, second: str, *, shared: bool
) -> None:
    """An IPv4 address, or a /64 of IPv6; behind a trusted proxy it is the one that the proxy names."""
    async with gated(tmp_path, echo, strangers=LIMIT, trusted=PROXY) as served:
        for _ in range(2 * LIMIT):
            assert (await ask(served, wrong(X_Forwarded_For=first))).status == 401
        assert (await ask(served, wrong(X_Forwarded_For=first))).status == 429
        assert (await ask(served, wrong(X_Forwarded_For=second))).status == (429 if shared else 401)


async def test_dos_05_nobody_gets_a_new_count_by_a_header(tmp_path: Path) -> None:
    """``X-Forwarded-For`` of who is no trusted proxy changes nothing."""
    async with gated(tmp_path, echo, strangers=LIMIT) as served:
        for number in range(2 * LIMIT):
            assert (await ask(served, wrong(X_Forwarded_For=f"192.0.2.{number}"))).status == 401
        assert (await ask(served, wrong(X_Forwarded_For=THERE))).status == 429


async def test_dos_05_without_a_limit_everybody_hears_why(tmp_path: Path) -> None:
    """With 0 nothing is counted."""
    async with gated(tmp_path, echo, strangers=0) as served:
        for _ in range(200):
            assert (await ask(served, wrong())).status == 401


async def test_dos_05_all_doors_of_a_server_are_one_count(tmp_path: Path) -> None:
    """Wrong keys, unknown paths, guessed invitations and proofs, and wrong keys of a face, which says it in its own way."""
    async with live_server(tmp_path, strangers_per_minute=2) as server:
        key = await server.api_key()
        await server.domain.credentials.add("authy", "acme", None, {}, server.clock.now())
        guess = "/device/v1/enrollments/0190c1f0-7a2b-7c3d-8e4f-5a6b7c8d9e0f"
        jose = {"Content-Type": "application/jose"}

        async def ask_all() -> list[tuple[int, str]]:
            said = [
                await server.call("GET", "/v1/users/1", key="plk_wrong"),
                await server.call("GET", "/.env"),
                await server.call("POST", guess, {}, **jose),
                await server.call("GET", "/device/v1/items"),
            ]
            return [(status, problem["code"]) for status, problem in said]

        assert await ask_all() == [
            (401, "unauthorized"),
            (404, "not_found"),
            (404, "not_found"),
            (401, "invalid_proof"),
        ]
        assert await ask_all() == [(429, "rate_limited")] * 4
        status, told = await server.call("GET", "/protected/json/app/details", **{"X-Authy-API-Key": "wrong"})
        assert (status, told["error_code"]) == (429, "60003")
        assert (await server.call("GET", "/v1/approval_requests", key=key))[0] == 200
        assert (await server.call("GET", "/healthz"))[0] == 200
