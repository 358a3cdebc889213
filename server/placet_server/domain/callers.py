"""Who calls on the faces of other dialects, and what it costs them.

A secret is found by its MAC and kept sealed, not hashed, because some faces sign with it. Passwords that people chose
are kept as slow hashes; who presented a right one is remembered in memory by a keyed MAC, so that a face stays fast.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from placet_server.domain.applications import DEFAULT_SCOPES, Applications
from placet_server.domain.credentialkinds import KINDS, UNGUESSABLE, Kind, presented
from placet_server.domain.guesses import Guesses
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller
from placet_server.ports import BusyError, Entropy, Passwords, Row, Sealer, Sql, Step, Store, plan, step

CURRENT: Final = b"current"
PREVIOUS: Final = b"previous"
_FRESH_MS: Final = 1000  # a credential revoked by another process is dead after a second
_REMEMBERED: Final = 10_000
_SCOPES: Final = frozenset(DEFAULT_SCOPES)

_FOUND: Final = (
    "SELECT s.id, s.sealed, s.used, s.expires_at, c.id, c.application, c.sealed, c.balance IS NULL, c.price"
    " FROM credential_secrets s JOIN credentials c ON c.id = s.credential"
)
_BY_LOOKUP: Final = Sql(
    "credential_by_lookup",
    f"{_FOUND} WHERE s.face = ? AND s.lookup IN (?, ?) AND (s.expires_at IS NULL OR s.expires_at > ?)",
)
_BY_KEY: Final = Sql(
    "credential_by_key",
    f"{_FOUND} WHERE s.id = ? AND s.face = ? AND (s.expires_at IS NULL OR s.expires_at > ?)",
)
_USED: Final = Sql("credential_secret_used", "UPDATE credential_secrets SET used = 1 WHERE id = ?")
# While a key is replaced, what is signed has to verify under the key that the customer's code holds already.
_SIGNING: Final = Sql(
    "credential_signing_secret",
    "SELECT id, sealed FROM credential_secrets WHERE credential = ? ORDER BY used DESC, created_at DESC, id DESC LIMIT 1",
)
_ANY: Final = Sql("credential_any", "SELECT 1 FROM credentials WHERE face = ? LIMIT 1")
_BALANCE: Final = Sql("credential_balance", "SELECT balance FROM credentials WHERE id = ?")
_CHARGE: Final = Sql(
    "credential_charge", "UPDATE credentials SET balance = balance - ? WHERE id = ? AND balance > 0"
)


class Body(Struct, frozen=True, array_like=True):
    """What is sealed of a credential: its account's name, its settings, its networks."""

    name: str
    settings: dict[str, Any]
    networks: tuple[str, ...]


class _Known(NamedTuple):
    caller: Caller
    read_at: int
    expires_at: int | None
    applications: int


