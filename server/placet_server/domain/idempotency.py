"""The same call twice is one call: answers to creates are kept for 24 hours under the caller's Idempotency-Key."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller
from placet_server.ports import Sealer, Sql, Step, Store, plan, step

LIFE_MS: Final = 24 * 3_600_000
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")

_FIND: Final = Sql(
    "idempotency_find",
    "SELECT fingerprint, status, sealed FROM idempotency WHERE lookup = ? AND created_at > ?",
)
_KEEP: Final = Sql(
    "idempotency_keep",
    "INSERT INTO idempotency (lookup, fingerprint, status, created_at, sealed) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (lookup) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,"
    " created_at = excluded.created_at, sealed = excluded.sealed WHERE idempotency.created_at <= ?",
)
_DROP: Final = Sql("idempotency_drop", "DELETE FROM idempotency WHERE created_at <= ?")


class Kept(Struct, frozen=True):
    """An earlier answer: HTTP status and body as it may be shown again, without seeds and secrets."""

    status: int
    body: bytes


class Idempotency:
    """Answers that may have to be given again."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def replay(self, caller: Caller, key: str, fingerprint: bytes, now: int) -> Kept | None:
        """The answer that this caller got under this key, or None for a new one.

        ``fingerprint`` is a hash over method, path and body. Raises ``idempotency_conflict`` when it is another than
        then, ``invalid_request`` unless the key is 1 to 255 visible ASCII characters.
        """
        lookup = self._lookup(caller, key)
        row = await self._store.row(_FIND, (lookup, now - LIFE_MS))
        if row is None:
            return None
        if row[0] != fingerprint:
            raise RefusedError("idempotency_conflict", "This Idempotency-Key was used with another request.")
        return Kept(row[1], self._sealer.open("pii", "idempotency", lookup.hex(), row[2]))

    def guard(self, caller: Caller, key: str, fingerprint: bytes, kept: Kept, now: int) -> Step:
        """The guard that keeps an answer with what it tells of, and takes no row when the key was just used.

        ``kept`` must hold no seed and no secret: what was shown once is not shown again.
        """
        lookup = self._lookup(caller, key)
        sealed = self._sealer.seal("pii", "idempotency", lookup.hex(), kept.body)
        return step(_KEEP, lookup, fingerprint, kept.status, now, sealed, now - LIFE_MS)

    async def sweep(self, now: int) -> None:
        """Erase answers that are older than 24 hours."""
        await self._store.write(plan(step(_DROP, now - LIFE_MS), guards=0))

    def _lookup(self, caller: Caller, key: str) -> bytes:
        if _KEY.fullmatch(key) is None:
            raise RefusedError("invalid_request", "Idempotency-Key has 1 to 255 visible ASCII characters.")
        return self._sealer.mac(
            "idempotency", caller.application.id.encode(), caller.face.encode(), key.encode()
        )
