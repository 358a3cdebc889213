"""The device API served on loopback over a real core, and devices that speak to it by hand."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from placet_protocol import callproof, frames
from placet_protocol.conversation import Conversation
from placet_protocol.jose import b64u, unb64u
from placet_protocol.sealing import Context, recipient, socket_info, unseal
from placet_server.delivery.hub import LocalHub
from placet_server.domain.limits import RateLimit
from placet_server.testing import ClearSealer, SeededEntropy
from placet_server.web.apilog import ApiLog
from placet_server.web.connections import Connections
from placet_server.web.devices import DeviceApi
from placet_server.web.gate import Gate
from support.answering import ORIGIN, Answerer, World, world


async def until(holds: Callable[[], bool | Awaitable[bool]], within: float = 20) -> None:
    """Wait until something that announces itself to nobody holds."""
    async with asyncio.timeout(within):
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.002)


class Reply(NamedTuple):
    """What came back from a call."""

    status: int
    headers: Mapping[str, str]
    json: Any


class Api:
    """A running device API over a core."""

    def __init__(
        self, made: World, hub: LocalHub, gate: Gate, port: int, session: aiohttp.ClientSession
    ) -> None:
        self.world = made
        self.hub = hub
        self.gate = gate
        self.url = f"http://127.0.0.1:{port}"
        self.session = session

    async def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        """One request with these headers, underscores as hyphens."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(
            method, self.url + path, data=body or None, headers=given, skip_auto_headers=["Content-Type"]
        ) as response:
            text = await response.read()
            return Reply(response.status, response.headers, json.loads(text) if text else None)

    async def device(self, who: Answerer | None = None) -> Caller:
        """An active device of the user that can call."""
        return Caller(self, who or await self.world.enrol())


class Caller:
    """A device that proves its calls; ``nonce`` is the last one it was given."""

    def __init__(self, api: Api, who: Answerer) -> None:
        self.api = api
        self.who = who
        self.id = who.device.id
        self.nonce = "none"

    def proof(
        self, method: str, path: str, body: bytes = b"", /, *, nonce: str | None = None, **said: str
    ) -> str:
        """A proof for one call; ``method``, ``url`` or ``jti`` may be said otherwise."""
        return callproof.proof(
            self.who.key,
            self.who.device.jkt,
            said.get("method", method),
            said.get("url", ORIGIN + path),
            body,
            self.nonce if nonce is None else nonce,
            said.get("jti", b64u(os.urandom(16))),
        )

    async def call(self, method: str, path: str, value: Any = None) -> Reply:
        """A call with a fresh proof, signed again when the server asks for its nonce."""
        body = b"" if value is None else json.dumps(value).encode()
        reply = await self.api.send(method, path, body, Placet_Proof=self.proof(method, path, body))
        if reply.status == 401 and reply.json["code"] == "use_nonce":
            self.nonce = reply.headers["Placet-Nonce"]
            reply = await self.api.send(method, path, body, Placet_Proof=self.proof(method, path, body))
        self.nonce = reply.headers.get("Placet-Nonce", self.nonce)
        return reply

    async def items(self, wait: int = 0) -> dict[str, Any]:
        """The opened items by id."""
        reply = await self.call("GET", f"/device/v1/items?wait={wait}")
        assert reply.status == 200, reply
        assert all(item["did"] == self.id for item in reply.json["items"])
        return {item["id"]: self.opened(item["sealed"]) for item in reply.json["items"]}

    async def connected(self) -> None:
        """Wait until the server has this device's poll or socket."""
        await until(lambda: self.api.hub.connected(self.id))

    def opened(self, sealed: str) -> Any:
        """What a single message says."""
        return json.loads(unseal(unb64u(sealed), self.who.key, self.who.device.auth))

    @asynccontextmanager
    async def line(self, *others: Caller) -> AsyncIterator[Line]:
        """A socket that serves this device and others, past its welcome."""
        async with self.api.session.ws_connect(self.api.url + "/device/v1/socket", compress=0) as ws:
            line = Line(ws)
            await line.greet(self, *others)
            yield line


class Line:
    """One socket as the device sees it."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.rules = Conversation("device")
        self.streams: dict[str, Context] = {}
        self.welcome: frames.Welcome

    async def greet(self, *callers: Caller) -> None:
        """Answer the challenge for these devices."""
        challenge = await self.receive()
        assert isinstance(challenge, frames.Challenge)
        proofs = [
            each.proof(callproof.SOCKET_METHOD, "/device/v1/socket", nonce=challenge.nonce)
            for each in callers
        ]
        await self.send(frames.Hello(tuple(proofs)))
        welcome = await self.receive()
        if isinstance(welcome, frames.Error):
            raise ConnectionError(welcome.code)
        assert isinstance(welcome, frames.Welcome)
        self.welcome = welcome
        keys = {each.id: each.who.key for each in callers}
        for did, enc in zip(welcome.devices, welcome.enc, strict=True):
            self.streams[did] = recipient(unb64u(enc), keys[did], socket_info(did, challenge.nonce))

    async def send(self, frame: frames.DeviceFrame) -> None:
        """Send a frame in turn."""
        self.rules.sent(frame)
        await self.ws.send_str(frames.encode(frame))

    async def receive(self, within: float = 20) -> frames.Frame:
        """The next frame, which must be in turn."""
        message = await self.ws.receive(within)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(str(message.type))
        frame = frames.decode(message.data, "device")
        self.rules.received(frame)
        return frame

    async def item(self, within: float = 20) -> tuple[str, Any]:
        """The next frame, which must be an item: its id and what it says."""
        frame = await self.receive(within)
        assert isinstance(frame, frames.Item), frame
        return frame.id, json.loads(self.streams[frame.did].open(unb64u(frame.sealed)))

    async def silent(self, within: float = 0.05) -> bool:
        """Whether nothing comes for a moment."""
        try:
            await self.ws.receive(within)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def device_api(folder: Path, **policies: str) -> AsyncIterator[Api]:
    """A core in ``folder`` behind the device API on a free port."""
    async with world(folder, **policies) as made:
        hub = LocalHub(made.bus)
        apilog = ApiLog(made.store, ClearSealer(), every=0.05)
        gate = Gate(made.clock, SeededEntropy("gate"), apilog, RateLimit())
        app = web.Application()
        rule = {"https://10.0.0.1/push": "10.0.0.1 is not a public address"}
        api = DeviceApi(gate, made.domain, hub, made.clock, SeededEntropy("device"), ORIGIN, rule.get)
        gate.add_rest(app.router, api.mount(app.router), "/device/v1")
        listener = socket.create_server(("127.0.0.1", 0))
        connections = Connections(app, listener, None, drain_seconds=1)
        await connections.start()
        async with aiohttp.ClientSession() as session:
            try:
                yield Api(made, hub, gate, listener.getsockname()[1], session)
            finally:
                gate.close()
                hub.close()
                await connections.stop()
                await apilog.stop()
