"""The published routes as callers on every face can use them, and the router as it really is."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web
from yarl import URL

from placet_server.domain.calllog import Sought
from placet_server.ports import Sql
from placet_server.testing import LiveServer, ManualClock, RecordingGateway, live_server
from placet_server.web.connections import Connections
from support.http import Answer, exchange
from support.wishes import Wish

KEY = "AUTHY-KEY-d57d919d11e6b221c9bf"
NAME, PASSWORD = "demo@example.org", "Afilnet s3cret"
ACCOUNT, UV_KEY, OCTO_KEY = "100200", "UNITYVOX-KEY-1", "OCTOPUSH-KEY-1"
NOBODY = "01900000-0000-7000-8000-000000000000"
TEMPLATES = {"templates": {"TPL1": "Your code is {code}", "T1": "Hi NAME"}}
_ENVELOPE = (
    '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><getbalance><user>{}</user>'
    "<password>{}</password></getbalance></soap:Body></soap:Envelope>"
)


class Operation(NamedTuple):
    """One published route; ``keys`` are the security schemes that it needs."""

    method: str
    path: str
    face: str
    keys: tuple[str, ...]
    told: dict[str, Any]


class Faces(NamedTuple):
    """A server on a clock that stands still, with an account of ``acme`` on every face."""

    live: LiveServer
    gateway: RecordingGateway
    key: str
    clock: ManualClock
    operations: list[Operation]
    values: dict[str, str]

    @property
    def port(self) -> int:
        """Where the server listens."""
        return URL(self.live.url).port or 0

    def wish(self, each: Operation, *, keys: bool = True, **values: str) -> Wish:
        """A call of a route, by default with all credentials; ``values`` of its path's variables go first."""
        known = {**self.values, **values}
        path = re.sub(r"\{(\w+)\}", lambda found: known[found[1]], each.path)
        wish = Wish(each.method, path)
        if each.face == "afilnet":
            wish.query = [("class", "user"), ("method", "getbalance")]
        if each.path == "/api/soap/" and each.method == "POST":
            wish.query = []
            who = (NAME, PASSWORD) if keys else ("", "")
            wish.kind, wish.body = "raw", _ENVELOPE.format(*who).encode()
            wish.headers.append(("Content-Type", "text/xml"))
        elif keys:
            for name in each.keys:
                place, pair = self._credential(name)
                getattr(wish, place).append(pair)
        if each.face == "native" and "requestBody" in each.told:
            wish.kind, wish.body = "json", {}
        return wish

    async def call(self, wish: Wish) -> Answer:
        """The answer to a call."""
        answer = await exchange(self.port, wish.encoded())
        assert answer is not None, wish.encoded()
        return answer

    async def rows(self) -> dict[str, Any]:
        """Every row of the API log by its request id, once all are written."""
        await next(part for part in self.live.app._parts if hasattr(part, "flush")).flush()
        found: dict[str, Any] = {}
        after: str | None = None
        while True:
            page = await self.live.domain.calls.search(Sought(), after, 500)
            found |= {row.request_id: row for row in page.items}
            if page.next is None:
                return found
            after = page.next

    async def settled(self) -> None:
        """Wait until every message has left or failed."""
        waiting = Sql("waiting", "SELECT 1 FROM messages WHERE status IN ('queued', 'sending') LIMIT 1")
        async with asyncio.timeout(20):
            while await self.live.store.row(waiting) is not None:  # noqa: ASYNC110 - a table tells nobody when it changes
                await asyncio.sleep(0.02)

    async def state(self) -> list[Any]:
        """What would show that a call did something: every table but those of logs, caches and counters of uses."""
        names = "users handles devices enrollments approvals soft_tokens codes messages recovery_codes outbox"
        tables = [*names.split(), "applications", "credentials", "budgets"]
        return [
            await self.live.store.rows(Sql(f"all_{name}", f"SELECT * FROM {name} ORDER BY 1, 2"))
            for name in tables
        ]

    def _credential(self, scheme: str) -> tuple[str, tuple[str, str]]:
        basic = base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
        return {
            "apiKey": ("headers", ("Authorization", f"Bearer {self.key}")),
            "deviceProof": ("headers", ("Placet-Proof", "e30.e30.AAAA")),
            "authyKey": ("headers", ("X-Authy-API-Key", KEY)),
            "afilnetUser": ("query", ("user", NAME)),
            "afilnetPassword": ("query", ("password", PASSWORD)),
            "afilnetBasic": ("headers", ("Authorization", f"Basic {basic}")),
            "afilnetToken": ("headers", ("Authorization", f"Bearer {self.values['jwt']}")),
            "unityvoxAccount": ("query", ("accountnumber", ACCOUNT)),
            "unityvoxKey": ("query", ("apikey", UV_KEY)),
            "octopushLogin": ("headers", ("api-login", NAME)),
            "octopushKey": ("headers", ("api-key", OCTO_KEY)),
        }[scheme]


