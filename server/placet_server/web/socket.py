"""The device socket: challenge, proofs, and then what the store holds for each device, sealed to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import WSMsgType, web
from cryptography.hazmat.primitives.asymmetric import ec

from placet_protocol.callproof import SOCKET_METHOD
from placet_protocol.conversation import Conversation
from placet_protocol.errors import ProtocolError
from placet_protocol.frames import (
    FRAME_LIMITS,
    Ack,
    Challenge,
    Done,
    Error,
    Frame,
    Hello,
    Item,
    Seen,
    Welcome,
    decode,
    encode,
)
from placet_protocol.jose import b64u
from placet_protocol.sealing import Context, sender, socket_info
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import Device
from placet_server.ports import Clock, Entropy, Hub, StoreUnavailableError
from placet_server.web.logging import event
from placet_server.web.proofs import Proofs

PATH: Final = "/device/v1/socket"
HEARTBEAT: Final = 45.0
"""Seconds between pings; who does not answer for half of that is dead, so at most 68 s after the last sign of life."""
HELLO_SECONDS: Final = 10.0
BACKLOG_MAX: Final = 1_048_576
SOCKETS_PER_DEVICE: Final = 3


@dataclass(slots=True)
class Served:
    """One device on one connection: its stream, what it was sent here, and the requests that it holds open."""

    device: Device
    stream: Context
    sent: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)


class DeviceSocket:
    """One connection, from the upgrade to the end. It implements ``Link``.

    It is woken, not fed: what to send is read from the store each time, so that a slow reader holds up nobody and
    nothing piles up for it here but the bytes of its own connection.
    """

    def __init__(
        self,
        domain: Domain,
        hub: Hub,
        proofs: Proofs,
        clock: Clock,
        entropy: Entropy,
        *,
        heartbeat: float = HEARTBEAT,
        backlog_max: int = BACKLOG_MAX,
    ) -> None:
        self._domain: Final = domain
        self._hub: Final = hub
        self._proofs: Final = proofs
        self._clock: Final = clock
        self._entropy: Final = entropy
        self._backlog_max: Final = backlog_max
        self._ws: Final = web.WebSocketResponse(
            compress=False, heartbeat=heartbeat, max_msg_size=FRAME_LIMITS["server"], timeout=1.0
        )
        self._rules: Final = Conversation("server")
        self._served: list[Served] = []
        self._transport: asyncio.Transport | None = None
        self._changed = False
        self._serving: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Serve the connection of an upgrade request until it ends; raises ``invalid_request`` if it is none."""
        if not self._ws.can_prepare(request).ok:
            raise RefusedError("invalid_request", "This path speaks WebSocket (RFC 6455) only.")
        await self._ws.prepare(request)
        assert request.transport is not None  # no check of its class: that of uvloop is none of asyncio's
        self._transport = request.transport
        self._transport.set_write_buffer_limits(high=self._backlog_max)
        leave: list[Callable[[], None]] = []
        try:
            if await self._greet():
                for served in self._served:
                    device = served.device
                    leave.append(self._hub.join(self, device.id, device.user_id, at_most=SOCKETS_PER_DEVICE))
                await self._catch_up()
                self.wake()
                await self._listen()
        except (ProtocolError, ConnectionError, TimeoutError):
            await self._close("protocol_error")
        except StoreUnavailableError:
            await self._close("unavailable")
        except Exception as error:  # noqa: BLE001 - a defect; after the upgrade no other answer can be given
            await self._fail(error)
        finally:
            for each in leave:
                each()
            if self._serving is not None:
                self._serving.cancel()
                await asyncio.gather(self._serving, return_exceptions=True)
            await self._ws.close()
        return self._ws

    def wake(self) -> None:
        """Something changed for one of the devices: read the store."""
        self._changed = True
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())

    def end(self, code: str) -> None:
        """Close, and say why by a word."""
        self._ending = asyncio.create_task(self._close(code))

    async def _greet(self) -> bool:
        """Exchange challenge, hello and welcome; false when no proof was good."""
        nonce = b64u(self._entropy.bytes(32))
        await self._send(Challenge(nonce))
        async with asyncio.timeout(HELLO_SECONDS):
            hello = await self._receive()
        if not isinstance(hello, Hello):
            return False
        refused = "invalid_proof"
        devices: dict[str, Device] = {}
        for document in hello.proofs:
            try:
                device, _ = await self._proofs.prove(document, SOCKET_METHOD, PATH, b"", (nonce,))
            except RefusedError as error:
                refused = error.code
            else:
                devices[device.id] = device
        if not devices:
            await self._close(refused)
            return False
        encs = []
        for device in devices.values():
            info = socket_info(device.id, nonce)
            enc, stream = sender(device.p256dh, info, ec.generate_private_key(ec.SECP256R1()))
            encs.append(b64u(enc))
            self._served.append(Served(device, stream))
        await self._send(Welcome(tuple(devices), tuple(encs), self._clock.now()))
        return True

    async def _listen(self) -> None:
        while (frame := await self._receive()) is not None:
            now = self._clock.now()
            if isinstance(frame, Ack):
                for served in self._served:
                    if frame.id in served.sent:  # what was not sent here cannot be acknowledged here
                        await self._domain.items.acknowledge(served.device, [frame.id], now)
            elif isinstance(frame, Seen):
                for served in self._served:
                    if frame.rid in served.sent:
                        await self._domain.approvals.seen(served.device, frame.rid, now)

    async def _serve(self) -> None:
        try:
            while self._changed:
                self._changed = False
                for served in tuple(self._served):
                    await self._refresh(served, self._clock.now())
        except (ProtocolError, ConnectionError, TimeoutError):  # ProtocolError: it was closed meanwhile
            self._abort()
        except StoreUnavailableError:
            await self._close("unavailable")
        except Exception as error:  # noqa: BLE001 - a defect; a device that hears nothing more has to know it
            await self._fail(error)

    async def _refresh(self, served: Served, now: int) -> None:
        """Send a device what it lacks: new items, and the ends of requests that it was sent."""
        device = await self._domain.devices.by_id(served.device.id)
        if device is None or device.status == "revoked":
            await self._close("device_revoked")
            return
        served.device = device
        for item in await self._domain.items.waiting(device, now):
            if item.id not in served.sent:
                sealed = b64u(served.stream.seal(item.body))
                served.sent.add(item.id)
                if item.is_request:
                    served.open.add(item.id)
                await self._send(Item(device.id, item.id, sealed))
        for rid in sorted(served.open):
            ended = await self._domain.items.end_of(rid, now)
            if ended is not None:
                served.open.discard(rid)
                if ended.device != device.id:
                    await self._send(Done(rid, ended.status))

    async def _catch_up(self) -> None:
        """Learn what the devices hold, and say what of it was ended while they were away."""
        now = self._clock.now()
        for served in self._served:
            served.open.update(await self._domain.items.held(served.device, now))
            for ended in await self._domain.items.ended(served.device, now):
                await self._send(Done(ended.id, ended.status))

    async def _send(self, frame: Frame) -> None:
        self._rules.sent(frame)
        text = encode(frame)
        assert self._transport is not None
        if self._transport.get_write_buffer_size() + len(text) > self._backlog_max:
            self._abort()
            raise ConnectionResetError("the reader is too slow")
        await self._ws.send_str(text)

    async def _receive(self) -> Frame | None:
        """The next frame, or None when the connection has ended."""
        message = await self._ws.receive()
        if message.type is not WSMsgType.TEXT:
            return None
        frame = decode(message.data, "server")
        self._rules.received(frame)
        return frame

    async def _close(self, code: str) -> None:
        if self._ws.closed or self._rules.phase == "closed":
            return
        try:
            await self._send(Error(code))
        except ConnectionError:
            return
        await self._ws.close()

    async def _fail(self, error: Exception) -> None:
        """End a connection that cannot be served, so that the device comes again or polls."""
        event("socket_failed", level=logging.ERROR, error=error)
        await self._close("internal")

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
