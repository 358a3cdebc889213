"""A person with a real authenticator, enrolled on a live server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from placet_authenticator.authenticator import Authenticator
from placet_authenticator.calls import open_session
from placet_authenticator.enrolling import read_uri
from placet_authenticator.inbox import Event
from placet_authenticator.link import Link, Pace
from placet_authenticator.running import now
from placet_authenticator.vault import QUICK, Vault
from placet_server.testing import LiveServer

E = TypeVar("E", bound=Event)
PASSPHRASE = "correct horse"
PAYMENT: dict[str, Any] = {
    "message": "Pay 10 EUR?",
    "details": {"visible": {"Amount": "10 EUR", "To": "Zoe"}, "hidden": {"ledger": "hidden-canary-4711"}},
    "context": {"ip": "192.0.2.7", "place": "Vienna", "agent": "Firefox"},
}
FAST = Pace(first=0.02, longest=0.1, stable=0.2, poll_wait=2, socket_again=0.5, pending=0.1)
"""A link that loses no time."""


@asynccontextmanager
async def authenticator(folder: Path) -> AsyncIterator[Authenticator]:
    """An authenticator on the vault in ``folder``, made when there is none."""
    path = folder / "vault.db"
    vault = Vault.open(path, PASSPHRASE) if path.exists() else Vault.create(path, PASSPHRASE, profile=QUICK)
    async with open_session() as session:
        with vault:
            yield Authenticator(vault, session, clock=now)


async def ok(server: LiveServer, method: str, path: str, json: object = None, *, key: str) -> Any:
    """The JSON of a call of the native API that succeeds."""
    status, answer = await server.call(method, path, json, key=key)
    assert status < 300, answer
    return answer


async def invite(server: LiveServer, tfa_id: int, key: str, **more: object) -> Any:
    """A new enrolment as the application gets it."""
    return await ok(server, "POST", f"/v1/users/{tfa_id}/enrollments", more, key=key)


async def enrolled(
    server: LiveServer, device: Authenticator, tfa_id: int, key: str, name: str = "laptop", **more: object
) -> str:
    """Enrol and confirm as person and application do; returns the device's id."""
    invitation = await invite(server, tfa_id, key, **more)
    done = await device.enroll(read_uri(invitation["uri"]), device_name=name)
    check = {"check": done.enrollment.check}
    await ok(server, "POST", f"/v1/enrollments/{invitation['id']}/confirm", check, key=key)
    assert await device.confirmed(done.enrollment)
    return done.enrollment.id


async def ask(server: LiveServer, tfa_id: int, key: str, **more: object) -> Any:
    """A new approval request as the application gets it."""
    return await ok(server, "POST", "/v1/approval_requests", {"tfa_id": tfa_id, **PAYMENT, **more}, key=key)


async def state_of(server: LiveServer, request: Any, key: str) -> Any:
    """What the application reads of a request."""
    return await ok(server, "GET", f"/v1/approval_requests/{request['id']}", key=key)


@asynccontextmanager
async def following(
    device: Authenticator, pace: Pace = FAST
) -> AsyncIterator[tuple[Link, asyncio.Queue[Event]]]:
    """A running link that absorbs what comes, and the events in order."""
    origin = device.enrollments[0].origin
    link = Link(device.calls(origin), device.enrollments, clock=now, pace=pace)
    events: asyncio.Queue[Event] = asyncio.Queue()

    async def follow() -> None:
        async for event in link:
            device.absorb(event)
            events.put_nowait(event)

    async with link:
        task = asyncio.create_task(follow())
        try:
            yield link, events
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(events: asyncio.Queue[Event], kind: type[E], seconds: float = 30) -> E:
    """The next event of a kind."""
    async with asyncio.timeout(seconds):
        while not isinstance(event := await events.get(), kind):
            pass
        return event
