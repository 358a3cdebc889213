from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from placet_protocol import documents, jose
from placet_protocol.otpauth import EnrollmentUri
from placet_protocol.sealing import unseal
from support.answering import ORIGIN, Answerer
from support.devicelines import Api, Caller, Reply, device_api, until


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with device_api(tmp_path) as served:
        yield served


class Newcomer:
    """A program that was shown an enrolment URI."""

    def __init__(self, api: Api, uri: str) -> None:
        self.api = api
        self.uri = EnrollmentUri.parse(uri)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.auth = os.urandom(16)

    async def redeem(self, **changes: Any) -> Reply:
        """Post the wish to join, with members changed."""
        document = self.document(**changes)
        path = f"/device/v1/enrollments/{self.uri.id}"
        return await self.api.send("POST", path, document, Content_Type="application/jose")

    def document(self, **changes: Any) -> bytes:
        """The signed wish to join, with members changed."""
        point = jose.b64u(jose.public_key_bytes(self.key.public_key()))
        wish = documents.Enroll(
            aud=ORIGIN,
            eid=self.uri.id,
            tkn=self.uri.token,
            name="laptop",
            platform="linux",
            push=documents.Push("embedded", point, jose.b64u(self.auth)),
            jti=jose.b64u(os.urandom(16)),
            iat=self.api.world.now // 1000,
        )
        members = msgspec.to_builtins(wish) | changes
        jwk = jose.public_jwk(self.key.public_key())
        return jose.sign(self.key, documents.ENROLL, msgspec.json.encode(members), jwk=jwk).encode()


async def invited(api: Api) -> Newcomer:
    """A newcomer with a fresh invitation of the user."""
    world = api.world
    made = await world.domain.enrollments.open(world.caller, world.user, None, "test", world.now)
    assert made.uri is not None
    return Newcomer(api, made.uri)


async def test_enr_04_a_new_device_gets_nothing_until_its_digits_are_confirmed(api: Api) -> None:
    """Redeem, wait in a parked poll without an item, be confirmed, and get the question at once."""
    world, newcomer = api.world, await invited(api)
    reply = await newcomer.redeem()
    assert (reply.status, reply.json["active"]) == (200, False)
    assert reply.headers["Placet-Nonce"]
    certificate = documents.read_device_certificate(
        reply.json["certificate"], world.signer.private.public_key(), iss=ORIGIN
    )
    token = unseal(jose.unb64u(reply.json["sealed"]), newcomer.key, newcomer.auth)
    assert token.startswith(b"otpauth://totp/")

    device = await world.domain.devices.by_id(certificate.did)
    assert device is not None
    caller = Caller(api, Answerer(newcomer.key, device))
    created = await world.ask()
    assert (await caller.call("GET", "/device/v1/self")).json["status"] == "pending"
    assert await caller.items() == {}
    parked = asyncio.create_task(caller.items(wait=30))
    await caller.connected()

    salt = jose.unb64u(certificate.salt)
    check = documents.check_code(newcomer.uri.id, device.jkt, newcomer.uri.thumbprint, salt)
    await world.domain.enrollments.confirm("default", newcomer.uri.id, check, world.now)
    async with asyncio.timeout(20):
        assert created.approval.id in await parked
    assert (await caller.call("GET", "/device/v1/self")).json["status"] == "active"


async def test_enr_04_the_socket_of_an_unconfirmed_device_is_silent_until_then(api: Api) -> None:
    """The same by socket: welcome, silence, and the question with the confirmation."""
    world, newcomer = api.world, await invited(api)
    certificate = documents.read_device_certificate(
        (await newcomer.redeem()).json["certificate"], world.signer.private.public_key(), iss=ORIGIN
    )
    device = await world.domain.devices.by_id(certificate.did)
    assert device is not None
    created = await world.ask()
    caller = Caller(api, Answerer(newcomer.key, device))
    async with caller.line() as line:
        assert await line.silent()
        salt = jose.unb64u(certificate.salt)
        check = documents.check_code(newcomer.uri.id, device.jkt, newcomer.uri.thumbprint, salt)
        await world.domain.enrollments.confirm("default", newcomer.uri.id, check, world.now)
        assert (await line.item())[0] == created.approval.id


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.example"},
        {"eid": "0190c1f0-7a2b-7c3d-8e4f-5a6b7c8d9e0f"},
        {"tkn": jose.b64u(bytes(32))},
        {"v": 2},
        {"extra": 1},
        {"push": {"endpoint": "embedded", "p256dh": "x", "auth": "x"}},
        {"push": {"endpoint": "https://10.0.0.1/push", "p256dh": "x", "auth": "x"}},
    ],
)
async def test_enr_03_wishes_that_are_not_good_are_refused(api: Api, changes: dict[str, Any]) -> None:
    """One member wrong: 400, no device."""
    newcomer = await invited(api)
    reply = await newcomer.redeem(**changes)
    assert (reply.status, reply.json["code"]) == (400, "enrollment_refused")
    assert await api.world.count("devices") == 0


async def test_enr_02_an_answer_that_is_lost_on_the_way_is_given_again(api: Api) -> None:
    """The line is cut after the server kept the device and before its answer arrives: the next try gets that answer."""
    newcomer, host = await invited(api), urlsplit(api.url)
    document = newcomer.document()
    head = f"POST /device/v1/enrollments/{newcomer.uri.id} HTTP/1.1\r\nHost: {host.netloc}\r\n"
    length = f"Content-Type: application/jose\r\nContent-Length: {len(document)}\r\n\r\n"
    _, writer = await asyncio.open_connection(host.hostname, host.port)
    line = writer.get_extra_info("socket")
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.write((head + length).encode() + document)

    async def kept() -> bool:
        return await api.world.count("devices") == 1

    await until(kept)
    writer.transport.abort()
    reply = await newcomer.redeem()
    assert (reply.status, reply.json["active"]) == (200, False)
    assert reply.headers["Placet-Nonce"]
    token = unseal(jose.unb64u(reply.json["sealed"]), newcomer.key, newcomer.auth)
    assert token.startswith(b"otpauth://totp/")
    assert (await newcomer.redeem()).json["certificate"] == reply.json["certificate"]
    assert (await Newcomer(api, newcomer.uri.format()).redeem()).json["code"] == "enrollment_ended"
    assert await api.world.count("devices") == await api.world.count("soft_tokens") == 1


async def test_enr_02_of_many_redemptions_at_once_one_gets_a_device(api: Api) -> None:
    """Twenty keys with one token: one certificate, the others are told that the enrolment has ended."""
    first = await invited(api)
    crowd = [first, *(Newcomer(api, first.uri.format()) for _ in range(19))]
    replies = await asyncio.gather(*(each.redeem() for each in crowd))
    assert sorted(reply.status for reply in replies) == [200] + [410] * 19
    assert await api.world.count("devices") == 1
