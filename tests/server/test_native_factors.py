"""Enrolments and soft tokens over HTTP."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import zxingcpp
from PIL import Image

from placet_protocol import otpauth
from support.native import Native, clock_of, code_of, native_api


@pytest.fixture
async def native(tmp_path: Path) -> AsyncIterator[Native]:
    async with native_api(tmp_path / "data") as found:
        yield found


async def test_an_enrolment_is_a_uri_and_its_picture(native: Native) -> None:
    """The QR code, read back from its picture, is the URI; the token stands in the fragment; later answers lack both."""
    path = f"/v1/users/{native.tfa_id}/enrollments"
    status, made = await native("POST", path, {"name": "Acme Pay", "qr": "png"})
    assert (status, made["status"]) == (201, "open")
    picture = Image.open(io.BytesIO(base64.b64decode(made["qr"].removeprefix("data:image/png;base64,"))))
    assert zxingcpp.read_barcodes(picture)[0].text == made["uri"]
    parts = urlsplit(made["uri"])
    assert f"{parts.scheme}://{parts.netloc}" == native.server.url
    assert len(parse_qs(parts.fragment)["t"][0]) == 43
    assert (await native("POST", path, {"qr": "svg"}))[1]["qr"].startswith("<?xml")
    assert "qr" not in (await native("POST", path))[1]
    status, got = await native("GET", f"/v1/enrollments/{made['id']}")
    assert (status, {"uri", "qr"}.isdisjoint(got)) == (200, True)
    status, problem = await native("POST", f"/v1/enrollments/{made['id']}/confirm", {"check": "123456"})
    assert (status, problem["code"]) == (403, "device_pending")
    assert (await native("POST", f"/v1/enrollments/{made['id']}/confirm", {"check": "12345"}))[0] == 400
    clock_of(native).advance(seconds=601)
    assert (await native("GET", f"/v1/enrollments/{made['id']}"))[1]["status"] == "expired"


async def test_a_code_is_verified_once(native: Native) -> None:
    """A pending token is confirmed by a first code, which is spent; each later code counts once; wrong ones throttle."""
    tokens = f"/v1/users/{native.tfa_id}/soft_tokens"
    status, made = await native("POST", tokens, {"name": "Ada"})
    assert (status, made["status"]) == (201, "pending")
    clock = clock_of(native)
    code = code_of(made["uri"], clock.now())
    confirm = f"/v1/soft_tokens/{made['id']}/confirm"
    assert await native("POST", confirm, {"code": code}) == (200, {"verified": True})
    assert await native("POST", tokens + "/verify", {"code": code}) == (
        200,
        {"verified": False, "reason": "used"},
    )
    clock.advance(seconds=30)
    code = code_of(made["uri"], clock.now())
    assert await native("POST", tokens + "/verify", {"code": code}) == (200, {"verified": True})
    listed = (await native("GET", tokens))[1]["items"]
    assert [(item["id"], item["status"], "uri" in item) for item in listed] == [
        (made["id"], "confirmed", False)
    ]
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    outcomes = [(await native("POST", tokens + "/verify", {"code": wrong}))[0] for _ in range(7)]
    assert (outcomes[0], outcomes[-1]) == (200, 429)
    assert (await native("DELETE", f"/v1/soft_tokens/{made['id']}"))[0] == 204
    assert await native("POST", tokens + "/verify", {"code": code}) == (
        200,
        {"verified": False, "reason": "no_token"},
    )
    for bad in ("12345", "123456789", "12345a", "１２３４５６", "", 123456, None):
        assert (await native("POST", tokens + "/verify", {"code": bad}))[0] == 400


async def test_tot_08_a_refused_code_knows_when_to_come_back(native: Native) -> None:
    """Retry-After is the time that is really left: it shrinks, doubles with the next failure, ends in a right code."""
    clock, tokens = clock_of(native), f"/v1/users/{native.tfa_id}/soft_tokens"
    _, made = await native("POST", tokens, {"name": "Ada"})
    waits = []
    for _ in range(9):
        code = code_of(made["uri"], clock.now())
        status, said = await native("POST", tokens + "/verify", {"code": f"{(int(code) + 1) % 10**6:06d}"})
        if status == 429:
            waits.append(said["retry_after"])
            clock.advance(ms=12_500 if len(waits) == 1 else waits[-1] * 1000)
    assert waits == [30, 18, 60]
    assert (await native("POST", tokens + "/verify", {"code": code_of(made["uri"], clock.now())}))[0] == 200


async def test_tot_02_a_secret_that_is_brought_along_has_128_bits(native: Native) -> None:
    """Base32 of 16 to 64 bytes is imported, in any usual spelling; less or something else is refused."""
    tokens = f"/v1/users/{native.tfa_id}/soft_tokens"
    secret = base64.b32encode(bytes(range(20))).decode().rstrip("=")
    spelled = " ".join(re.findall("....", secret.lower()))
    status, made = await native(
        "POST", tokens, {"name": "Ada", "secret": spelled, "algorithm": "SHA256", "digits": 8}
    )
    assert (status, otpauth.parse(made["uri"]).secret) == (201, bytes(range(20)))
    for bad in (
        base64.b32encode(bytes(15)).decode(),
        base64.b32encode(bytes(65)).decode(),
        "1" * 32,
        "é" * 32,
        "",
    ):
        assert (await native("POST", tokens, {"name": "Ada", "secret": bad}))[0] == 400, bad


async def test_tot_09_a_seed_is_shown_once(native: Native) -> None:
    """After the answer that made it no route repeats the secret of a soft token."""
    secret = binascii.hexlify(b"canary-seed").decode().upper().encode()
    shown = base64.b32encode(secret).decode().rstrip("=")
    _, made = await native("POST", f"/v1/users/{native.tfa_id}/soft_tokens", {"name": "Ada", "secret": shown})
    assert shown in made["uri"]
    for path in (
        f"/v1/users/{native.tfa_id}",
        f"/v1/users/{native.tfa_id}/soft_tokens",
        "/v1/users",
        f"/v1/users/{native.tfa_id}/devices",
    ):
        _, answer = await native("GET", path)
        assert shown not in str(answer), path
