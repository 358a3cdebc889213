"""What the kernel was told before an answer left, seen from outside the server."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.blackbox import remote, shop
from support.diskwrites import said, traced
from support.ports import kept_port
from support.programs import serving
from support.scale import scaled

CREATES = scaled(1_000)
_CREATED = re.compile(r"^HTTP/1\.1 201 .*\"id\":\"([0-9a-f-]{36})\"", re.DOTALL)
_GENTLE = ("approval.max_pending=100", "approval.max_unapproved=100", "approval.number=none")


@pytest.fixture
def port() -> Iterator[int]:
    with kept_port() as kept:
        yield kept


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into a hardened process")
async def test_dur_01_no_201_leaves_before_its_request_is_synced(tmp_path: Path, port: int) -> None:
    """At the moment when a create's answer goes to the socket, its request stands in synced bytes of the store."""
    data, log = tmp_path / "data", tmp_path / "trace"
    place = ("--port", str(port))
    with serving(data, *place) as first:
        assert first.stop() == 0
    before = {file.name: file.read_bytes() for file in data.glob("placet.db*")}
    with serving(data, *place, under=traced(log, [])) as server:
        pid = int((data / "placet.db.lock").read_text())
        try:
            key, _ = await shop(data, *_GENTLE)
            async with remote(server.url, key) as application:
                people = [
                    (await application.native("POST", "/v1/users", {"email": f"p{number}@example.org"}))
                    for number in range(-(-CREATES // 50))
                ]

                async def create(number: int) -> str:
                    question = {"tfa_id": people[number // 50]["tfa_id"], "message": f"Pay {number}?"}
                    return str((await application.native("POST", "/v1/approval_requests", question))["id"])

                made = {await create(number) for number in range(CREATES // 2)}
                made |= set(await asyncio.gather(*(create(n) for n in range(CREATES // 2, CREATES))))
        finally:
            os.kill(pid, signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, 30) == 0
    unsynced, seen = [], set()
    for moment in said(log, data, before):
        if (answer := _CREATED.match(moment.line)) and answer[1] in made:
            seen.add(answer[1])
            if not any(answer[1].encode() in image for image in moment.disk.values()):
                unsynced.append(answer[1])
    assert seen == made
    assert unsynced == []
