"""Bytes that no client would send, and what the gate makes of them."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from support.gated import gated, logged
from support.gateroutes import CANARY, JSON, ask, echo, failing
from support.http import raw, request
from support.scale import scaled


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


async def test_a_body_has_a_deadline(tmp_path: Path) -> None:
    """A body that does not come is 408 and the connection ends."""
    async with gated(tmp_path, failing) as served:
        answer = await ask(served, request("POST", "/slow", Content_Length="10") + b"12345")
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        whole = await ask(served, request("POST", "/slow", b"12345"))
        assert whole.json() == {"size": 5}


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


async def test_api_14_malformed_requests_are_never_a_defect(tmp_path: Path) -> None:
    """Mutated requests are answered with a status below 500, or the connection ends."""
    chance = random.Random(7)
    good = [
        request("POST", "/v1/echo", b'{"text":"a","inner":{"b":[1,2]}}', X_Key="a", Content_Type=JSON),
        request("GET", "/v1/items?limit=3"),
        request("GET", "/v1/items/7"),
    ]
    async with logged() as out, gated(tmp_path, echo) as served:
        for _ in range(scaled(10_000)):
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
