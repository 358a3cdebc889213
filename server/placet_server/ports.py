"""Everything that the server's core asks of the outside, and the plain values that cross those borders.

The core (``domain``) imports this module and ``placet_protocol`` only. ``app.py`` gives it the concrete classes;
``testing.py`` ships a twin of each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, NamedTuple, Protocol

from msgspec import Struct

Value = str | int | bytes | None
Row = tuple[Any, ...]

Purpose = Literal["seed", "pii", "hook", "push", "key"]
"""Which data key seals a value: soft-token seeds, personal data and request texts, webhook secrets, push secrets,
credentials."""

Topic = Literal["approval", "device", "enrollment", "message", "outbox", "user"]
"""What changed; the key beside it is the id of the approval request, device, enrolment, message, outbox row or user."""

Channel = Literal["sms", "voice", "email", "whatsapp"]
"""By what a message reaches a person."""


class Sql(NamedTuple):
    """One constant statement with ``?`` for parameters, the same text for every engine."""

    name: str
    text: str


class Step(Struct, frozen=True, gc=False):
    """One statement of a plan; ``rows`` is how many rows it must take, None when any number will do."""

    sql: Sql
    params: tuple[Value, ...]
    rows: int | None = None


UrlRule = Callable[[str], str | None]
"""Why the server's way out would not call a URL, by its spelling alone, as a sentence without its end; else None."""


class Leaf(Struct, frozen=True, gc=False):
    """One entry of the audit log: when (ms UTC), what happened, the canonical JSON and its RFC 6962 leaf hash."""

    at: int
    kind: str
    body: str
    hash: bytes


class Plan(Struct, frozen=True, gc=False):
    """What one operation writes, or nothing of it.

    The first ``guards`` steps are conditional: each must take exactly one row, otherwise the rest is skipped and
    nothing is written. Plans are plain data and can be run again. One that is ``aside`` writes many rows for which no
    caller waits: the store runs it where it holds up callers least.
    """

    steps: tuple[Step, ...]
    guards: int = 1
    leaf: Leaf | None = None
    aside: bool = False


class Store(Protocol):
    """The one source of truth. Raises ``StoreUnavailableError`` when it cannot answer."""

    async def write(self, plan: Plan) -> int:
        """Run a plan and answer after the commit is on disk.

        0 when all was written; otherwise the number (from 1) of the guard that took no row, and nothing was written.
        Raises ``BrokenPlanError`` when a later step failed; nothing was written then either.
        """
        ...

    async def lull(self) -> None:
        """Wait until this process has little to do: what nobody waits for is best done while callers wait for the disk."""
        ...

    async def row(self, sql: Sql, params: tuple[Value, ...] = ()) -> Row | None:
        """The first row of a query, or None."""
        ...

    async def rows(self, sql: Sql, params: tuple[Value, ...] = ()) -> list[Row]:
        """All rows of a query."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and let go of the file."""
        ...


class StoreUnavailableError(Exception):
    """The store cannot take or give data now: disk full, connection lost, closed.

    ``reason`` is a constant word for the log; where an engine failed it is the engine's own name of its error, such as
    ``SQLITE_FULL``.
    """

    def __init__(self, text: str, reason: str = "unknown") -> None:
        super().__init__(text)
        self.reason: Final = reason


class BrokenPlanError(Exception):
    """A plan met what its author had excluded: a conflict, a wrong number of rows, a bad statement. A defect."""


class Sealer(Protocol):
    """Seals values for the store and makes the keyed hashes by which they are found again."""

    def seal(self, purpose: Purpose, table: str, row: str, plaintext: bytes) -> bytes:
        """AES-256-GCM under the purpose's current data key, bound to table and row."""
        ...

    def open(self, purpose: Purpose, table: str, row: str, sealed: bytes) -> bytes:
        """The plaintext; raises ``UnsealableError`` if the value was changed, moved or sealed by another key."""
        ...

    def index(self, column: str, value: str) -> bytes:
        """16 bytes by which an equal value of the same column is found, and nothing else."""
        ...

    def mac(self, label: str, *parts: bytes) -> bytes:
        """32 bytes of HMAC-SHA-256 over the length-prefixed parts, under the key of that label."""
        ...


