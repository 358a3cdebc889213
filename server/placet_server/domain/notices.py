"""Short messages of the server to a person's devices: a device was added, codes were guessed."""

from __future__ import annotations

import logging
from typing import Final

import msgspec
from msgspec import Struct

from placet_server.domain.ids import is_id, new_id
from placet_server.domain.values import Device
from placet_server.ports import Entropy, Plan, Sealer, Sql, Step, Store, UnsealableError, plan, step

log: Final = logging.getLogger("placet")

_LIFE_MS: Final = 30 * 86_400_000
_NUDGE_MS: Final = 600_000
_PAUSE_MS: Final = 30_000

_ADD: Final = Sql(
    "notice_add",
    "INSERT INTO notices (id, user_id, kind, created_at, expires_at, sealed)"
    " SELECT ?, id, ?, ?, ?, ? FROM users WHERE id = ?",
)
_ADD_ONCE: Final = Sql(
    "notice_add_once",
    "INSERT INTO notices (id, user_id, kind, created_at, expires_at, sealed)"
    " SELECT ?, id, ?, ?, ?, ? FROM users WHERE id = ?"
    " AND NOT EXISTS (SELECT 1 FROM notices WHERE user_id = users.id AND kind = ? AND created_at > ?)",
)
_PENDING: Final = Sql(
    "notices_pending",
    "SELECT id, kind, created_at, sealed FROM notices WHERE user_id = ? AND created_at >= ? AND expires_at > ?"
    " AND NOT EXISTS (SELECT 1 FROM acks WHERE device = ? AND item = notices.id) ORDER BY id",
)
_ACK: Final = Sql(
    "notice_ack",
    "INSERT INTO acks (device, item, acked_at) SELECT ?, id, ? FROM notices WHERE id = ? AND user_id = ?"
    " ON CONFLICT DO NOTHING",
)
_SPARE: Final = Sql("notice_spare", "INSERT INTO acks (device, item, acked_at) VALUES (?, ?, ?)")
_DROP_ACKS: Final = Sql(
    "notice_acks_drop", "DELETE FROM acks WHERE item IN (SELECT id FROM notices WHERE expires_at <= ?)"
)
_DROP: Final = Sql("notices_drop", "DELETE FROM notices WHERE expires_at <= ?")


class Notice(Struct, frozen=True):
    """One message; ``kind`` is a word for programs, ``text`` a sentence for the person."""

    id: str
    kind: str
    text: str
    created_at: int


class Notices:
    """What each person should be told on all their devices; kept for 30 days."""

    def __init__(self, store: Store, sealer: Sealer, entropy: Entropy) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy

    def step(self, user_id: str, kind: str, text: str, now: int) -> Step:
        """The row to write with the change that the person is told of; publish ``user`` on the bus afterwards.

        A user who was erased meanwhile is told nothing.
        """
        notice_id = new_id(now, self._entropy)
        sealed = self._sealer.seal("pii", "notices", notice_id, msgspec.msgpack.encode(text))
        return step(_ADD, notice_id, kind, now, now + _LIFE_MS, sealed, user_id)

    @staticmethod
    def told_by(written: Plan) -> tuple[str, ...]:
        """Whom a plan tells something: the users to publish once it is written."""
        return tuple(str(each.params[-1]) for each in written.steps if each.sql is _ADD)

    @staticmethod
    def spare(device_id: str, notice: Step, now: int) -> Step:
        """The step that keeps a notice from the one device that it is about."""
        return step(_SPARE, device_id, notice.params[0], now)

    async def nudge(self, user_id: str, kind: str, text: str, now: int) -> bool:
        """Remind a person of what matters for ten minutes, at most once in 30 seconds; whether it was written.

        Publish ``user`` on the bus afterwards.
        """
        notice_id = new_id(now, self._entropy)
        sealed = self._sealer.seal("pii", "notices", notice_id, msgspec.msgpack.encode(text))
        row = (notice_id, kind, now, now + _NUDGE_MS, sealed, user_id)
        return await self._store.write(plan(step(_ADD_ONCE, *row, kind, now - _PAUSE_MS))) == 0

    async def pending(self, device: Device, now: int) -> list[Notice]:
        """What this active device has not acknowledged of the time since it enrolled, oldest first.

        A damaged one is left out and logged, so that it keeps nothing else from the person.
        """
        if device.status != "active":
            return []
        rows = await self._store.rows(_PENDING, (device.user_id, device.created_at, now, device.id))
        found = []
        for notice_id, kind, created_at, sealed in rows:
            try:
                found.append(Notice(notice_id, kind, self._text(notice_id, sealed), created_at))
            except UnsealableError:
                log.error("notice damaged", extra={"placet_facts": {"id": notice_id}})  # noqa: TRY400 - nothing is known but that
        return found

    async def acknowledge(self, device: Device, notice_ids: list[str], now: int) -> None:
        """Do not send these to this device again; ids of other people's notices are ignored."""
        steps = [step(_ACK, device.id, now, each, device.user_id) for each in notice_ids if is_id(each)]
        if steps:
            await self._store.write(plan(*steps, guards=0))

    async def sweep(self, now: int) -> None:
        """Erase what is older than 30 days."""
        await self._store.write(plan(step(_DROP_ACKS, now), step(_DROP, now), guards=0))

    def _text(self, notice_id: str, sealed: bytes) -> str:
        return msgspec.msgpack.decode(self._sealer.open("pii", "notices", notice_id, sealed), type=str)
