"""URLs that others write into requests, devices and documents: a canary beside the server hears of none of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from placet_protocol import documents, jose
from placet_server.domain.values import Enrollment
from placet_server.testing import LiveServer, live_server
from support.forging import es256, forge
from support.joining import Joiner

SPELLINGS = 8


class Canary:
    """A port on this machine, and how often somebody connected to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heard = 0

    def urls(self) -> tuple[str, ...]:
        """The canary in the spellings of one who tries."""
        hosts = ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433")
        return tuple(f"{scheme}://{host}:{self.port}/c" for scheme in ("https", "http") for host in hosts)


@asynccontextmanager
async def canary() -> AsyncIterator[Canary]:
    """A canary on a free port of 127.0.0.1."""
    kept = Canary(0)

    def connected(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept.heard += 1
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    kept.port = server.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def guarded(folder: Path) -> AsyncIterator[tuple[LiveServer, Canary, str, int]]:
    """A server that may reach no private network, a canary, a key and a user; the canary was never called."""
    async with canary() as kept:
        async with live_server(folder, egress_allow=()) as server:
            yield server, kept, await server.api_key(), (await server.user()).tfa_id
        assert kept.heard == 0


async def invited(server: LiveServer, key: str, tfa_id: int) -> tuple[Joiner, Enrollment]:
    """A device that is about to join."""
    status, made = await server.call("POST", f"/v1/users/{tfa_id}/enrollments", {}, key=key)
    assert status == 201, made
    return Joiner(), Enrollment(made["id"], "", "open", 0, 0, None, made["uri"])


async def join(server: LiveServer, enrollment: Enrollment, wish: str) -> tuple[int, Any]:
    """Status and JSON of a device's wish."""
    path = f"{server.url}/device/v1/enrollments/{enrollment.id}"
    headers = {"Content-Type": "application/jose"}
    async with server.http.post(path, data=wish.encode(), headers=headers) as reply:
        return reply.status, await reply.json()


@pytest.mark.parametrize("number", range(SPELLINGS))
async def test_ssr_07_no_push_endpoint_leads_inside(tmp_path: Path, number: int) -> None:
    """A device whose endpoint is a private address is refused with the reason, and nobody calls there."""
    async with guarded(tmp_path / "data") as (server, kept, key, tfa_id):
        joiner, enrollment = await invited(server, key, tfa_id)
        push = joiner.members(enrollment)["push"] | {"endpoint": kept.urls()[number]}
        status, said = await join(server, enrollment, joiner.wish(enrollment, push=push))
        assert (status, said["code"]) == (400, "enrollment_refused")
        assert "push.endpoint" in said["detail"]
        assert (await join(server, enrollment, joiner.wish(enrollment)))[0] == 200


async def test_ssr_07_logos_are_never_fetched(tmp_path: Path) -> None:
    """Requests that name them go to the device and end; the server has no use for what is there."""
    async with guarded(tmp_path / "data") as (server, kept, key, tfa_id):
        joiner, enrollment = await invited(server, key, tfa_id)
        assert (await join(server, enrollment, joiner.wish(enrollment)))[0] == 200
        taken = 0
        for url in kept.urls():
            ask = {"tfa_id": tfa_id, "message": "Pay?", "logos": [{"res": "low", "url": url}]}
            status, made = await server.call("POST", "/v1/approval_requests", ask, key=key)
            assert status == 201 or made["code"] == "invalid_request", made
            if status == 201:
                taken += 1
                await server.call("POST", f"/v1/approval_requests/{made['id']}/cancel", key=key)
        assert taken


@pytest.mark.parametrize("member", ["jku", "x5u"])
async def test_ssr_07_no_document_says_where_its_key_is(tmp_path: Path, member: str) -> None:
    """A header that names a place for keys is refused, whether the key is there beside it or not."""
    async with guarded(tmp_path / "data") as (server, kept, key, tfa_id):
        joiner, enrollment = await invited(server, key, tfa_id)
        named = {"jwk": jose.public_jwk(joiner.key.public_key())}
        for url in kept.urls():
            for more in ({}, named):
                header = {"alg": "ES256", "typ": documents.ENROLL, member: url} | more
                wish = forge(header, joiner.members(enrollment), es256(joiner.key))
                status, said = await join(server, enrollment, wish)
                assert (status, said["code"]) == (400, "enrollment_refused"), url
        fine = forge(
            {"alg": "ES256", "typ": documents.ENROLL} | named, joiner.members(enrollment), es256(joiner.key)
        )
        assert (await join(server, enrollment, fine))[0] == 200
