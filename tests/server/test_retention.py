"""What is old is erased, in small bites; what is young, pending or evidence of membership stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

from placet_server.domain.calllog import CallLog, Sought
from placet_server.domain.ids import new_id
from placet_server.domain.retention import CHUNK, DAY_MS, Kept, Retention
from placet_server.ports import Sql, plan, step
from placet_server.testing import ClearSealer, SeededEntropy
from placet_server.web.apilog import ApiLog, Noted
from support.answering import World, world

_APPROVAL = Sql(
    "t1",
    "INSERT INTO approvals (id, org, application, user_id, tfa_id, status, created_at, expires_at, sealed)"
    " VALUES (?, 'default', 'a', 'u', 1, ?, ?, ?, x'00')",
)
_ENROLLMENT = Sql(
    "t2",
    "INSERT INTO enrollments (id, org, application, user_id, status, token_hash, created_at, expires_at)"
    " VALUES (?, 'default', 'a', ?, ?, x'00', ?, ?)",
)
_DOCUMENT = Sql("t3", "INSERT INTO documents (approval, sealed) VALUES (?, x'00')")
_ACK = Sql("t4", "INSERT INTO acks (device, item, acked_at) VALUES (?, ?, ?)")
YOUNG, OLD = 1, 400


async def sweep(w: World, **kept: int) -> None:
    days = {"log": 0, "approvals": 0, "enrollments": 0, "acks": 0} | kept
    calls = CallLog(w.store, ClearSealer())
    await Retention(w.store, calls, Kept(**days)).sweep(w.now)


async def left(w: World, table: str, column: str) -> list[str]:
    rows = await w.store.rows(Sql("t", f"SELECT {column} FROM {table} ORDER BY 1"))
    return [row[0] for row in rows]


async def test_old_requests_go_with_their_documents_and_pending_ones_stay(tmp_path: Path) -> None:
    """More than a bite of ended requests is erased, also between pending ones; young ones and audit entries stay."""
    async with world(tmp_path) as w:
        entropy, stay = SeededEntropy(3), []
        audit = await w.count("audit")
        for number in range(CHUNK * 2 + 7):
            status = "pending" if number % 3 == 0 else ("approved", "expired")[number % 2]
            for days in (YOUNG, OLD) if number % 100 == 0 else (OLD,):
                at = w.now - days * DAY_MS + number
                row_id = new_id(at, entropy)
                await w.store.write(
                    plan(
                        step(_APPROVAL, row_id, status, at, at + 1000),
                        step(_DOCUMENT, row_id),
                    )
                )
                if days == YOUNG or status == "pending":
                    stay.append(row_id)
        await sweep(w)
        assert await w.count("approvals") > len(stay)
        await sweep(w, approvals=365)
        assert await left(w, "approvals", "id") == sorted(stay)
        assert await left(w, "documents", "approval") == sorted(stay)
        assert await w.count("audit") == audit


async def test_enrolments_that_came_to_nothing_go_and_confirmed_ones_stay(tmp_path: Path) -> None:
    """A confirmed enrolment says that its user had a device, without which another could be added unasked."""
    async with world(tmp_path) as w:
        entropy, stay = SeededEntropy(4), []
        for days in (YOUNG, OLD):
            for status in ("open", "redeemed", "confirmed", "void", "expired"):
                at = w.now - days * DAY_MS
                row_id = new_id(at, entropy)
                await w.store.write(plan(step(_ENROLLMENT, row_id, w.user.id, status, at, at + 600_000)))
                if days == YOUNG or status not in {"void", "expired"}:
                    stay.append(row_id)
        await sweep(w, enrollments=30)
        assert await left(w, "enrollments", "id") == sorted(stay)


async def test_old_acknowledgements_go(tmp_path: Path) -> None:
    """By their own time, whatever device and item they name, over several bites."""
    async with world(tmp_path) as w:
        for number in range(CHUNK + 20):
            at = w.now - (OLD if number % 2 else YOUNG) * DAY_MS
            await w.store.write(plan(step(_ACK, f"device-{number % 7}", f"item-{number:05d}", at)))
        await sweep(w, acks=90)
        assert await left(w, "acks", "item") == [f"item-{number:05d}" for number in range(0, CHUNK + 20, 2)]


async def test_log_03_calls_are_kept_for_the_set_time(tmp_path: Path) -> None:
    """Old rows of the API log go in bites between which others write; young ones stay."""
    async with world(tmp_path) as w:
        apilog = ApiLog(w.store, ClearSealer())
        for number in range(CHUNK * 6):
            at = w.now - (OLD if number < CHUNK * 5 + 3 else YOUNG) * DAY_MS + number
            row = (f"{at:012x}{number:016x}", at, "native", "GET", "/", 200, None, "", None, None, 1)
            apilog.add(Noted(row, None, {}, "", (), {}))
        await apilog.flush()
        between = 0

        async def others() -> None:
            nonlocal between
            while True:
                await w.store.write(plan(step(_ACK, "device", f"item-{between}", w.now), guards=0))
                between += 1

        working = asyncio.create_task(others())
        await sweep(w, log=90)
        working.cancel()
        assert between >= 3
        assert await w.count("api_log") == CHUNK - 3
        page = await CallLog(w.store, ClearSealer()).search(Sought(), None, 1000)
        assert len(page.items) == CHUNK - 3
