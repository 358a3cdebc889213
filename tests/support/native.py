"""One application's view of a running server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from placet_protocol import otpauth
from placet_protocol.totp import hotp, step
from placet_server.testing import LiveServer, ManualClock, live_server


class Native:
    """One application's view of a server."""

    def __init__(self, server: LiveServer, key: str, tfa_id: int) -> None:
        self.server = server
        self.key = key
        self.tfa_id = tfa_id

    async def __call__(self, method: str, path: str, json: object = None, **headers: str) -> tuple[int, Any]:
        return await self.server.call(method, path, json, key=self.key, **headers)

    async def ask(self, **changes: Any) -> tuple[int, Any]:
        """A good approval request with some members changed; None leaves a member out."""
        body = {"tfa_id": self.tfa_id, "message": "Pay?"} | changes
        return await self("POST", "/v1/approval_requests", {k: v for k, v in body.items() if v is not None})


@asynccontextmanager
async def native_api(folder: Path) -> AsyncIterator[Native]:
    """A server whose clock stands still, an application with every scope, and a user."""
    async with live_server(folder, clock=ManualClock()) as server:
        key = await server.api_key()
        yield Native(server, key, (await server.user()).tfa_id)


def clock_of(native: Native) -> ManualClock:
    """The clock that the test moves."""
    clock = native.server.clock
    assert isinstance(clock, ManualClock)
    return clock


def code_of(uri: str, now: int) -> str:
    """The code that a device would show for this otpauth URI."""
    token = otpauth.parse(uri)
    return hotp(token.secret, step(now, token.period), token.digits, token.algorithm)
