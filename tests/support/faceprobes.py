"""One harmless call of each face with a credential, the same for all tests of what the faces have in common."""

from __future__ import annotations

import asyncio
import base64
from typing import NamedTuple
from urllib.parse import quote

from placet_server.domain.calllog import LoggedCall, Sought
from placet_server.testing import LiveServer

NAME = "demo@example.org"


class Probe(NamedTuple):
    """A face, what opens it, and how its harmless call is made: ``target`` and ``headers`` hold the secret."""

    face: str
    name: str
    secret: str

    def target(self, secret: str | None = None, more: str = "") -> str:
        """The path and query of the call."""
        name, key = quote(self.name), quote(secret or self.secret)
        return {
            "native": f"/v1/users?limit=7{more}",
            "authy": f"/protected/json/app/details?user_ip=1.2.3.4{more}",
            "afilnet": f"/api/http/?class=user&method=getbalance&user={name}&password={key}{more}",
            "unityvox": f"/api/get-api/v1/OTP-api?accountnumber={name}&apikey={key}&ref_id=NONE&phone_number=1{more}",
            "octopush": f"/v1/public/wallet/check-balance?with_details=1{more}",
        }[self.face]

    def headers(self, secret: str | None = None) -> dict[str, str]:
        """The headers of the call."""
        key = secret or self.secret
        basic = base64.b64encode(f"{self.name}:{key}".encode()).decode()
        return {
            "native": {"Authorization": f"Bearer {key}"},
            "authy": {"X-Authy-API-Key": key},
            "afilnet": {},
            "unityvox": {},
            "octopush": {"Authorization": f"Basic {basic}"},
        }[self.face]


PROBES = (
    Probe("authy", "", "AUTHY-CANARY-d57d919d11e6b221c9bf"),
    Probe("afilnet", NAME, "AFILNET-CANARY s3cret"),
    Probe("unityvox", "100200", "UVKEY-CANARY"),
    Probe("octopush", NAME, "OCTOKEY-CANARY"),
)


class Said(NamedTuple):
    """An answer, without what differs from call to call."""

    status: int
    body: bytes
    request_id: str
    headers: dict[str, str]


async def call(
    live: LiveServer, probe: Probe, *, secret: str | None = None, more: str = "", **headers: str
) -> Said:
    """Make the call; underscores in header names are hyphens."""
    given = probe.headers(secret) | {name.replace("_", "-"): value for name, value in headers.items()}
    async with live.http.get(live.url + probe.target(secret, more), headers=given) as answer:
        return Said(answer.status, await answer.read(), answer.headers["X-Request-Id"], dict(answer.headers))


async def logged(live: LiveServer, request_id: str) -> LoggedCall:
    """The row of the API log of one call, once it is written."""
    async with asyncio.timeout(20):
        while True:
            page = await live.domain.calls.search(Sought(request_id=request_id), None, 2)
            if page.items:
                (row,) = page.items
                assert isinstance(row, LoggedCall)
                return row
            await asyncio.sleep(0.02)
