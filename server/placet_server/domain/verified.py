"""Numbers whose person has answered a phone verification in an organization, under the keys that codes are found by."""

from __future__ import annotations

from typing import Final

from placet_server.domain import codekeys
from placet_server.domain.destinations import Destination
from placet_server.ports import Sealer, Sql, Step, Store, step

PURPOSE: Final = "\0phone verification"
"""The purpose of the codes of phone verifications; no caller can write it."""

_NOTE: Final = Sql(
    "verified_number_note",
    "INSERT INTO verified_numbers (subject, at) VALUES (?, ?) ON CONFLICT (subject) DO UPDATE SET at = excluded.at",
)
_READ: Final = Sql("verified_number", "SELECT at FROM verified_numbers WHERE subject = ?")


class VerifiedNumbers:
    """What is known to belong to who answers it."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer
        self._purpose = codekeys.of_purpose(sealer, PURPOSE)

    async def has(self, org: str, destination: Destination) -> bool:
        """Whether the person of this number has answered it."""
        subject = codekeys.of_destination(self._sealer, org, destination)
        return await self._store.row(_READ, (subject,)) is not None

    def matched(self, subject: bytes, purpose: bytes, now: int) -> tuple[Step, ...]:
        """The steps that a right code of this subject and purpose adds: none unless it verifies a number."""
        return (step(_NOTE, subject, now),) if purpose == self._purpose else ()
