"""What every route behind the gate can rely on, over real sockets and with bytes that no client would send."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
from pathlib import Path
from typing import Annotated, Any

import pytest
from aiohttp import web
from msgspec import Meta, Struct

from placet_server.domain.policies import Policies
from placet_server.domain.refusals import RefusedError
from placet_server.ports import Sql, StoreUnavailableError
from placet_server.web.gate import Call
from placet_server.web.wire import body, json_body, query, reply
from support.gated import Gated, gated, logged
from support.http import Answer, raw, request

CANARY = "cAnArY-7f3e"
JSON = "application/json"


class Echo(Struct, forbid_unknown_fields=True):
    text: Annotated[str, Meta(max_length=100)] | None = None
    number: int = 0
    inner: dict[str, Any] = {}


class Wanted(Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=10)] = 5


def echo(served: Gated) -> None:
    async def handler(incoming: web.Request, call: Call) -> web.Response:
        value = await json_body(incoming, Echo)
        return reply(
            200, {"text": value.text, "number": value.number, "by": call.by.credential, "ip": call.ip}
        )

    async def listing(incoming: web.Request, _call: Call) -> web.Response:
        return reply(200, {"limit": query(incoming, Wanted).limit})

    async def item(incoming: web.Request, _call: Call) -> web.Response:
        return reply(200, {"id": incoming.match_info["id"]})

    served.gate.add(served.router, "POST", "/v1/echo", handler, face=served.face, scope="users")
    served.gate.add(served.router, "GET", "/v1/items", listing, face=served.face)
    served.gate.add(served.router, "GET", "/v1/items/{id:[1-9][0-9]{0,9}}", item, face=served.face)


def failing(served: Gated) -> None:
    async def broken(_incoming: web.Request, _call: Call) -> web.Response:
        raise KeyError(CANARY)

    async def full(_incoming: web.Request, _call: Call) -> web.Response:
        raise StoreUnavailableError("disk full at /var/lib/placet")

    async def slow(incoming: web.Request, _call: Call) -> web.Response:
        return reply(200, {"size": len(await body(incoming, seconds=0.2))})

    async def waiting(_incoming: web.Request, _call: Call) -> web.Response:
        asyncio.get_running_loop().call_soon(served.gate.close)
        return reply(200, {"changed": await served.gate.wait(asyncio.Event(), 60)})

    add, router, face = served.gate.add, served.router, served.face
    add(router, "GET", "/broken", broken, face=face)
    add(router, "GET", "/full", full, face=face)
    add(router, "POST", "/slow", slow, face=face)
    add(router, "GET", "/waiting", waiting, face=face)


async def ask(served: Gated, sent: bytes, **options: Any) -> Answer:
    answer = await raw(served.port, sent, **options)
    assert answer is not None
    return answer


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


@pytest.mark.parametrize(
    ("name", "sent", "status"),
    [
        (
            "deep",
            request("POST", "/v1/echo", b'{"inner":' + b"[" * 20_000, X_Key="a", Content_Type=JSON),
            400,
        ),
        (
            "deep and whole",
            request(
                "POST",
                "/v1/echo",
                b'{"inner":{"a":' + b"[" * 40 + b"]" * 40 + b"}}",
                X_Key="a",
                Content_Type=JSON,
            ),
            400,
        ),
        (
            "integer",
            request("POST", "/v1/echo", b'{"number":' + b"9" * 5000 + b"}", X_Key="a", Content_Type=JSON),
            400,
        ),
        (
            "integer inside",
            request("POST", "/v1/echo", b'{"inner":{"a":1234567890123456789}}', X_Key="a", Content_Type=JSON),
            400,
        ),
        ("bad UTF-8", request("POST", "/v1/echo", b'{"text":"\xff\xfe"}', X_Key="a", Content_Type=JSON), 400),
        ("surrogate", request("POST", "/v1/echo", b'{"text":"\\ud800"}', X_Key="a", Content_Type=JSON), 400),
        (
            "charset",
            request("POST", "/v1/echo", b"{}", X_Key="a", Content_Type="application/json; charset=klingon"),
            415,
        ),
        ("empty", request("POST", "/v1/echo", X_Key="a", Content_Type=JSON, Content_Length="0"), 400),
        ("no body", request("POST", "/v1/echo", X_Key="a"), 415),
        (
            "multipart",
            request("POST", "/v1/echo", b"--x", X_Key="a", Content_Type="multipart/form-data"),
            415,
        ),
        (
            "truncated multipart",
            request(
                "POST",
                "/v1/echo",
                b"--x\r\nContent-",
                X_Key="a",
                Content_Type="multipart/form-data; boundary=x",
            ),
            415,
        ),
        (
            "form",
            request(
                "POST", "/v1/echo", b"text=a", X_Key="a", Content_Type="application/x-www-form-urlencoded"
            ),
            415,
        ),
        (
            "wrong gzip",
            request("POST", "/v1/echo", b"no gzip", X_Key="a", Content_Type=JSON, Content_Encoding="gzip"),
            415,
        ),
        (
            "gzip bomb",
            request(
                "POST",
                "/v1/echo",
                gzip.compress(bytes(5_000_000)),
                X_Key="a",
                Content_Type=JSON,
                Content_Encoding="gzip",
            ),
            415,
        ),
        ("too large", request("POST", "/v1/echo", b" " * 65_537, X_Key="a", Content_Type=JSON), 413),
        ("NaN", request("POST", "/v1/echo", b'{"number":NaN}', X_Key="a", Content_Type=JSON), 400),
        (
            "huge float",
            request("POST", "/v1/echo", b'{"inner":{"a":1e999}}', X_Key="a", Content_Type=JSON),
            400,
        ),
        ("text after", request("POST", "/v1/echo", b"{} {}", X_Key="a", Content_Type=JSON), 400),
        ("array", request("POST", "/v1/echo", b"[]", X_Key="a", Content_Type=JSON), 400),
        ("mark", request("POST", "/v1/echo", b"\xef\xbb\xbf{}", X_Key="a", Content_Type=JSON), 400),
        (
            "chunks",
            request(
                "POST",
                "/v1/echo",
                b"zz\r\n{}\r\n0\r\n\r\n",
                X_Key="a",
                Content_Type=JSON,
                Transfer_Encoding="chunked",
            ),
            400,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_makes_a_naive_server_fail_is_the_callers_mistake(
    tmp_path: Path, name: str, sent: bytes, status: int
) -> None:
    """No malformed body is answered with 500."""
    del name
    async with gated(tmp_path, echo) as served:
        assert (await ask(served, sent)).status == status


async def test_api_10_one_value_per_name(tmp_path: Path) -> None:
    """Repeated members, repeated or unknown parameters and unknown members are refused, and the place is named."""
    async with gated(tmp_path, echo) as served:
        for sent, named in (
            (b'{"text":"a","text":"b"}', "twice"),
            (b'{"inner":{"a":1,"a":2},"text":"b"}', "twice"),
            (b'{"text":"a","status":"approved"}', "status"),
            (b'{"text":5}', "text"),
            (b'{"number":"5"}', "number"),
        ):
            answer = await ask(served, request("POST", "/v1/echo", sent, X_Key="a", Content_Type=JSON))
            assert answer.status == 400, sent
            assert named in answer.json()["detail"]
        for target in (
            "?limit=1&limit=2",
            "?limit=1&limit=1",
            "?limt=1",
            "?limit=11",
            "?limit=%ff",
            "?limit",
            "?limit=\uff11",
        ):
            assert (await ask(served, request("GET", "/v1/items" + target))).status == 400, target
        assert (await ask(served, request("GET", "/v1/items?limit=7"))).json() == {"limit": 7}


async def test_api_11_a_path_has_one_spelling(tmp_path: Path) -> None:
    """Encoded, doubled, dotted, foreign or long forms of a path lead nowhere."""
    forms = [
        "/v1/items/%37", "/v1/items/7%2f", "/v1/items/7/", "/v1//items/7", "//v1/items/7", "/v1/items/7;a=b",
        "/v1/items/%00", "/v1/items/7%00", "/v1/items/../items/7", "/v1/items/%2e%2e/7", "/v1/items/%EF%BC%97",
        "/v1/items/\uff17", "/v1/items/07", "/v1/items/-7", "/v1/items/" + "7" * 4000, "/V1/items/7", "/v1/%69tems/7",
        "/v1/items/7%23", "/v1/items/7%0d%0a", "/v1/items%2f7", "/v1\\items\\7",
    ]  # fmt: skip
    async with gated(tmp_path, echo) as served:
        for form in forms:
            answer = await ask(served, request("GET", form))
            assert answer.status in {400, 404}, form
            assert "x-request-id" in answer.headers, form
        assert (await ask(served, request("GET", "/v1/items/7"))).json() == {"id": "7"}


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
    for leak in (CANARY, "Traceback", "KeyError('", "/var/lib"):
        assert leak.encode() not in sent
    line = next(json.loads(line) for line in out.getvalue().splitlines() if "request_failed" in line)
    assert (line["error"], line["request_id"]) == ("KeyError", broken.json()["request_id"])
    assert line["trace"][-1].startswith("test_gate.py:")


async def test_a_body_has_a_deadline(tmp_path: Path) -> None:
    """A body that does not come is 408 and the connection ends."""
    async with gated(tmp_path, failing) as served:
        answer = await ask(served, request("POST", "/slow", Content_Length="10") + b"12345")
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        whole = await ask(served, request("POST", "/slow", b"12345"))
        assert whole.json() == {"size": 5}


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


async def test_log_01_a_malformed_request_line_is_never_printed(tmp_path: Path) -> None:
    """What is no HTTP gets 400 with a request id; the log says that it came, not what it was."""
    broken = [
        f"GET /protected/json/verify/{CANARY}/1?api_key={CANARY} HTTP/9.9.9\r\n\r\n".encode(),
        f"GET /x?api_key={CANARY}\r\n\r\n".encode(),
        f"{CANARY} {CANARY} {CANARY} {CANARY}\r\n\r\n".encode(),
        f"GET /x?{CANARY} HTTP/1.1\r\nBad Header {CANARY}\r\n\r\n".encode(),
        f"GET /x HTTP/1.1\r\nHost: x\r\nX: {CANARY}\x00\r\n\r\n".encode(),
        f"GET /{CANARY}{'a' * 9000} HTTP/1.1\r\n\r\n".encode(),
        f"POST /x HTTP/1.1\r\nContent-Length: {CANARY}\r\n\r\n".encode(),
        f"OPTIONS * HTTP/1.1\r\nHost: {CANARY}\r\n\r\n".encode(),
        f"CONNECT {CANARY}:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        b"\x16\x03\x01\x02\x00" + CANARY.encode() + b"\r\n\r\n",
    ]
    async with logged() as out, gated(tmp_path, echo) as served:
        for sent in broken:
            answer = await ask(served, sent)
            assert answer.status in {400, 404}, sent
            assert "x-request-id" in answer.headers, sent
            assert CANARY.encode() not in answer.body
    assert CANARY not in out.getvalue()
    assert "Traceback" not in out.getvalue()
    for line in out.getvalue().splitlines():
        assert json.loads(line)["event"]


async def test_500_malformed_requests_are_never_a_defect(tmp_path: Path) -> None:
    """Mutated requests are answered with a status below 500, or the connection ends."""
    chance = random.Random(7)
    good = [
        request("POST", "/v1/echo", b'{"text":"a","inner":{"b":[1,2]}}', X_Key="a", Content_Type=JSON),
        request("GET", "/v1/items?limit=3"),
        request("GET", "/v1/items/7"),
    ]
    async with logged() as out, gated(tmp_path, echo) as served:
        for _ in range(500):
            sent = bytearray(chance.choice(good))
            for _ in range(chance.randint(1, 4)):
                place = chance.randrange(len(sent))
                match chance.randrange(3):
                    case 0:
                        sent[place] = chance.randrange(256)
                    case 1:
                        del sent[place : place + chance.randint(1, 8)]
                    case _:
                        sent[place:place] = chance.randbytes(chance.randint(1, 8))
            answer = await raw(served.port, bytes(sent), half_close=True)
            assert answer is None or answer.status < 500, bytes(sent)
    assert "request_failed" not in out.getvalue()
    assert "Traceback" not in out.getvalue()


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