class Callers:
    """Who presents which secret; the base of ``Credentials``, which keeps them."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        entropy: Entropy,
        applications: Applications,
        passwords: Passwords,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._applications = applications
        self._passwords = passwords
        self._guesses = Guesses()
        self._memory_key = entropy.bytes(32)
        self._known: dict[bytes, _Known] = {}
        self._proven: dict[bytes, str] = {}
        self._checks: dict[bytes, asyncio.Task[Row | None]] = {}
        self._open: dict[str, tuple[bool, int]] = {}
        self._generation = 0

    async def by_secret(self, face: str, secret: str, now: int, ip: str = "") -> Caller | None:
        """Who presents this secret on a face whose secrets say it all, or None."""
        return await self._by(KINDS[face], "", secret, now, ip)

    async def by_pair(self, face: str, name: str, secret: str, now: int, ip: str = "") -> Caller | None:
        """Who presents this account and secret on a face, or None, also while ``ip`` guesses too much.

        An unknown account and a wrong secret cost the same work. Raises ``unavailable`` when too many passwords wait.
        """
        return await self._by(KINDS[face], presented(name), secret, now, ip)

    async def by_key(self, face: str, key: str, now: int) -> Caller | None:
        """The caller that presented the secret of this id before (``Caller.key``); None once it has ended."""
        generation = self._generation
        row = await self._store.row(_BY_KEY, (key, face, now))
        return None if row is None else await self._caller(row, face, b"", now, generation)

    async def secret(self, credential_id: str) -> str | None:
        """The secret to sign with: the newest that was used; None when the credential was revoked."""
        row = await self._store.row(_SIGNING, (credential_id,))
        return None if row is None else self._opened(*row)

    async def opens(self, face: str, now: int) -> bool:
        """Whether any credential opens a face; without one it answers as if it were not there."""
        known = self._open.get(face)
        if known is None or not 0 <= now - known[1] < _FRESH_MS:
            known = await self._store.row(_ANY, (face,)) is not None, now
            self._open[face] = known
        return known[0]

    def charge(self, caller: Caller) -> Step | None:
        """The guard that pays for one send, and takes no row when the balance is used up; None: nothing is counted."""
        return None if caller.price is None else step(_CHARGE, caller.price, caller.credential)

    async def balance(self, caller: Caller) -> int | None:
        """What is left, in 1/10,000; None where nothing is counted."""
        row = await self._store.row(_BALANCE, (caller.credential,))
        return row[0] if row is not None else None

    def forget(self) -> None:
        """Read everything anew: something about credentials changed."""
        self._generation += 1
        self._known.clear()
        self._open.clear()

    async def _by(self, kind: Kind, name: str, secret: str, now: int, ip: str) -> Caller | None:
        digest = self._digest(kind.face, name, secret)
        known = self._known.get(digest)
        if (
            known is not None
            and 0 <= now - known.read_at < _FRESH_MS
            and known.applications == self._applications.generation
        ):
            return known.caller if known.expires_at is None or now < known.expires_at else None
        generation = self._generation
        find = self._by_password if kind.chosen else self._by_mac
        row = await find(kind.face, name, secret, digest, now, ip)
        if row is None:
            self._known.pop(digest, None)
            return None
        return await self._caller(row, kind.face, digest, now, generation)

    async def _by_mac(
        self, face: str, name: str, secret: str, digest: bytes, now: int, ip: str
    ) -> Row | None:
        guessable = len(secret) < UNGUESSABLE and digest not in self._proven
        subject = f"{face} {name}".encode()
        if guessable:
            if self._guesses.wait(subject, ip, now):
                return None
            self._guesses.failed(subject, ip, now)
        lookup = self.lookup(face, name, secret.encode("utf-8", "replace"))
        row = await self._store.row(_BY_LOOKUP, (face, lookup, lookup, now))
        if row is not None and guessable:
            self._guesses.succeeded(subject, ip)
            self._remember(digest, row[0])
        return row

    async def _by_password(
        self, face: str, name: str, password: str, digest: bytes, now: int, ip: str
    ) -> Row | None:
        both = self.lookup(face, name, CURRENT), self.lookup(face, name, PREVIOUS)
        rows = await self._store.rows(_BY_LOOKUP, (face, *both, now))
        proven = self._proven.get(digest)
        if found := next((row for row in rows if row[0] == proven), None):
            return found
        # One check for all who present the same at once, as a pool of connections does after a restart.
        check = self._checks.get(digest)
        if check is None:
            subject = f"{face} {name}".encode()
            if self._guesses.wait(subject, ip, now):
                return None
            self._guesses.failed(subject, ip, now)
            check = asyncio.create_task(self._checked(password, rows, digest, subject, ip))
            self._checks[digest] = check
            check.add_done_callback(lambda _: self._checks.pop(digest, None))
        try:
            return await asyncio.shield(check)
        except BusyError:
            raise RefusedError(
                "unavailable", "Too many passwords wait for their check.", retry_after=1
            ) from None

    async def _checked(
        self, password: str, rows: list[Row], digest: bytes, subject: bytes, ip: str
    ) -> Row | None:
        hashes = tuple(self._opened(row[0], row[1]) for row in rows)
        try:
            found = await self._passwords.match(password, hashes)
        except BusyError:
            self._guesses.undone(subject, ip)
            raise
        if found is None:
            return None
        self._guesses.succeeded(subject, ip)
        self._remember(digest, rows[found][0])
        return rows[found]

    async def _caller(self, row: Row, face: str, digest: bytes, now: int, generation: int) -> Caller:
        key, _, used, expires_at, credential_id, application_id, sealed, uncounted, price = row
        applications = self._applications.generation
        application = await self._applications.by_id(application_id)
        body = self.body(credential_id, sealed)
        caller = Caller(
            application,
            credential_id,
            _SCOPES,
            face,
            body.settings,
            key,
            None if uncounted else price,
            body.networks,
        )
        if not used:
            await self._store.write(plan(step(_USED, key), guards=0))
        if digest and generation == self._generation:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[digest] = _Known(caller, now, expires_at, applications)
        return caller

    def lookup(self, face: str, name: str, what: bytes) -> bytes:
        """By what a secret is found: of passwords the account and which of its two it is, of others the secret too."""
        return self._sealer.mac("credential", face.encode(), presented(name).encode(), what)

    def body(self, credential_id: str, sealed: bytes) -> Body:
        """What is sealed of a credential."""
        return msgspec.msgpack.decode(
            self._sealer.open("key", "credentials", credential_id, sealed), type=Body
        )

    def _opened(self, secret_id: str, sealed: bytes) -> str:
        return self._sealer.open("key", "credential_secrets", secret_id, sealed).decode()

    def _remember(self, digest: bytes, secret_id: str) -> None:
        if len(self._proven) >= _REMEMBERED:
            del self._proven[next(iter(self._proven))]
        self._proven[digest] = secret_id

    def _digest(self, face: str, name: str, secret: str) -> bytes:
        text = f"{face} {len(name)} {name} {secret}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self._memory_key, digest_size=32).digest()
