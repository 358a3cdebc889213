from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

from placet_protocol.errors import ProtocolError
from placet_protocol.jose import b64u, public_key_bytes, unb64u
from placet_protocol.sealing import unseal
from placet_server.delivery.egress import Egress
from placet_server.delivery.hub import LocalHub
from placet_server.delivery.push import DevicePushes, PushSender, origin, padded, subject
from placet_server.domain.outbox import Item
from placet_server.ports import Sql, plan, step
from support.answering import Answerer, World, world
from support.receivers import Receiver, receiver
from support.scale import scaled

LOOPBACK = ["127.0.0.0/8"]
CANARY = "canary-7f3a"
_MOVE = Sql("device_move", "UPDATE devices SET sealed = ? WHERE id = ?")


@asynccontextmanager
async def push_service(*answers: int | tuple[int, Mapping[str, str]]) -> AsyncIterator[Receiver]:
    """A fake push service."""
    script = [answer if isinstance(answer, tuple) else (answer, {}) for answer in answers]

    async def reply(request: web.Request, body: bytes) -> web.Response:
        del request, body
        status, headers = script.pop(0) if script else (201, {})
        return web.Response(status=status, headers=headers)

    async with receiver(reply) as kept:
        yield kept


class Pushing:
    """A core whose pushes go out to loopback."""

    def __init__(self, made: World) -> None:
        self.world = made
        self.egress = Egress(allow=LOOPBACK)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.hub = LocalHub(made.bus)
        domain = made.domain
        self.sender = PushSender(self.egress, self.key, "mailto:ops@placet.example")
        self.pushes = DevicePushes(
            domain.devices, domain.approvals, domain.items, self.hub, self.sender, made.bus, made.clock
        )

    async def device(self, endpoint: str) -> Answerer:
        """An active device behind a foreign endpoint."""
        who = await self.world.enrol()
        device = msgspec.structs.replace(who.device, endpoint=endpoint)
        moved = step(_MOVE, self.world.domain.devices._sealed(device), device.id)
        assert await self.world.store.write(plan(moved)) == 0
        who.device = device
        return who

    async def row(self, rid: str) -> Item:
        """The outbox row of a request."""
        (item,) = await self.world.domain.outbox.several([rid])
        return item

    async def push(self, rid: str) -> int | None:
        """Push a request as the dispatcher does."""
        return await self.pushes.push(await self.row(rid), self.world.now)


@pytest.fixture
async def pushing(tmp_path: Path) -> AsyncIterator[Pushing]:
    async with world(tmp_path, approval__max_pending="100", approval__max_unapproved="100") as made:
        ready = Pushing(made)
        yield ready
        await ready.pushes.close()
        await ready.egress.close()


def opened(who: Answerer, body: bytes) -> object:
    """What a push says to its device."""
    return json.loads(unseal(body, who.key, who.device.auth))


async def test_psh_01_every_push_is_one_fresh_record_for_the_device_alone(pushing: Pushing) -> None:
    """Bodies have at most 4,096 bytes, salts and keys of their own, no plaintext; only the device's key opens them."""
    async with push_service() as service:
        who = await pushing.device(service.url + "/p")
        for number in range(scaled(1_000)):
            await pushing.world.calm()
            created = await pushing.world.ask(message=f"{CANARY} {number}")
            assert await pushing.push(created.approval.id) is None
        bodies = [body for _, _, body in service.posts]
    assert len(bodies) == scaled(1_000)
    assert all(len(body) <= 4_096 for body in bodies)
    assert len({body[:16] for body in bodies}) == len({body[21:86] for body in bodies}) == scaled(1_000)
    assert not any(CANARY.encode() in body or b"5550100" in body for body in bodies)
    said = [opened(who, body) for body in bodies]
    assert all(isinstance(each, dict) and each["type"] == "request" for each in said)
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(Exception, match="sealed"):
        unseal(bodies[0], other, who.device.auth)


async def test_psh_01_lengths_say_little(pushing: Pushing) -> None:
    """Messages of different lengths give pushes of the same length."""
    async with push_service() as service:
        await pushing.device(service.url + "/p")
        for message in ("a", "a much longer question than the first one"):
            await pushing.push((await pushing.world.ask(message=message)).approval.id)
        assert len({len(body) for _, _, body in service.posts}) == 1
    assert {len(padded(b"x" * size)) for size in (1, 256, 257, 1_024, 2_048)} == {256, 1_024, 2_048}


