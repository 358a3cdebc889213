"""One connection of the device socket, from the challenge to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import aiohttp

from placet_authenticator.calls import TIMEOUT, Calls, unreachable
from placet_authenticator.errors import ServerRefusedError, UnreachableError
from placet_authenticator.inbox import Event
from placet_authenticator.items import Mailbox, ended
from placet_protocol import frames
from placet_protocol.callproof import SOCKET_METHOD
from placet_protocol.conversation import Conversation
from placet_protocol.errors import MalformedError, ProtocolError
from placet_protocol.jose import unb64u
from placet_protocol.sealing import Context

SOCKET: Final = "/device/v1/socket"

Say = Callable[[frames.Ack | frames.Seen], Awaitable[None]]


class Hearer(Protocol):
    """Who is told what a connection brings."""

    def welcomed(self, devices: frozenset[str], server_time: int, say: Say) -> None:
        """The server serves these enrolments now; ``say`` sends it a frame; ``server_time`` in ms UTC."""
        ...

    def heard(self, device: str, item_id: str, event: Event, say: Say) -> None:
        """An item came for one enrolment."""
        ...

    def told(self, event: Event) -> None:
        """A request ended elsewhere."""
        ...


async def converse(calls: Calls, boxes: dict[str, Mailbox], hearer: Hearer, *, heartbeat: float) -> None:
    """Hold one connection until it ends; it always ends in an error.

    ``heartbeat`` in seconds: a line that stays silent after a ping is dead. Raises ``UnreachableError`` (no socket,
    line lost, or the other end broke the rules) and ``ServerRefusedError`` (the server said why it closes).
    """
    try:
        async with calls.session.ws_connect(
            calls.origin + SOCKET,
            heartbeat=heartbeat,
            compress=0,
            max_msg_size=frames.FRAME_LIMITS["device"],
            timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
        ) as line:
            await _Connection(line, calls, boxes, hearer).run()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unreachable(calls.origin, error) from error
    except ProtocolError as error:
        raise UnreachableError(f"{calls.origin} broke the rules of the socket: {error.detail}") from error


class _Connection:
    def __init__(
        self, line: aiohttp.ClientWebSocketResponse, calls: Calls, boxes: dict[str, Mailbox], hearer: Hearer
    ) -> None:
        self._line = line
        self._calls = calls
        self._boxes = boxes
        self._hearer = hearer
        self._rules = Conversation("device")

    async def run(self) -> None:
        async with asyncio.timeout(TIMEOUT):
            challenge = await self._receive()
            assert isinstance(challenge, frames.Challenge)  # the rules let nothing else come first
            await self._send(frames.Hello(self._proofs(challenge.nonce)))
            welcome = await self._receive()
            assert isinstance(welcome, frames.Welcome)  # nor here
        streams: dict[str, Context] = {}
        for device, enc in zip(welcome.devices, welcome.enc, strict=True):
            if device not in self._boxes:
                raise MalformedError("a device was welcomed that is not here")
            streams[device] = self._boxes[device].stream(enc, challenge.nonce)
        self._hearer.welcomed(frozenset(streams), welcome.server_time, self._send)
        while True:
            match await self._receive():
                case frames.Item(did=device, id=item_id, sealed=sealed):
                    event = self._boxes[device].event(item_id, streams[device].open(unb64u(sealed)))
                    self._hearer.heard(device, item_id, event, self._send)
                case frames.Done(rid=rid, status=status):
                    self._hearer.told(ended(self._calls.origin, rid, status))
                case _:
                    raise MalformedError("an unexpected frame")

    def _proofs(self, nonce: str) -> tuple[str, ...]:
        url = self._calls.origin + SOCKET
        return tuple(
            self._calls.proof(box.signer, SOCKET_METHOD, url, b"", nonce) for box in self._boxes.values()
        )

    async def _send(self, frame: frames.DeviceFrame) -> None:
        self._rules.sent(frame)
        await self._line.send_str(frames.encode(frame))

    async def _receive(self) -> frames.Frame:
        message = await self._line.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise aiohttp.ServerDisconnectedError("the connection was closed")
        frame = frames.decode(message.data, "device")
        self._rules.received(frame)
        if isinstance(frame, frames.Error):
            raise ServerRefusedError(frame.code, f"the server closed the line: {frame.code}", status=0)
        return frame
