"""A server with an Authy credential, a gateway that remembers what it carries, and calls of that face."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from yarl import URL

from placet_server.ports import Clock
from placet_server.testing import LiveServer, RecordingGateway, live_server

KEY = "d57d919d11e6b221c9bf6f7c882028f9"
HEADER = {"X-Authy-API-Key": KEY}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NEW = "/protected/json/users/new"
ADA = {"user": {"email": "ada@example.com", "cellphone": "405-342-5699", "country_code": 57}}


class Authy:
    """The server, what left it, and a caller of its Authy face."""

    def __init__(self, server: LiveServer, gateway: RecordingGateway) -> None:
        self.server = server
        self.gateway = gateway

    async def send(
        self, method: str, path: str, data: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of one call, with the key in the header unless other headers are given."""
        sent = HEADER if headers is None else headers
        body = data if data is None or isinstance(data, str) else json.dumps(data)
        url = URL(self.server.url + path, encoded=path.isascii())
        async with self.server.http.request(
            method, url, data=body and body.encode("utf-8", "surrogateescape"), headers=sent
        ) as answer:
            raw = await answer.read()
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Request-Id"]
            return answer.status, json.loads(raw)

    async def good(self, method: str, path: str, data: Any = None, **headers: str) -> Any:
        """The answer of a call that succeeds, which is exactly 200."""
        status, answer = await self.send(method, path, data, {**HEADER, **headers})
        assert status == 200, answer
        assert str(answer["success"]).lower() == "true"
        return answer

    async def bad(self, method: str, path: str, data: Any = None, **headers: str) -> tuple[int, str]:
        """Status and error code of a call that is refused in the documented shape."""
        status, answer = await self.send(method, path, data, {**HEADER, **headers})
        assert status >= 400, answer
        assert answer["success"] is False
        assert isinstance(answer["message"], str)
        assert answer["error_code"].isdigit()
        return status, answer["error_code"]

    async def ada(self) -> int:
        """The id of a user with phone and e-mail."""
        number = (await self.good("POST", NEW, ADA))["user"]["id"]
        assert isinstance(number, int)
        return number

    async def credential(self, key: str, **settings: Any) -> dict[str, str]:
        """The header of a further credential of the same application with these settings."""
        now = self.server.clock.now()
        await self.server.domain.credentials.add("authy", "acme", key, settings, now)
        return {"X-Authy-API-Key": key}

    async def code(self, count: int) -> str:
        """The code in the message of this number (from 1), once it has left."""
        code = (await self.gateway.count(count))[count - 1].code
        assert code is not None
        return code


@asynccontextmanager
async def authy_server(
    folder: Path, clock: Clock | None = None, settings: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[Authy]:
    """A server whose application ``acme`` brought its Authy key along; ``settings`` are the credential's."""
    gateway = RecordingGateway()
    async with live_server(folder / "server", clock=clock, gateways=[gateway], **more) as server:
        await server.api_key("acme")
        await server.domain.credentials.add("authy", "acme", KEY, settings or {}, server.clock.now())
        yield Authy(server, gateway)
