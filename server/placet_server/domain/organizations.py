"""Organizations own users, devices and applications; one exists from the start."""

from __future__ import annotations

from typing import Final

from placet_server.ports import Sql, Store, plan, step

DEFAULT_ORG: Final = "default"

_ENSURE: Final = Sql(
    "organization_ensure",
    "INSERT INTO organizations (id, name, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
)


class Organizations:
    """The organizations of one installation."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def ensure_default(self, now: int) -> None:
        """Make the organization ``default`` unless it exists."""
        await self._store.write(plan(step(_ENSURE, DEFAULT_ORG, DEFAULT_ORG, now)))
