"""What every route behind the gate can rely on, over real sockets."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from aiohttp import web

from placet_server.domain.policies import Policies
from placet_server.domain.refusals import RefusedError
from placet_server.listening import Listener
from placet_server.ports import Sql
from placet_server.settings import Settings, SettingsError
from placet_server.web.gate import Call
from support.gated import Gated, gated, logged
from support.gateroutes import CANARY, JSON, ask, echo, failing
from support.http import request

PROTOCOLS: dict[str, dict[str, str]] = {
    "silent": {},
    "https": {"X_Forwarded_Proto": "https"},
    "last": {"X_Forwarded_Proto": "http, HTTPS"},
    "http": {"X_Forwarded_Proto": "http"},
    "first": {"X_Forwarded_Proto": "https, http"},
    "odd": {"X_Forwarded_Proto": "wss"},
}


async def test_every_answer_names_its_request_and_forbids_storing(tmp_path: Path) -> None:
    """Each answer, good or bad, has an id of its own and the headers that keep secrets out of caches."""
    async with gated(tmp_path, echo, failing) as served:
        seen = set()
        for target in ("/v1/items", "/v1/items/7", "/nothing", "/broken", "/full", "/v1/items?limit=0"):
            answer = await ask(served, request("GET", target))
            seen.add(answer.headers["x-request-id"])
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["server"] == "placet"
            if answer.status >= 400:
                assert answer.headers["content-type"] == "application/problem+json; charset=utf-8"
                assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert len(seen) == 6


async def test_api_06_the_described_routes_are_the_routers(tmp_path: Path) -> None:
    """What the gate tells the description of is exactly what the router serves."""
    async with gated(tmp_path, echo, failing) as served:
        live = {
            (route.method, route.resource.canonical)
            for route in served.router.routes()
            if route.resource is not None and "{rest}" not in route.resource.canonical
        }
        told = {
            (route.method, re.sub(r":[^{}]*(\{[^{}]*\}[^{}]*)*\}", "}", route.path))
            for route in served.gate.routes
        }
    assert live == told


async def test_other_methods_are_refused_and_the_known_ones_named(tmp_path: Path) -> None:
    """405 with ``Allow`` where the path exists, 404 elsewhere, in the form of every other refusal."""
    async with gated(tmp_path, echo) as served:
        for method in ("DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
            answer = await ask(served, request(method, "/v1/echo", X_Key="a"))
            assert (answer.status, answer.json()["code"]) == (405, "method_not_allowed"), method
            assert answer.headers["allow"] == "POST"
        assert (await ask(served, request("POST", "/nothing"))).json()["code"] == "not_found"


async def test_a_scope_is_needed_and_named(tmp_path: Path) -> None:
    """Nobody is 401, a key without the scope 403, before the body is looked at."""
    async with gated(tmp_path, echo) as served:
        nobody = await ask(served, request("POST", "/v1/echo", b"{", Content_Type=JSON))
        assert (nobody.status, nobody.json()["code"]) == (401, "unauthorized")
        assert nobody.headers["www-authenticate"] == "Bearer"
        other = await ask(
            served, request("POST", "/v1/echo", b"{", X_Key="a", X_Scopes="codes", Content_Type=JSON)
        )
        assert other.status == 403
        assert "users" in other.json()["detail"]
        assert (
            await ask(served, request("POST", "/v1/echo", b"{}", X_Key="a", Content_Type=JSON))
        ).status == 200


async def test_a_key_has_its_rate(tmp_path: Path) -> None:
    """Beyond the burst a key gets 429 and Retry-After; other keys and later times do not."""
    async with gated(tmp_path, echo, policies=Policies(limits_requests_per_second=2)) as served:
        sent = request("POST", "/v1/echo", b"{}", X_Key="a", Content_Type=JSON)
        answers = [await ask(served, sent) for _ in range(6)]
        assert [answer.status for answer in answers] == [200] * 4 + [429] * 2
        assert answers[-1].headers["retry-after"] == "1"
        assert answers[-1].json()["retry_after"] == 1
        assert (await ask(served, sent.replace(b"X-Key: a", b"X-Key: b"))).status == 200
        served.clock.advance(seconds=2)
        assert (await ask(served, sent)).status == 200


async def test_api_14_a_defect_tells_the_caller_nothing_and_the_log_only_where(tmp_path: Path) -> None:
    """500 carries a request id and no text of the exception; neither does the log."""
    async with logged() as out, gated(tmp_path, failing) as served:
        broken = await ask(served, request("GET", "/broken"))
        assert (broken.status, broken.json()["code"]) == (500, "internal")
        full = await ask(served, request("GET", "/full"))
        assert (full.status, full.headers["retry-after"]) == (503, "5")
    sent = broken.body + full.body + out.getvalue().encode()
    for leak in (CANARY, "Traceback", "KeyError('"):
        assert leak.encode() not in sent
    line = next(json.loads(line) for line in out.getvalue().splitlines() if "request_failed" in line)
    assert (line["error"], line["request_id"]) == ("KeyError", broken.json()["request_id"])
    assert line["trace"][-1].startswith("gateroutes.py:")
    line = next(json.loads(line) for line in out.getvalue().splitlines() if "store_unavailable" in line)
    assert (line["reason"], line["request_id"]) == ("SQLITE_FULL", full.json()["request_id"])


async def test_a_caller_may_wait_for_100_continue(tmp_path: Path) -> None:
    """``Expect: 100-continue`` gets its interim answer before the body is sent."""
    async with gated(tmp_path, failing) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request("POST", "/slow", Content_Length="3", Expect="100-continue"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        writer.close()


async def test_long_polls_are_answered_when_the_server_ends(tmp_path: Path) -> None:
    """Closing the gate wakes whoever waits, so that stopping takes no minute."""
    async with gated(tmp_path, failing) as served:
        assert (await ask(served, request("GET", "/waiting"))).json() == {"changed": False}


async def test_forwarded_addresses_count_only_from_listed_proxies(tmp_path: Path) -> None:
    """The right-most address that is no proxy of ours is the caller's; without proxies the header means nothing."""
    sent = {
        "1.2.3.4": "127.0.0.1",
        "6.6.6.6, 1.2.3.4": "127.0.0.1",
    }
    async with gated(tmp_path, echo) as served:
        for forwarded, ip in sent.items():
            told = request("POST", "/v1/echo", b"{}", X_Key="a", Content_Type=JSON, X_Forwarded_For=forwarded)
            assert (await ask(served, told)).json()["ip"] == ip
    behind = {
        "1.2.3.4": "1.2.3.4",
        "6.6.6.6, 1.2.3.4": "1.2.3.4",
        "6.6.6.6, 1.2.3.4, 10.0.0.9": "1.2.3.4",
        "6.6.6.6, 1.2.3.4, ::ffff:10.0.0.9": "1.2.3.4",
        "6.6.6.6, nonsense": "127.0.0.1",
        "2001:db8::7": "2001:db8::7",
    }
    (tmp_path / "2").mkdir()
    async with gated(tmp_path / "2", echo, trusted=("127.0.0.0/8", "10.0.0.0/8")) as served:
        for forwarded, ip in behind.items():
            told = request("POST", "/v1/echo", b"{}", X_Key="a", Content_Type=JSON, X_Forwarded_For=forwarded)
            assert (await ask(served, told)).json()["ip"] == ip


