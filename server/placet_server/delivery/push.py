"""Web Push to endpoints that others serve: browser vendors, UnifiedPush, ntfy."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, cast
from urllib.parse import urlsplit

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from py_vapid import Vapid02
from pywebpush import WebPushException, webpush_async

from placet_protocol.jose import b64u
from placet_server.delivery.egress import Answer, Egress, EgressError
from placet_server.domain import outbox
from placet_server.domain.approvals import Approvals
from placet_server.domain.devices import Devices
from placet_server.domain.items import Items
from placet_server.domain.values import Device
from placet_server.ports import Bus, Clock, Hub

log: Final = logging.getLogger("placet")

INLINE_MAX: Final = 2_048
"""Longest message that travels inside a push: bridged services carry some 2,700 bytes sealed."""
VAPID_SECONDS: Final = 12 * 3600
RETRY_MS: Final = 5_000
DONE_TTL: Final = 60
TOLD_MAX: Final = 10_000
_TRANSIENT: Final = frozenset({0, 429, 500, 502, 503, 504})
_WAKE: Final = b'{"type":"wake"}'
_STEPS: Final = (256, 1_024, INLINE_MAX)


class Pushed(NamedTuple):
    """What became of one push: ``retry_after`` is in ms where the service asked for it."""

    outcome: Literal["accepted", "failed", "gone"]
    status: int
    detail: str
    retry_after: int | None = None


class PushSender:
    """Seals and posts messages to push services (RFC 8030, 8188, 8291, 8292).

    ``subject`` is how a push service reaches the operator, a ``mailto:`` or https URL.
    """

    def __init__(self, egress: Egress, vapid_key: EllipticCurvePrivateKey, subject: str) -> None:
        self._session: Final = _Session(egress)
        self._vapid: Final = Vapid02(private_key=vapid_key)
        self._subject: Final = subject

    async def send(
        self, device: Device, message: Mapping[str, object], about: str, ttl: int, now: int
    ) -> Pushed:
        """Push a message about one thing to one device; never raises for what the service does.

        ``ttl`` is in seconds, ``now`` in ms UTC. A later push about the same thing replaces this one while the service
        still holds it. What is too long, or refused as too long (413), goes as a wake-up: the device then fetches it.
        """
        plaintext = msgspec.json.encode(message)
        inline = len(plaintext) <= INLINE_MAX
        pushed = await self._once(device, plaintext if inline else _WAKE, about, ttl, now)
        if pushed.status == 413 and inline:
            pushed = await self._once(device, _WAKE, about, ttl, now)
        return pushed

    async def _once(self, device: Device, plaintext: bytes, about: str, ttl: int, now: int) -> Pushed:
        try:
            answer = await webpush_async(
                {
                    "endpoint": device.endpoint,
                    "keys": {"p256dh": b64u(device.p256dh), "auth": b64u(device.auth)},
                },
                data=cast("str", padded(plaintext)),  # bytes are taken as they are
                vapid_private_key=self._vapid,
                # Fresh each time: pywebpush writes into it, and another service must not get this one's aud.
                vapid_claims={
                    "aud": origin(device.endpoint),
                    "exp": now // 1000 + VAPID_SECONDS,
                    "sub": self._subject,
                },
                ttl=ttl,
                headers={"Urgency": "high", "Topic": topic(about)},
                timeout=cast("float", aiohttp.ClientTimeout(total=0)),  # the guarded client has its own limit
                aiohttp_session=cast("aiohttp.ClientSession", self._session),
            )
        except WebPushException as error:
            return _judged(error.response, now)
        except EgressError as error:
            return Pushed("failed", 0, f"{error.reason}: {error}")
        except Exception as error:  # noqa: BLE001 - py_vapid and http_ece raise many kinds for keys and origins they dislike
            return Pushed("failed", 0, f"the push cannot be made: {type(error).__name__}")
        return Pushed("accepted", cast("Answer", answer).status, "accepted")


class DevicePushes:
    """Takes the outbox rows that wake a user's devices.

    Connected devices were woken by the bus; devices of our own kind will ask. What is left are those behind foreign
    endpoints. An end that makes an unanswered push pointless is pushed too, under the same Topic.
    """

    def __init__(
        self,
        devices: Devices,
        approvals: Approvals,
        items: Items,
        hub: Hub,
        sender: PushSender,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._devices: Final = devices
        self._approvals: Final = approvals
        self._items: Final = items
        self._hub: Final = hub
        self._sender: Final = sender
        self._clock: Final = clock
        self._told: dict[str, dict[str, Device]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._end_listening: Final = bus.listen("approval", self._heard)

    async def needed(self, items: Sequence[outbox.Item]) -> set[str]:
        """The ids of those rows whose user has a device behind a foreign endpoint."""
        users = await self._devices.behind_foreign([item.target for item in items])
        return {item.id for item in items if item.target in users}

    async def push(self, item: outbox.Item, now: int) -> int | None:
        """Push one request to the devices that have to be reached; when to try again in ms UTC, None when done."""
        expires_at = await self._items.open_until(item.subject, now)
        if expires_at is None:
            return None
        message = {"type": "request", "document": await self._approvals.document(item.subject)}
        again: int | None = None
        for device in await self._foreign(item.target):
            if device.id in self._told.get(item.subject, ()):
                continue
            pushed = await self._sender.send(device, message, item.subject, (expires_at - now) // 1000, now)
            log.info("push", extra={"placet_facts": {"outcome": pushed.outcome, "status": pushed.status}})
            if pushed.outcome == "accepted":
                self._told.setdefault(item.subject, {})[device.id] = device
            elif pushed.outcome == "gone":
                await self._devices.retire_endpoint(device)
            elif pushed.status in _TRANSIENT:
                due_at = now + (pushed.retry_after or RETRY_MS * 2**item.attempts)
                again = due_at if again is None else min(again, due_at)
        # Whoever ended it while a push was on its way could not know that this device would have to be told.
        if await self._items.open_until(item.subject, self._clock.now()) is None:
            self._heard(item.subject)
            again = None
        while len(self._told) > TOLD_MAX:
            del self._told[next(iter(self._told))]
        return again if again is not None and again < expires_at else None

    async def close(self) -> None:
        """Let the last pushes go out, each in the time of one exchange."""
        self._end_listening()
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _foreign(self, user_id: str) -> list[Device]:
        return [
            device
            for device in await self._devices.of_user(user_id)
            if device.status == "active"
            and device.endpoint != "embedded"
            and not self._hub.connected(device.id)
        ]

    def _heard(self, approval_id: str) -> None:
        if approval_id in self._told:
            task = asyncio.create_task(self._end(approval_id))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(self, approval_id: str) -> None:
        now = self._clock.now()
        ended = await self._items.end_of(approval_id, now)
        if ended is None or (told := self._told.pop(approval_id, None)) is None:
            return
        message = {"type": "done", "rid": approval_id, "status": ended.status}
        for device in told.values():
            if device.id != ended.device:
                await self._sender.send(device, message, approval_id, DONE_TTL, now)


class _Session:
    """What pywebpush asks of an aiohttp session, by way of the guarded client."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def post(
        self, url: str, *, data: bytes | None, headers: Mapping[str, Any], **_rest: object
    ) -> Answer:
        return await self._egress.post(
            url, data=data, headers={name: str(value) for name, value in headers.items()}
        )


