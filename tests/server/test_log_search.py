"""Searching the API log: by each field, in pages, for one application natively and for all by the operator."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from placet_server.domain import calllog
from placet_server.domain.calllog import CallLog, Sought
from placet_server.ports import Sql, Store
from placet_server.storage import open_store
from placet_server.testing import START, ClearSealer, LiveServer, ManualClock, live_server
from placet_server.web.apilog import ApiLog, Noted
from support.answering import code_of

SECOND = 1000


def noted(
    number: int,
    *,
    face: str = "native",
    route: str = "/v1/users",
    status: int = 200,
    ip: str = "192.0.2.1",
    application: str | None = "app-a",
    facts: dict[str, Any] | None = None,
    sent: dict[str, Any] | None = None,
    path: dict[str, str] | None = None,
) -> Noted:
    """A call that came ``number`` seconds after the start."""
    at = START + number * SECOND
    request_id = f"{at:012x}{number:016x}"
    row = (request_id, at, face, "GET", route, status, None, ip, application, f"key-{application}", 50)
    return Noted(
        row, "agent/1", path or {}, "", (), facts or {}, sent, b'{"status":"SUCCESS"}', "application/json"
    )


async def filled(folder: Path, *calls: Noted) -> tuple[Store, CallLog]:
    store = await open_store(folder / "log.db")
    apilog = ApiLog(store, ClearSealer())
    for call in calls:
        apilog.add(call)
    await apilog.flush()
    return store, CallLog(store, ClearSealer())


async def numbers(log: CallLog, **sought: Any) -> list[int]:
    """Which calls are found, by their numbers."""
    page = await log.search(Sought(**sought), None, 200)
    return [(call.at - START) // SECOND for call in page.items]


async def test_log_03_calls_are_found_by_every_field(tmp_path: Path) -> None:
    """Time, address and network, face, route, status, code, request id, credential, application, user, destination."""
    store, log = await filled(
        tmp_path,
        noted(0),
        noted(1, face="afilnet", route="/{api:(?i:api/http)/?}", ip="192.0.2.200", sent={"class": "otp", "method": "verifyotp", "destination": "+34 600-000 000"}),
        noted(2, status=401, application=None, ip="2001:db8::7"),
        noted(3, route="/v1/users/{tfa_id:[1-9][0-9]{0,15}}", path={"tfa_id": "4711"}),
        noted(4, facts={"user": 4711, "subject": "an-id", "code": "matched"}),
        noted(5, application="app-b", facts={"destination": "Ana@Example.org"}),
        noted(6, face="authy", sent={"country_code": "34", "phone_number": "600 000 000"}),
        noted(7, face="authy", sent={"user": {"country_code": 34, "cellphone": "600000000"}}),
    )  # fmt: skip
    assert await numbers(log) == [7, 6, 5, 4, 3, 2, 1, 0]
    assert await numbers(log, since=START + 2 * SECOND, until=START + 4 * SECOND) == [3, 2]
    assert await numbers(log, ip="192.0.2.200") == [1]
    assert await numbers(log, ip="2001:db8::/64") == [2]
    assert await numbers(log, ip="192.0.2.0/25") == [7, 6, 5, 4, 3, 0]
    assert await numbers(log, face="afilnet") == [1]
    assert await numbers(log, route="otp/verifyotp") == [1]
    assert await numbers(log, route="/v1/users/{tfa_id}") == [3]
    assert await numbers(log, status=401) == [2]
    assert await numbers(log, code="matched") == [4]
    assert await numbers(log, request_id=f"{START + 5 * SECOND:012x}{5:016x}") == [5]
    assert await numbers(log, request_id=f"{START + 5 * SECOND:012x}") == []
    assert await numbers(log, credential="key-app-b") == [5]
    assert await numbers(log, application="app-b") == [5]
    assert await numbers(log, user=4711) == [4, 3]
    assert await numbers(log, user=4712) == []
    for spelling in ("34600000000", "+34600000000", "0034 600 000 000"):
        assert await numbers(log, destination=spelling) == [7, 6, 1]
    assert await numbers(log, destination="ana@example.org") == [5]
    assert await numbers(log, destination="34600000000", face="authy", until=START + 7 * SECOND) == [6]
    assert await numbers(log, method="get", status=200, face="native") == [5, 4, 3, 0]
    assert await code_of(log.search(Sought(ip="nonsense"), None, 1)) == "invalid_request"
    row = (await log.search(Sought(code="matched"), None, 1)).items[0]
    assert (row.subject, row.agent, row.detail.facts) == ("an-id", "agent/1", {})
    await store.close()


async def test_pages_hold_every_call_once(tmp_path: Path) -> None:
    """Following the cursor gives all that match, newest first, whatever the size of a page."""
    store, log = await filled(tmp_path, *(noted(number, status=200 + number % 2) for number in range(101)))
    for limit in (1, 7, 50, 200):
        found: list[int] = []
        after: str | None = None
        while True:
            page = await log.search(Sought(status=201), after, limit)
            found += [call.at for call in page.items]
            after = page.next
            if after is None:
                break
        assert found == [START + number * SECOND for number in range(99, 0, -2)]
    await store.close()


async def test_a_search_for_rare_calls_has_an_end_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks at so many rows a call, gives a cursor to go on with, and lets others work in between."""
    monkeypatch.setattr(calllog, "SCANNED_MAX", 2_000)
    store, log = await filled(tmp_path, noted(0, status=500), *(noted(number) for number in range(1, 5_000)))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(others())
    page = await log.search(Sought(status=500), None, 10)
    assert not page.items
    assert page.next is not None
    assert turns >= 3
    while not page.items:
        page = await log.search(Sought(status=500), page.next, 10)
        assert page.items or page.next
    assert page.items[0].status == 500
    working.cancel()
    await store.close()