async def test_api_09_a_bare_socket_is_for_proxies_that_end_tls(tmp_path: Path) -> None:
    """Beyond this machine plain http is refused, without redirecting, but from a listed proxy that took it encrypted."""
    sent = {name: request("GET", "/v1/items", b"", **headers) for name, headers in PROTOCOLS.items()}
    for folder, trusted, good in (
        ("stranger", ("192.0.2.0/24",), set()),
        ("proxy", ("127.0.0.0/8",), {"silent", "https", "last"}),
    ):
        (tmp_path / folder).mkdir()
        async with gated(tmp_path / folder, echo, trusted=trusted, bare=True) as served:
            for name, wire in sent.items():
                answer = await ask(served, wire)
                assert (answer.status == 200) == (name in good), (folder, name)
                if name not in good:
                    assert (answer.status, answer.json()["code"]) == (403, "forbidden")
                    assert "location" not in answer.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 - nothing is bound
def test_api_09_plain_http_off_loopback_needs_tls_or_a_proxy(tmp_path: Path, host: str) -> None:
    """The server does not start where keys and codes would travel in clear."""
    with pytest.raises(SettingsError, match="in clear"):
        Listener(Settings(data=tmp_path, host=host))
    Listener(Settings(data=tmp_path, host=host, trusted_proxy=("10.0.0.0/8",)))


async def test_calls_are_noted_within_a_second(tmp_path: Path) -> None:
    """The API log has one row a call: when, which route, which result, who; no path value and no parameter."""
    async with gated(tmp_path, echo) as served:
        good = await ask(served, request("GET", "/v1/items/7?x=" + CANARY, X_Key="a"))
        bad = await ask(served, request("POST", "/v1/echo", b"{", X_Key="a", Content_Type=JSON))
        await served.apilog.flush()
        rows = await served.store.rows(
            Sql(
                "log",
                "SELECT id, face, method, route, status, code, ip, application, credential FROM api_log ORDER BY id",
            )
        )
    assert rows[0] == (
        good.headers["x-request-id"], "native", "GET", "/v1/items/{id:[1-9][0-9]{0,9}}", 200, None, "127.0.0.1",
        "app-a", "key-a",
    )  # fmt: skip
    assert rows[1][0] == bad.headers["x-request-id"]
    assert rows[1][3:6] == ("/v1/echo", 400, "invalid_request")


async def test_a_refusal_of_a_handler_is_the_faces_answer(tmp_path: Path) -> None:
    """Detail, state and waiting time of a refusal arrive; half surrogates in a detail do no harm."""

    def refusing(served: Gated) -> None:
        async def handler(_incoming: web.Request, _call: Call) -> web.Response:
            raise RefusedError("already_decided", "text \ud800 " + "x" * 900, retry_after=7, state="denied")

        served.gate.add(served.router, "GET", "/refused", handler, face=served.face)

    async with gated(tmp_path, refusing) as served:
        answer = await ask(served, request("GET", "/refused"))
    told = answer.json()
    assert (answer.status, told["code"], told["state"], told["retry_after"]) == (
        409,
        "already_decided",
        "denied",
        7,
    )
    assert len(told["detail"]) <= 410
