"""Keys, users and what needs no key."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.native import Native, native_api

KEY = re.compile(r"plk_[0-9A-Za-z]+_[0-9A-Za-z_-]+")


@pytest.fixture
async def native(tmp_path: Path) -> AsyncIterator[Native]:
    async with native_api(tmp_path / "data") as found:
        yield found


async def test_api_01_keys_are_recognisable_long_and_shown_once(native: Native, tmp_path: Path) -> None:
    """A key has a prefix, 128 bits or more and a checksum; a changed one opens nothing; the store has only a hash."""
    keys = [await native.server.api_key(f"app-{number}") for number in range(50)]
    assert len(set(keys)) == 50
    for key in keys:
        assert KEY.fullmatch(key)
        assert len(key.rpartition("_")[2]) >= 22
    for number, key in enumerate(keys[:10]):
        changed = key[:-1] + ("0" if key[-1] != "0" else "1")
        for wrong in (changed, key.replace("plk", "plx"), key + "0", key[:-2], "", "é" * 9):
            assert (await native.server.call("GET", "/v1/users", key=wrong))[0] == 401
        assert (await native.server.call("GET", "/v1/users", key=key))[0] == 200, number
    await native.server.store.close()
    for file in (tmp_path / "data").glob("placet.db*"):
        data = file.read_bytes()
        for key in keys:
            assert key.encode() not in data
            assert key.rpartition("_")[2].encode() not in data


async def test_a_credential_counts_only_in_its_header(native: Native) -> None:
    """Keys in query or body, other schemes and other spellings are nobody."""
    url = native.server.url + "/v1/users"
    for headers in (
        {},
        {"Authorization": native.key},
        {"Authorization": "Basic " + base64.b64encode(native.key.encode()).decode()},
        {"Authorization": "bearer"},
        {"X-Authy-API-Key": native.key},
        {"Authorization": "Bearer " + "x" * 5000},
    ):
        async with native.server.http.get(url + f"?api_key={native.key}", headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_user_is_created_once_by_phone_or_email(native: Native) -> None:
    """201 for a new user, 200 for a known one, 409 when phone and e-mail are two people's; delete is at once."""
    status, ada = await native(
        "POST", "/v1/users", {"country_code": 1, "phone": "212-555-0100", "name": "Ada"}
    )
    assert status == 201
    assert ada["phone"] == "2125550100"
    again = await native(
        "POST", "/v1/users", {"country_code": "1", "phone": "(212) 5550100", "email": "Ada@Example.org"}
    )
    assert (again[0], again[1]["tfa_id"], again[1]["emails"]) == (200, ada["tfa_id"], ["ada@example.org"])
    assert (
        await native(
            "POST", "/v1/users", {"email": "ada@example.com", "country_code": 1, "phone": "2125550100"}
        )
    )[0] == 409
    status, known = await native("GET", f"/v1/users/{ada['tfa_id']}")
    assert (status, known["devices"], known["soft_tokens"], known["confirmed"]) == (200, 0, 0, False)
    assert (await native("DELETE", f"/v1/users/{ada['tfa_id']}"))[0] == 204
    assert (await native("GET", f"/v1/users/{ada['tfa_id']}"))[1]["code"] == "user_not_found"
    assert (await native("POST", "/v1/users", {"tfa_id": 77, "email": "x@example.com"}))[1]["tfa_id"] == 77


async def test_health_tells_little(native: Native) -> None:
    """Live and ready need no key and say nothing of versions or paths."""
    for path in ("/healthz", "/readyz"):
        async with native.server.http.get(native.server.url + path) as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})
            assert answer.headers["Server"] == "placet"


async def test_a_store_that_has_stopped_writing_is_not_ready(native: Native) -> None:
    """After a disk that lied nothing is written until a new start: the process lives, and says that it is not ready."""
    native.server.app.store._writer._broken = "The store has stopped because of the disk."
    for path, status in (("/healthz", 200), ("/readyz", 503)):
        async with native.server.http.get(native.server.url + path) as answer:
            assert answer.status == status
            assert "disk" not in await answer.text()


async def test_keys_of_the_server_are_public(native: Native) -> None:
    """The key set has public members only."""
    status, keys = await native.server.call("GET", "/.well-known/jwks.json")
    assert status == 200
    assert keys["keys"]
    for key in keys["keys"]:
        assert {"kty", "crv", "x", "y", "kid", "alg", "use"} <= key.keys()
        assert "d" not in key


async def test_only_an_administrators_key_brings_a_tfa_id_along(native: Native) -> None:
    """A plain key cannot put another person in the place of one whose id applications know."""
    server = native.server
    plain = await server.api_key("plain", ("users",))
    status, refused = await server.call(
        "POST", "/v1/users", {"tfa_id": 78, "email": "y@example.com"}, key=plain
    )
    assert (status, refused["code"]) == (403, "forbidden")
    status, _ = await server.call("POST", "/v1/users", {"email": "y@example.com"}, key=plain)
    assert status == 201