async def test_a_destination_is_found_without_reading_the_rest(tmp_path: Path) -> None:
    """The blind index leads straight to the rows, in the order of time, however long the log is."""
    calls = [noted(number, facts={"destination": f"+3460000{number % 70:04d}"}) for number in range(700)]
    store, log = await filled(tmp_path, *calls)
    assert await numbers(log, destination="+34600000007") == list(range(637, 0, -70))
    sql = calllog._OF_DESTINATION
    plan = await store.rows(Sql("explain", f"EXPLAIN QUERY PLAN {sql.text}"), ("~", "", "", "x", 10))
    assert len(plan) == 1
    assert "USING INDEX api_log_of_destination (destination=? AND id>? AND id<?)" in str(plan)
    await store.close()


@pytest.fixture
async def server(tmp_path: Path) -> Any:
    async with live_server(tmp_path / "data") as live:
        yield live


async def entries(live: LiveServer, key: str, query: str, count: int) -> list[dict[str, Any]]:
    """The entries that a query finds, once there are so many."""
    async with asyncio.timeout(20):
        while True:
            status, page = await live.call("GET", f"/v1/log?{query}", key=key)
            assert status == 200, page
            items: list[dict[str, Any]] = page["items"]
            if len(items) >= count:
                return items
            await asyncio.sleep(0.05)


async def test_api_05_an_application_sees_its_own_calls_only(server: LiveServer) -> None:
    """Natively the log is that of the caller's application, whatever is asked for; it needs scope log:read."""
    acme, shop = await server.api_key("acme"), await server.api_key("shop")
    blind = await server.api_key("blind", ("users",))
    user = await server.user()
    for key in (acme, shop, "plk_nobody"):
        await server.call("GET", f"/v1/users/{user.tfa_id}", key=key)
    mine = await entries(server, acme, f"user={user.tfa_id}", 1)
    assert len(mine) == 1
    assert mine[0]["route"] == "/v1/users/{tfa_id}"
    theirs = await entries(server, shop, f"user={user.tfa_id}", 1)
    assert mine[0]["credential"] != theirs[0]["credential"]
    status, page = await server.call("GET", f"/v1/log?credential={mine[0]['credential']}", key=shop)
    assert (status, page) == (200, {"items": [], "next": None})
    status, page = await server.call("GET", f"/v1/log?request_id={mine[0]['request_id']}", key=shop)
    assert (status, page) == (200, {"items": [], "next": None})
    status, problem = await server.call("GET", "/v1/log", key=blind)
    assert (status, problem["code"]) == (403, "forbidden")
    everything = await server.domain.calls.search(Sought(status=401), None, 10)
    assert [call.application for call in everything.items] == [None]


