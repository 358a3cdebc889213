"""The shipped twins keep the promises of the ports that they stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from placet_protocol import jose
from placet_server.ports import Bus, Clock, Entropy, Sealer, Signer, UnsealableError
from placet_server.testing import (
    START,
    ClearSealer,
    FixedSigner,
    ManualClock,
    RecordingBus,
    SeededEntropy,
    live_server,
)


def test_the_clock_moves_only_when_told() -> None:
    """Time stands still, goes on by seconds or milliseconds, and can be set."""
    clock = ManualClock()
    port: Clock = clock
    assert port.now() == port.now() == START
    assert clock.advance(seconds=1.5, ms=2) == START + 1502
    assert clock.set(5).now() == 5


def test_seeded_entropy_repeats() -> None:
    """The same seed gives the same bytes, another seed others."""
    one: Entropy = SeededEntropy(1)
    two = SeededEntropy(1)
    assert [one.bytes(8), one.below(10)] == [two.bytes(8), two.below(10)]
    assert SeededEntropy(2).bytes(8) != SeededEntropy(1).bytes(8)


async def test_the_bus_delivers_and_remembers() -> None:
    """Listeners hear their topic until they end it; a watch wakes for its own key."""
    recording = RecordingBus()
    bus: Bus = recording
    heard: list[str] = []
    end = bus.listen("user", heard.append)
    with bus.watch("approval", "a1") as changed:
        bus.publish("approval", "a2")
        assert not changed.is_set()
        bus.publish("approval", "a1")
        assert changed.is_set()
    bus.publish("user", "u1")
    end()
    bus.publish("user", "u2")
    assert heard == ["u1"]
    assert recording.published[-1] == ("user", "u2")


def test_the_clear_sealer_binds_values_to_their_place() -> None:
    """What was sealed in one row opens nowhere else, as with the real one."""
    sealer: Sealer = ClearSealer()
    sealed = sealer.seal("pii", "users", "u1", b"ada")
    assert sealer.open("pii", "users", "u1", sealed) == b"ada"
    for purpose, table, row in (("hook", "users", "u1"), ("pii", "approvals", "u1"), ("pii", "users", "u2")):
        with pytest.raises(UnsealableError):
            sealer.open(purpose, table, row, sealed)  # type: ignore[arg-type] # a parametrised literal
    assert len(sealer.index("email", "a@b")) == 16
    assert sealer.mac("x", b"a", b"b") != sealer.mac("x", b"ab")


def test_the_fixed_signer_signs_documents_that_verify() -> None:
    """Its public key is in its key set, under the id that its documents name."""
    twin = FixedSigner()
    signer: Signer = twin
    document = signer.sign("test+jwt", b'{"v":1}')
    (jwk,) = signer.jwks()
    assert jwk["kid"] == signer.kid
    assert jose.open(
        document, jose.public_key_from_jwk({k: jwk[k] for k in ("kty", "crv", "x", "y")}), "test+jwt"
    ) == {"v": 1}


async def test_a_live_server_is_whole_and_can_be_started_again(tmp_path: Path) -> None:
    """It answers over HTTP, keeps its data and its URL, and lets a test choose the time."""
    clock = ManualClock()
    async with live_server(tmp_path, clock=clock) as server:
        key = await server.api_key("shop")
        status, user = await server.call("POST", "/v1/users", {"email": "ada@example.com"}, key=key)
        assert status == 201
        assert user["created_at"].startswith("2027-01-15T08:00:00")
        url = server.url
    async with live_server(tmp_path, clock=clock) as again:
        assert again.url == url
        status, found = await again.call("GET", f"/v1/users/{user['tfa_id']}", key=key)
        assert (status, found["tfa_id"]) == (200, user["tfa_id"])
        assert (await again.user()).tfa_id == user["tfa_id"]