class UnsealableError(Exception):
    """A sealed value does not open in its place: it was edited, swapped or belongs to another key."""


class Passwords(Protocol):
    """Slow hashes of passwords that people chose."""

    async def hash(self, password: str) -> str:
        """What is kept of a password; raises ``BusyError``."""
        ...

    async def match(self, password: str, hashes: tuple[str, ...]) -> int | None:
        """Which of these, at most two, it is; a no costs the same for any number. Raises ``BusyError``."""
        ...


class BusyError(Exception):
    """Too many passwords wait for their check: come back in a moment."""


class Signer(Protocol):
    """The server's document signature (ES256)."""

    @property
    def kid(self) -> str:
        """RFC 7638 thumbprint of the current public key: what devices pin."""
        ...

    def sign(self, typ: str, payload: bytes) -> str:
        """A compact JWS over exactly these payload bytes, header ``alg, typ, kid``."""
        ...

    def jwks(self) -> list[dict[str, Any]]:
        """All public keys that ever signed, as JWKs with ``kid, use, alg, status, iat`` (and ``exp`` when retired)."""
        ...


class Entropy(Protocol):
    """Where unpredictable bytes come from."""

    def bytes(self, count: int) -> bytes:
        """That many unpredictable bytes."""
        ...

    def below(self, limit: int) -> int:
        """An unbiased integer from 0 to limit - 1."""
        ...


class Clock(Protocol):
    """What time it is."""

    def now(self) -> int:
        """Milliseconds since 1970 in UTC."""
        ...


class Bus(Protocol):
    """Wake-ups. They carry no truth and may be lost: who wakes reads the store."""

    def publish(self, topic: Topic, key: str) -> None:
        """Say that something changed; call it after the commit."""
        ...

    def listen(self, topic: Topic, heard: Callable[[str], None]) -> Callable[[], None]:
        """Call ``heard(key)`` for each change of a topic; returns what ends that."""
        ...

    def watch(self, topic: Topic, key: str) -> AbstractContextManager[asyncio.Event]:
        """An event that is set when this one thing changes; clear it, read the store, wait again."""
        ...


class Link(Protocol):
    """One connection that serves devices: a socket or a waiting poll."""

    def wake(self) -> None:
        """Something changed for one of its devices: read the store."""
        ...

    def end(self, code: str) -> None:
        """Close, and say why by a word."""
        ...


class Hub(Protocol):
    """Who is connected now."""

    def join(self, link: Link, device: str, user: str, *, at_most: int) -> Callable[[], None]:
        """Wake ``link`` for changes of this device and its user; returns what ends that.

        Of the device's links of the same class, only the newest ``at_most`` stay.
        """
        ...

    def connected(self, device: str) -> bool:
        """Whether a device has a link in this process."""
        ...


class Routes(Protocol):
    """Which gateways are there."""

    def gateways(self, channel: Channel, names: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Names of the gateways that carry a channel, in order: of all, or of those named; empty when none does."""
        ...


class PhoneInfo(NamedTuple):
    """What is known of a number by its range, not by who holds it now; carrier and region are '' when unknown."""

    type: Literal["mobile", "landline", "voip", "unknown"]
    carrier: str = ""
    region: str = ""
    display: str = ""


class PhoneBook(Protocol):
    """What ranges of telephone numbers tell."""

    def info(self, address: str) -> PhoneInfo:
        """Type and carrier of an E.164 number, its region (ISO 3166), and how people write it internationally."""
        ...


def plan(*steps: Step, guards: int = 1, leaf: Leaf | None = None) -> Plan:
    """A plan of these steps."""
    return Plan(steps, guards, leaf)


def step(sql: Sql, *params: Value, rows: int | None = None) -> Step:
    """A statement with its parameters."""
    return Step(sql, params, rows)
