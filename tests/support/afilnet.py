"""Calls of the Afilnet face, for its tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from placet_server.testing import ManualClock
from support.otpfaces import Desk, desk

USER, PASSWORD = "demo@example.org", "s3cret"
WHO = {"user": USER, "password": PASSWORD}
PHONE = "34600000000"
BALANCE = 100_000


@asynccontextmanager
async def afilnet(folder: Path, **more: Any) -> AsyncIterator[Desk]:
    """A server with the account of the examples (balance 10.00), on a clock that stands still."""
    more.setdefault("clock", ManualClock())
    more.setdefault("balance", BALANCE)
    async with desk(folder, "afilnet", USER, PASSWORD, **more) as made:
        yield made


def port(at: Desk) -> int:
    """Where the server listens."""
    number = urlsplit(at.live.url).port
    assert number is not None
    return number


async def said(at: Desk, class_name: str, method: str, **fields: str) -> dict[str, Any]:
    """The envelope of one GET, with the credentials of the examples unless others are given."""
    sent = {"class": class_name, "method": method, **WHO, **fields}
    status, told = await at.ask("GET", f"/api/http/?{urlencode(sent)}")
    assert status == 200
    assert isinstance(told, dict)
    return told


async def code(at: Desk, destination: str = PHONE, **fields: str) -> str:
    """A new code, a millisecond after whatever was before: which of two is newer shows in their times."""
    if isinstance(at.live.clock, ManualClock):
        at.live.clock.advance(ms=1)
    kind = "email" if "@" in destination else "mobile"
    told = await said(at, "otp", "generateotp", **{"type": kind, "destination": destination, **fields})
    assert told["status"] == "SUCCESS", told
    return str(told["result"]["code"])


async def verified(at: Desk, value: str, destination: str = PHONE, **fields: str) -> bool:
    """Whether a code is taken; everything else is CODE_NOT_FOUND."""
    told = await said(at, "otp", "verifyotp", destination=destination, code=value, **fields)
    if told["status"] == "SUCCESS":
        assert told == {"status": "SUCCESS", "result": {}}
        return True
    assert told == {"status": "ERROR", "error": "CODE_NOT_FOUND"}
    return False


def wrong(value: str) -> str:
    """Another code of the same form."""
    return value[:-1] + (
        "B" if value[-1] == "A" else "A" if value[-1].isalpha() else str((int(value[-1]) + 1) % 10)
    )