async def test_psh_02_what_is_long_goes_as_a_wake_up(pushing: Pushing) -> None:
    """A long request is pushed as a wake-up, and the device fetches the exact document."""
    async with push_service() as service:
        who = await pushing.device(service.url + "/p")
        created, document = await pushing.world.asked(
            visible=tuple((f"Field {n}", "x" * 200) for n in range(20))
        )
        await pushing.push(created.approval.id)
        body = service.posts[0][2]
    assert opened(who, body) == {"type": "wake"}
    waiting = await pushing.world.domain.items.waiting(who.device, pushing.world.now)
    assert json.loads(waiting[0].body)["document"] == document


async def test_psh_03_vapid_names_exact_origin_and_key(pushing: Pushing) -> None:
    """Each header verifies under the subscribed key; ``aud`` has the port, ``exp`` is 12 h away, ``sub`` is there."""
    async with push_service() as service, push_service() as second:
        await pushing.device(service.url + "/p")
        await pushing.device(second.url + "/q?x=1")
        for _ in range(5):
            await pushing.push((await pushing.world.ask()).approval.id)
        posts = [(service.url, headers) for _, headers, _ in service.posts]
        posts += [(second.url, headers) for _, headers, _ in second.posts]
    assert len(posts) == 10
    for url, headers in posts:
        assert Vapid02.verify(headers["authorization"])
        scheme, _, rest = headers["authorization"].partition(" ")
        parts = dict(part.split("=", 1) for part in rest.split(","))
        assert scheme == "vapid"
        assert parts["k"].rstrip("=") == b64u(public_key_bytes(pushing.key.public_key()))
        head, claims = (json.loads(unb64u(part)) for part in parts["t"].split(".")[:2])
        assert head["alg"] == "ES256"
        assert claims == {
            "aud": url,
            "exp": pushing.world.now // 1000 + 12 * 3600,
            "sub": "mailto:ops@placet.example",
        }


def test_psh_03_an_origin_has_no_usual_port() -> None:
    """The usual port is left out, any other stays; the operator's address is one that VAPID libraries take."""
    assert (
        origin("https://push.example:443/a") == origin("https://push.example/b?c") == "https://push.example"
    )
    assert origin("https://push.example:8443/a") == "https://push.example:8443"
    assert subject("https://placet.example:8443") == "mailto:placet@placet.example"
    assert subject("http://localhost:8080") == "mailto:placet@localhost"


async def test_psh_04_ttl_urgency_and_topic(pushing: Pushing) -> None:
    """TTL is never more than the time left; one Topic for one request."""
    async with push_service() as service:
        await pushing.device(service.url + "/p")
        for ttl in range(30, 55):
            created = await pushing.world.ask(ttl=ttl)
            pushing.world.clock.advance(ms=ttl * 10)
            await pushing.push(created.approval.id)
            _, headers, _ = service.posts[-1]
            left = (created.approval.expires_at - pushing.world.now) / 1000
            assert left - 1 < int(headers["ttl"]) <= left
            assert headers["urgency"] == "high"
            assert headers["content-encoding"] == "aes128gcm"
            assert headers["topic"] == b64u(hashlib.sha256(created.approval.id.encode()).digest()[:24])
            assert len(headers["topic"]) == 32


async def test_psh_04_an_end_replaces_the_push(pushing: Pushing) -> None:
    """A cancelled request is pushed again under its Topic, as an end; the device that decided is left alone."""
    async with push_service() as service:
        who = await pushing.device(service.url + "/p")
        created, document = await pushing.world.asked()
        await pushing.push(created.approval.id)
        await pushing.world.domain.approvals.cancel(
            pushing.world.application.id, created.approval.id, pushing.world.now
        )
        await service.count(2)
        (_, first, _), (_, second, body) = service.posts
        assert first["topic"] == second["topic"]
        assert opened(who, body) == {"type": "done", "rid": created.approval.id, "status": "cancelled"}
        created, document = await pushing.world.asked()
        await pushing.push(created.approval.id)
        await pushing.world.domain.decisions.decide(who.answer(document, "deny"), pushing.world.now)
        await asyncio.gather(*pushing.pushes._ending)
        assert len(service.posts) == 3


@pytest.mark.parametrize("script", [(201, 201), (500, 201), (500, 500)])
async def test_psh_04_an_end_while_a_push_is_on_its_way_is_told(
    pushing: Pushing, script: tuple[int, ...]
) -> None:
    """A request that ends before its push services answer: who got it is told of the end, who did not is not."""
    created = await pushing.world.ask()
    answers = list(script)

    async def reply(_request: web.Request, _body: bytes) -> web.Response:
        if len(answers) == len(script):
            await pushing.world.domain.approvals.cancel(
                pushing.world.application.id, created.approval.id, pushing.world.now
            )
        return web.Response(status=answers.pop(0) if answers else 201)

    async with receiver(reply) as service:
        phones = [await pushing.device(service.url + "/p") for _ in script]
        assert await pushing.push(created.approval.id) is None
        while pushing.pushes._ending:
            await asyncio.gather(*pushing.pushes._ending)
        ends = [[_done(who, body, created.approval.id) for _, _, body in service.posts] for who in phones]
        # Which of the devices is pushed to first is nobody's promise.
        assert sorted(told.count(True) for told in ends) == sorted(int(status == 201) for status in script)