@asynccontextmanager
async def faces(folder: Path, **policies: str) -> AsyncIterator[Faces]:
    """The server, its description, and a user with a phone and an e-mail."""
    gateway, clock = RecordingGateway("recorded"), ManualClock()
    async with live_server(folder, clock=clock, gateways=[gateway]) as live:
        key = await live.api_key("acme")
        now, add = clock.now(), live.domain.credentials.add
        chosen = {"limits.lookups_per_minute": "0"} | {n.replace("__", "."): v for n, v in policies.items()}
        await live.domain.applications.set_policies("acme", chosen, now)
        await add("authy", "acme", KEY, {"disabled_status": "403"}, now)
        await add("afilnet", "acme", PASSWORD, TEMPLATES, now, name=NAME)
        await add("unityvox", "acme", UV_KEY, TEMPLATES, now, name=ACCOUNT)
        await add("octopush", "acme", OCTO_KEY, {}, now, name=NAME)
        _, found = await live.call("GET", "/openapi.json")
        _, user = await live.call(
            "POST",
            "/v1/users",
            {"email": "ada@example.com", "country_code": 44, "phone": "7700900123"},
            key=key,
        )
        tfa_id = str(user["tfa_id"])
        values = {"tfa_id": tfa_id, "user": tfa_id, "id": NOBODY, "format": "json", "token": "7351940"}
        values |= {"gateway": "recorded", "secret": "a" * 32, "sealed": "A" * 60, "jwt": ""}
        made = Faces(live, gateway, key, clock, described(found), values)
        (token,) = [each for each in made.operations if each.path == "/api/jwt/token"]
        values["jwt"] = json.loads((await made.call(made.wish(token))).body)["result"]["token"]
        yield made


def described(found: dict[str, Any]) -> list[Operation]:
    """The routes of a description."""
    return [
        Operation(
            method.upper(),
            path,
            told["tags"][0],
            tuple(name for need in told["security"] for name in need),
            told,
        )
        for path, item in found["paths"].items()
        for method, told in item.items()
    ]


def routed(live: LiveServer) -> set[tuple[str, str]]:
    """Every route of the live router but those that only say no, each path in its usual spelling."""
    (connections,) = [part for part in live.app._parts if isinstance(part, Connections)]
    found = set()
    for route in connections._runner.app.router.routes():
        assert isinstance(route.resource, web.Resource)
        if route.method != "*":
            found.add((route.method, _usual(route.resource)))
    return found


def _usual(resource: web.Resource) -> str:
    path = resource.canonical
    if path.endswith("/{api}"):  # any letter case, and perhaps a slash
        pattern = resource.get_info()["pattern"].pattern
        path = re.sub(r"^(.*)\(\?P<api>\(\?i:(.*)\)/\?\)$", r"\1\2", pattern)
        return f"{path}/" if path.startswith("/api/") and path.count("/") == 2 else path
    if path == "/api/http/{rest}":  # the query without its question mark
        return "/api/http/"
    return re.sub("^//", "/", path)