@pytest.mark.parametrize(
    "query",
    ["ip=x", "since=2026-01-01", "user=0", "status=1", "limit=201", "text=a", "face=", "ip=10.0.0.1/8"],
)
async def test_a_wrong_query_is_refused(server: LiveServer, query: str) -> None:
    """Unknown filters and values that are none: 400, with the place."""
    key = await server.api_key("acme")
    status, problem = await server.call("GET", f"/v1/log?{query}", key=key)
    assert (status, problem["code"]) == (400, "invalid_request")


async def test_log_04_every_result_of_a_factor_has_its_row(server: LiveServer) -> None:
    """Each check of a code leaves one row with its outcome, found by user; so do questions, with their id."""
    key = await server.api_key("acme")
    user = await server.user()
    path = f"/v1/users/{user.tfa_id}/soft_tokens"
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    _, token = await server.call("POST", path, {"name": "app", "secret": secret}, key=key)
    await server.call("POST", f"/v1/soft_tokens/{token['id']}/confirm", {"code": "000000"}, key=key)
    outcomes = []
    for code in ("000000", "123456", "999999"):
        status, said = await server.call("POST", f"{path}/verify", {"code": code}, key=key)
        outcomes.append("throttled" if status == 429 else said.get("reason", "matched"))
    rows = await entries(server, key, f"user={user.tfa_id}&route=/verify", 3)
    assert [row["code"] for row in reversed(rows)] == outcomes
    asked = {"tfa_id": user.tfa_id, "message": "Log in?"}
    status, created = await server.call("POST", "/v1/approval_requests", asked, key=key)
    assert status == 201
    (row,) = await entries(server, key, f"user={user.tfa_id}&route=/v1/approval_requests", 1)
    assert row["subject"] == created["id"]
    assert "parameters" not in row


async def test_queries_are_kept_by_the_names_that_the_route_knows(tmp_path: Path) -> None:
    """What a caller puts into a native URL beyond that, such as a key, is nowhere."""
    async with live_server(tmp_path / "data", clock=ManualClock()) as live:
        key = await live.api_key("acme")
        await live.call("GET", "/v1/users?limit=7", key=key)
        await live.call("GET", "/v1/users?limit=7&api_key=CANARY", key=key)
        async with asyncio.timeout(20):
            items: tuple[Any, ...] = ()
            while len(items) < 2:
                items = (await live.domain.calls.search(Sought(), None, 10)).items
                await asyncio.sleep(0.05)
        assert [item.detail.parameters for item in items] == [{"limit": "7"}] * 2
        assert "CANARY" not in str(items)


async def test_policies_are_read_and_changed_natively(server: LiveServer) -> None:
    """As `application set` does, for keys with scope admin: types in JSON, hints for mistakes, at once in force."""
    key = await server.api_key("acme")
    path = "/v1/applications/self/policies"
    status, policies = await server.call("GET", path, key=key)
    assert (status, policies["approval.ttl"]) == (200, 300)
    changes = {
        "approval.ttl": 120,
        "enrollment.soft_token": False,
        "approval.number": "entry:4",
        "callback.hosts": ["shop.example"],
        "limits.networks": ["::ffff:127.0.0.0/104"],
    }
    status, changed = await server.call("PATCH", path, changes, key=key)
    assert status == 200
    assert changed == policies | changes | {"limits.networks": ["127.0.0.0/8"]}
    assert await server.call("GET", path, key=key) == (200, changed)
    for wrong, words in (
        ({"approval.tll": 1}, "did you mean approval.ttl"),
        ({"approval.ttl": 1}, "goes from 5 to"),
        ({"approval.ttl": None}, ""),
        ({"limits.networks": ["10.0.0.1/8"]}, "10.0.0.0/8"),
    ):
        status, problem = await server.call("PATCH", path, wrong, key=key)
        assert (status, problem["code"]) == (400, "invalid_request")
        assert words in problem["detail"]
    assert await server.call("GET", path, key=key) == (200, changed)
    weak = await server.api_key("weak", ("users", "approvals", "codes"))
    for method, body in (("GET", None), ("PATCH", {"approval.ttl": 60})):
        status, problem = await server.call(method, path, body, key=weak)
        assert (status, problem["code"]) == (403, "forbidden")
