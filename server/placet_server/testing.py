"""Twins of everything the server asks of the outside, and a whole server for tests.

They ship with the product, so that who builds on Placet tests against the same twins as Placet itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_args
from urllib.parse import urlsplit

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from placet_protocol import jose
from placet_protocol.canonical import joined
from placet_server.domain.organizations import DEFAULT_ORG
from placet_server.domain.users import UserDraft
from placet_server.domain.values import Scope, User
from placet_server.plugin import Carried, Gateway, Outgoing
from placet_server.ports import Channel, Clock, Entropy, PhoneInfo, Purpose, Topic, UnsealableError
from placet_server.system import SystemClock, SystemEntropy

if TYPE_CHECKING:
    from placet_server.app import App

START: Final = 1_800_000_000_000
"""When twins start: 2027-01-15T08:00:00Z in milliseconds."""


class ManualClock:
    """A clock that stands still until it is told to move; it implements ``Clock``."""

    def __init__(self, now: int = START) -> None:
        self._now = now

    def now(self) -> int:
        """Milliseconds since 1970 in UTC."""
        return self._now

    def advance(self, *, seconds: float = 0, ms: int = 0) -> int:
        """Move on (or back, with a negative step); returns the new time in ms."""
        self._now += round(seconds * 1000) + ms
        return self._now

    def set(self, now: int) -> Self:
        """Jump to a time in ms."""
        self._now = now
        return self


class SeededEntropy:
    """The same bytes on every run with the same seed; it implements ``Entropy`` and must never leave a test."""

    def __init__(self, seed: int | str = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable is the point

    def bytes(self, count: int) -> bytes:
        """The next ``count`` bytes of the sequence."""
        return self._random.randbytes(count)

    def below(self, limit: int) -> int:
        """The next integer from 0 to limit - 1."""
        return self._random.randrange(limit)


class RecordingBus:
    """A bus that delivers at once and remembers what was said, in ``published``; it implements ``Bus``."""

    def __init__(self) -> None:
        self.published: list[tuple[Topic, str]] = []
        self._heard: list[tuple[Topic, Callable[[str], None]]] = []

    def publish(self, topic: Topic, key: str) -> None:
        """Note it and tell who listens."""
        self.published.append((topic, key))
        for wanted, heard in tuple(self._heard):
            if wanted == topic:
                heard(key)

    def listen(self, topic: Topic, heard: Callable[[str], None]) -> Callable[[], None]:
        """Call ``heard(key)`` for each change of a topic; returns what ends that."""
        entry = (topic, heard)
        self._heard.append(entry)
        return lambda: self._heard.remove(entry)

    @contextmanager
    def watch(self, topic: Topic, key: str) -> Iterator[asyncio.Event]:
        """An event that is set when this one thing changes."""
        event = asyncio.Event()

        def heard(changed: str) -> None:
            if changed == key:
                event.set()

        end = self.listen(topic, heard)
        try:
            yield event
        finally:
            end()


class ClearSealer:
    """Keeps values readable, bound to their place all the same; it implements ``Sealer`` and protects nothing."""

    def seal(self, purpose: Purpose, table: str, row: str, plaintext: bytes) -> bytes:
        """A tag of the place followed by the plaintext."""
        return self.mac("place", purpose.encode(), table.encode(), row.encode(), plaintext)[:8] + plaintext

    def open(self, purpose: Purpose, table: str, row: str, sealed: bytes) -> bytes:
        """The plaintext; raises ``UnsealableError`` in any other place."""
        plaintext = sealed[8:]
        if self.seal(purpose, table, row, plaintext) != sealed:
            raise UnsealableError(f"{table} {row}")
        return plaintext

    def index(self, column: str, value: str) -> bytes:
        """16 bytes of a hash of column and value."""
        return self.mac("index", column.encode(), value.encode())[:16]

    def mac(self, label: str, *parts: bytes) -> bytes:
        """HMAC-SHA-256 under the label itself."""
        return hmac.digest(label.encode(), joined(parts), hashlib.sha256)


class PlainPasswords:
    """Keeps passwords as they are; it implements ``Passwords`` and protects nothing."""

    def __init__(self) -> None:
        self.checks = 0
        """How many checks there were, which in the real one cost 40 ms each."""

    async def hash(self, password: str) -> str:
        """The password."""
        return password

    async def match(self, password: str, hashes: tuple[str, ...]) -> int | None:
        """Which of these it is."""
        self.checks += 1
        await asyncio.sleep(0)
        return hashes.index(password) if password in hashes else None


class FixedSigner:
    """Signs documents with one key made from a number; it implements ``Signer``."""

    def __init__(self, secret: int = 7) -> None:
        self.key: Final = ec.derive_private_key(secret, ec.SECP256R1())
        self._kid = jose.thumbprint(self.key.public_key())

    @property
    def kid(self) -> str:
        """RFC 7638 thumbprint of the key."""
        return self._kid

    def sign(self, typ: str, payload: bytes) -> str:
        """A compact JWS over exactly these payload bytes."""
        return jose.sign(self.key, typ, payload, kid=self._kid)

    def jwks(self) -> list[dict[str, Any]]:
        """The one public key."""
        public = jose.public_jwk(self.key.public_key())
        return [
            {
                **public,
                "kid": self._kid,
                "use": "sig",
                "alg": "ES256",
                "status": "current",
                "iat": START // 1000,
            }
        ]


class RecordingGateway:
    """A gateway that takes everything and remembers it, in ``sent``; it implements ``Gateway``."""

    def __init__(self, name: str = "recorded", *channels: Channel) -> None:
        self.name = name
        self.channels: frozenset[Channel] = frozenset(channels or get_args(Channel))
        self.sent: list[Outgoing] = []
        self._arrived = asyncio.Condition()

    async def send(self, message: Outgoing) -> Carried:
        """Take it."""
        async with self._arrived:
            self.sent.append(message)
            self._arrived.notify_all()
        return Carried("accepted", f"{self.name}-{len(self.sent)}")

    async def count(self, wanted: int, within: float = 10.0) -> list[Outgoing]:
        """Wait until that many messages have come."""
        async with asyncio.timeout(within), self._arrived:
            await self._arrived.wait_for(lambda: len(self.sent) >= wanted)
        return self.sent

    async def close(self) -> None:
        """Nothing is open."""


Fault = Carried | BaseException | Literal["hang", "take"]


class FaultGateway(RecordingGateway):
    """A gateway that fails as it is told: each attempt does the next ``script`` entry, the last one for ever.

    An entry is what to answer, what to raise, ``hang`` (the message has left, the answer never comes), or ``take``.
    """

    def __init__(self, name: str, script: Iterable[Fault], *channels: Channel) -> None:
        super().__init__(name, *channels)
        self.script = list(script)

    async def send(self, message: Outgoing) -> Carried:
        """Do the next of the script."""
        fault = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        taken = await super().send(message)
        if fault == "hang":
            await asyncio.Event().wait()
        if isinstance(fault, BaseException):
            raise fault
        return fault if isinstance(fault, Carried) else taken


class FixedRoutes:
    """Gateways that are only names, by default one for every channel; it implements ``Routes``."""

    def __init__(self, names: tuple[str, ...] = ("recorded",), *channels: Channel) -> None:
        self.names = names
        self.channels = channels or get_args(Channel)

    def gateways(self, channel: Channel, names: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The names, or those of them that are asked for, where the channel is carried."""
        if channel not in self.channels:
            return ()
        return tuple(name for name in names or self.names if name in self.names)