def padded(plaintext: bytes) -> bytes:
    """JSON with spaces behind it, so that the length of a push says little: 256, 1,024 or 2,048 bytes."""
    return plaintext.ljust(next(step for step in _STEPS if len(plaintext) <= step))


def topic(about: str) -> str:
    """The Topic of all pushes about one thing: base64url of the first 24 bytes of its SHA-256, 32 characters."""
    return b64u(hashlib.sha256(about.encode()).digest()[:24])


def subject(public_url: str) -> str:
    """How push services reach the operator of a server: an address at its host, as they want it (RFC 8292 §2.1)."""
    host = urlsplit(public_url).hostname or ""
    return f"mailto:placet@{host if '.' in host else 'localhost'}"


def origin(endpoint: str) -> str:
    """The exact origin of an endpoint, its port only where it is not the scheme's own (RFC 8292 §2)."""
    parts = urlsplit(endpoint)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port and parts.port != usual else "")


def _judged(answer: Answer | None, now: int) -> Pushed:
    if answer is None:
        return Pushed("failed", 0, "the push cannot be made")
    detail = f"the push service answered {answer.status}"
    if 200 <= answer.status < 300:  # pywebpush knows 200 to 202 only
        return Pushed("accepted", answer.status, detail)
    if answer.status in {404, 410}:
        return Pushed("gone", answer.status, detail)
    wait = answer.retry_after(now) if answer.status in {429, 503} else None
    return Pushed("failed", answer.status, detail, wait)
