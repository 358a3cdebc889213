"""What applications present on the faces of other dialects: secrets that are found by MAC and kept sealed.

They are sealed, not hashed, because some faces sign with them.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from placet_server.domain.applications import DEFAULT_SCOPES, Applications
from placet_server.domain.audit import leaf
from placet_server.domain.ids import new_id
from placet_server.domain.organizations import DEFAULT_ORG
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller
from placet_server.ports import Entropy, Sealer, Sql, Store, plan, step

_FRESH_MS: Final = 1000  # a credential revoked by another process is dead after a second
_SECRET_MIN: Final = 16
_SECRET_MAX: Final = 128
_FACES: Final = frozenset({"authy"})
_SCOPES: Final = frozenset(DEFAULT_SCOPES)

_ADD: Final = Sql(
    "credential_add",
    "INSERT INTO credentials (id, application, face, lookup, sealed, last4, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING",
)
_FIND: Final = Sql(
    "credential_find", "SELECT id, application, sealed FROM credentials WHERE face = ? AND lookup = ?"
)
_SECRET: Final = Sql("credential_secret", "SELECT sealed FROM credentials WHERE id = ?")
_ALL: Final = Sql(
    "credentials",
    "SELECT id, face, application, last4, created_at FROM credentials WHERE ? IN ('', face) ORDER BY id",
)
_OWNER: Final = Sql("credential_owner", "SELECT application FROM credentials WHERE id = ?")
_REVOKE: Final = Sql("credential_revoke", "DELETE FROM credentials WHERE id = ?")


class NewCredential(NamedTuple):
    """A credential that was just made; ``api_key`` is not shown again."""

    id: str
    face: str
    api_key: str


class CredentialInfo(Struct, frozen=True):
    """What may be shown of a credential; ``application`` is an id."""

    id: str
    face: str
    application: str
    last4: str
    created_at: int


class _Body(Struct, frozen=True, array_like=True):
    secret: str
    settings: dict[str, Any]


class _Known(NamedTuple):
    caller: Caller
    read_at: int
    applications: int


class Credentials:
    """The credentials of all faces."""

    def __init__(self, store: Store, sealer: Sealer, entropy: Entropy, applications: Applications) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._applications = applications
        self._known: dict[bytes, _Known] = {}
        self._generation = 0

    async def add(
        self, face: str, application_name: str, secret: str | None, settings: dict[str, Any], now: int
    ) -> NewCredential:
        """A credential that opens one face; ``secret`` brings along what the customer's code already holds.

        Raises ``not_found``, ``invalid_request``, and ``name_taken`` when the secret is in use on that face.
        """
        if face not in _FACES:
            raise RefusedError(
                "invalid_request", f"There is no face {face[:32]!r}; known: {', '.join(sorted(_FACES))}."
            )
        if secret is None:
            secret = self._entropy.bytes(24).hex()
        if (
            not (_SECRET_MIN <= len(secret) <= _SECRET_MAX and secret.isascii() and secret.isprintable())
            or " " in secret
        ):
            raise RefusedError(
                "invalid_request",
                f"An API key has {_SECRET_MIN} to {_SECRET_MAX} printable characters without spaces.",
            )
        application = await self._applications.named(application_name, org=DEFAULT_ORG)
        credential_id = new_id(now, self._entropy)
        body = msgspec.msgpack.encode(_Body(secret, settings))
        added = step(
            _ADD,
            credential_id,
            application.id,
            face,
            self._lookup(face, secret),
            self._sealer.seal("key", "credentials", credential_id, body),
            secret[-4:],
            now,
        )
        entry = leaf(
            now, "credential.added", application.org, application.id, credential=credential_id, face=face
        )
        if await self._store.write(plan(added, leaf=entry)):
            raise RefusedError("name_taken", "This API key is in use on this face.")
        return NewCredential(credential_id, face, secret)

    async def all(self, face: str | None = None) -> list[CredentialInfo]:
        """What may be shown of the credentials of one face or of all."""
        return [CredentialInfo(*row) for row in await self._store.rows(_ALL, (face or "",))]

    async def revoke(self, credential_id: str, now: int) -> None:
        """End a credential; raises ``not_found``."""
        row = await self._store.row(_OWNER, (credential_id,))
        if row is None:
            raise RefusedError("not_found", "There is no such credential.")
        owner = await self._applications.by_id(row[0])
        entry = leaf(now, "credential.revoked", owner.org, owner.id, credential=credential_id)
        await self._store.write(plan(step(_REVOKE, credential_id), leaf=entry))
        self.forget()

    async def by_secret(self, face: str, secret: str, now: int) -> Caller | None:
        """Who presents this secret on a face, or None."""
        key = hashlib.sha256(f"{face} {secret}".encode("utf-8", "replace")).digest()
        known = self._known.get(key)
        applications = self._applications.generation
        if known is not None and 0 <= now - known.read_at < _FRESH_MS and known.applications == applications:
            return known.caller
        generation = self._generation
        row = await self._store.row(_FIND, (face, self._lookup(face, secret)))
        if row is None:
            self._known.pop(key, None)
            return None
        credential_id, application_id, sealed = row
        application = await self._applications.by_id(application_id)
        body = msgspec.msgpack.decode(
            self._sealer.open("key", "credentials", credential_id, sealed), type=_Body
        )
        caller = Caller(application, credential_id, _SCOPES, face, body.settings)
        if generation == self._generation:
            self._known[key] = _Known(caller, now, applications)
        return caller

    async def secret(self, credential_id: str) -> str | None:
        """The secret itself, for faces that sign with it; None when the credential was revoked."""
        row = await self._store.row(_SECRET, (credential_id,))
        if row is None:
            return None
        sealed = self._sealer.open("key", "credentials", credential_id, row[0])
        return msgspec.msgpack.decode(sealed, type=_Body).secret

    def forget(self) -> None:
        """Read everything anew: something about credentials changed."""
        self._generation += 1
        self._known.clear()

    def _lookup(self, face: str, secret: str) -> bytes:
        return self._sealer.mac("credential", face.encode(), secret.encode("utf-8", "replace"))