def _done(who: Answerer, body: bytes, rid: str) -> bool:
    """Whether this push tells this device of the end of a request."""
    try:
        return opened(who, body) == {"type": "done", "rid": rid, "status": "cancelled"}
    except ProtocolError:
        return False


@pytest.mark.parametrize("status", [404, 410])
async def test_psh_05_a_subscription_that_is_gone_is_pushed_to_no_more(pushing: Pushing, status: int) -> None:
    """After 404 or 410 the device is reached on our own paths only, and stays a device."""
    async with push_service(status) as service:
        who = await pushing.device(service.url + "/p")
        for _ in range(3):
            assert await pushing.push((await pushing.world.ask()).approval.id) is None
        assert len(service.posts) == 1
    device = await pushing.world.domain.devices.by_id(who.device.id)
    assert device is not None
    assert (device.status, device.endpoint, device.name) == ("active", "embedded", "phone")
    assert len(await pushing.world.domain.items.waiting(device, pushing.world.now)) == 3


async def test_psh_05_too_large_becomes_a_wake_up_at_once(pushing: Pushing) -> None:
    """413 is answered by a second, small push."""
    async with push_service(413) as service:
        who = await pushing.device(service.url + "/p")
        assert await pushing.push((await pushing.world.ask()).approval.id) is None
        assert len(service.posts) == 2
        assert opened(who, service.posts[1][2]) == {"type": "wake"}


@pytest.mark.parametrize("status", [429, 503])
async def test_psh_05_a_busy_service_says_when(pushing: Pushing, status: int) -> None:
    """Retry-After in seconds or as a date is kept to; past the request's end there is no retry."""
    now = pushing.world.now
    later = formatdate(now / 1000 + 40, usegmt=True)
    script = [
        (status, {"Retry-After": "30"}),
        (status, {"Retry-After": later}),
        (status, {"Retry-After": "9999"}),
    ]
    async with push_service(*script) as service:
        await pushing.device(service.url + "/p")
        rid = (await pushing.world.ask(ttl=300)).approval.id
        assert await pushing.push(rid) == now + 30_000
        assert await pushing.push(rid) == now + 40_000
        assert await pushing.push(rid) is None


async def test_psh_05_only_who_was_not_reached_is_pushed_to_again(pushing: Pushing) -> None:
    """A retry goes to the device whose service failed, not to the one that was served."""
    async with push_service() as good, push_service(500) as bad:
        await pushing.device(good.url + "/p")
        await pushing.device(bad.url + "/p")
        rid = (await pushing.world.ask()).approval.id
        assert await pushing.push(rid) == pushing.world.now + 5_000
        assert await pushing.push(rid) is None
        assert (len(good.posts), len(bad.posts)) == (1, 2)


async def test_psh_05_no_failure_of_a_push_reaches_the_caller(pushing: Pushing) -> None:
    """Unreachable, redirecting and undeliverable services cost nothing but a later try."""
    async with push_service((307, {"Location": "http://127.0.0.1:1/"})) as moving:
        await pushing.device("http://127.0.0.1:1/closed")
        await pushing.device(moving.url + "/p")
        await pushing.device("https://10.0.0.1/inner")
        await pushing.device("https://[::1]/literal")
        rid = (await pushing.world.ask()).approval.id
        assert await pushing.push(rid) == pushing.world.now + 5_000
        assert len(moving.posts) == 1


async def test_connected_embedded_pending_and_revoked_devices_are_not_pushed_to(pushing: Pushing) -> None:
    """Only active devices behind a foreign endpoint that are not connected need a push."""
    async with push_service() as service:
        who = await pushing.device(service.url + "/p")
        await pushing.world.enrol()
        leave = pushing.hub.join(_Link(), who.device.id, who.device.user_id, at_most=1)
        await pushing.push((await pushing.world.ask()).approval.id)
        assert service.posts == []
        leave()
        ended = await pushing.world.ask()
        await pushing.world.domain.approvals.cancel(
            pushing.world.application.id, ended.approval.id, pushing.world.now
        )
        await pushing.push(ended.approval.id)
        assert service.posts == []
        await pushing.world.domain.devices.revoke("default", who.device.id, "lost", pushing.world.now)
        await pushing.push((await pushing.world.ask()).approval.id)
        assert service.posts == []


class _Link:
    def wake(self) -> None:
        """Nothing to read."""

    def end(self, code: str) -> None:
        """Nothing to close."""