class FixedBook:
    """Knows the numbers that it is given, and nothing of others; it implements ``PhoneBook``."""

    def __init__(self, **known: PhoneInfo) -> None:
        self.known = {f"+{digits.removeprefix('n')}": info for digits, info in known.items()}

    def info(self, address: str) -> PhoneInfo:
        """What was said about a number."""
        return self.known.get(address, PhoneInfo("unknown"))


class LiveServer:
    """A whole server on a free port of 127.0.0.1, in this process, with its data in a folder of the test."""

    def __init__(self, app: App, http: aiohttp.ClientSession) -> None:
        self.app: Final = app
        self.url: Final = app.url
        self.domain: Final = app.domain
        self.store: Final = app.store
        self.bus: Final = app.bus
        self.clock: Final = app.clock
        self.http: Final = http

    async def api_key(self, name: str = "acme", scopes: Iterable[str] = get_args(Scope)) -> str:
        """The key of a new application; it has every scope unless told otherwise."""
        return (await self.domain.applications.add(name, scopes, self.clock.now())).api_key

    async def user(self, email: str = "ada@example.com") -> User:
        """A user of the default organization."""
        created = await self.domain.users.create(DEFAULT_ORG, UserDraft(email=email), self.clock.now())
        return created[0]

    async def call(
        self, method: str, path: str, json: object = None, *, key: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and decoded JSON of one call of the native API."""
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        data = None if json is None else msgspec.json.encode(json)
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        async with self.http.request(method, self.url + path, data=data, headers=headers) as answer:
            body = await answer.read()
            return answer.status, msgspec.json.decode(body) if body else None


def _port(folder: Path) -> int:
    """The port of the public URL that a used folder is known by, or 0 for any free one."""
    file = folder / "placet.db"
    if not file.exists():
        return 0
    with closing(sqlite3.connect(file)) as store:
        ((url,),) = store.execute("SELECT value FROM facts WHERE name = 'public_url'")
    return urlsplit(bytes(url).decode()).port or 0


@asynccontextmanager
async def live_server(
    folder: Path,
    *,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    schedule: tuple[float, ...] | None = None,
    gateways: Iterable[Gateway] = (),
    **settings: Any,  # noqa: ANN401 - as Settings types them
) -> AsyncIterator[LiveServer]:
    """Run a whole server on ``folder`` (made, or used again); it may reach receivers on loopback addresses.

    ``settings`` are those of ``Settings``; ``schedule`` (seconds) replaces that of webhook retries, ``gateways`` stand
    beside those of the settings. Strangers have no limit unless one is given: all callers share one address here. With a
    clock that stands still nothing expires by itself and no long poll ends.
    """
    from placet_server import app  # everything: twins alone need none of it
    from placet_server.settings import Settings

    usual = {
        "data": folder,
        "port": _port(folder),
        "egress_allow": ("127.0.0.0/8",),
        "strangers_per_minute": 0,
    }
    chosen = Settings(**{**usual, **settings})
    server = await app.build(
        chosen,
        clock or SystemClock(),
        entropy or SystemEntropy(),
        schedule=schedule or app.SCHEDULE,
        gateways=gateways,
    )
    try:
        await server.start()
        async with aiohttp.ClientSession() as http:
            yield LiveServer(server, http)
    finally:
        await server.stop()
