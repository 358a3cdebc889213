"""People's authenticators: found by id or key, told apart by status, ended at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct, structs

from placet_server.domain import outbox
from placet_server.domain.applications import Applications
from placet_server.domain.audit import leaf
from placet_server.domain.chunks import PLACES, chunks
from placet_server.domain.ids import is_id
from placet_server.domain.notices import Notices
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Device
from placet_server.ports import Bus, Entropy, Row, Sealer, Sql, Step, Store, UnsealableError, plan, step

_COLUMNS: Final = (
    "id, org, user_id, jkt, public_key, status, ctr, certificate, created_at, revoked_at, sealed"
)
_ADD: Final = Sql(
    "device_add",
    "INSERT INTO devices (id, org, user_id, jkt, public_key, status, certificate, created_at, foreign_endpoint, sealed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
)
_BY_ID: Final = Sql("device_by_id", f"SELECT {_COLUMNS} FROM devices WHERE id = ?")  # noqa: S608 - constant text
_BY_JKT: Final = Sql("device_by_jkt", f"SELECT {_COLUMNS} FROM devices WHERE jkt = ?")  # noqa: S608 - as above
_OF_USER: Final = Sql(
    "devices_of_user",
    f"SELECT {_COLUMNS} FROM devices WHERE user_id = ? ORDER BY id",  # noqa: S608 - constant text
)
_COUNT_ACTIVE: Final = Sql(
    "devices_count_active", "SELECT count(*) FROM devices WHERE user_id = ? AND status = 'active'"
)
_REVOKE: Final = Sql(
    "device_revoke",
    "UPDATE devices SET status = 'revoked', revoked_at = ? WHERE id = ? AND org = ? AND status <> 'revoked'",
)
_DROP_TOKENS: Final = Sql("device_tokens_drop", "DELETE FROM soft_tokens WHERE user_id = ? AND device = ?")
_DROP_ACKS: Final = Sql("device_acks_drop", "DELETE FROM acks WHERE device = ?")
_VOID_ENROLLMENT: Final = Sql(
    "device_enrollment_void",
    "UPDATE enrollments SET status = 'void' WHERE user_id = ? AND device = ? AND status = 'redeemed'",
)
_RESEAL: Final = Sql("device_reseal", "UPDATE devices SET sealed = ?, foreign_endpoint = 0 WHERE id = ?")
_BEHIND_FOREIGN: Final = Sql(
    "users_behind_foreign_endpoints",
    "SELECT DISTINCT user_id FROM devices WHERE status = 'active' AND foreign_endpoint = 1"  # noqa: S608 - constant text
    f" AND user_id IN {PLACES}",
)
_TFA_ID: Final = Sql("device_tfa_id", "SELECT tfa_id FROM users WHERE id = ?")


EMBEDDED: Final = "embedded"
"""The endpoint of devices that this server itself wakes."""


class _Body(Struct, frozen=True, array_like=True):
    """What is sealed of a device."""

    name: str
    platform: str
    endpoint: str
    p256dh: bytes
    auth: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Body).decode


class Devices:
    """All devices of all users."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        entropy: Entropy,
        bus: Bus,
        notices: Notices,
        applications: Applications,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._bus = bus
        self._notices = notices
        self._applications = applications

    async def of_user(self, user_id: str) -> tuple[Device, ...]:
        """All devices of a user, revoked ones too, oldest first."""
        return tuple(self._device(row) for row in await self._store.rows(_OF_USER, (user_id,)))

    async def get(self, org: str, device_id: str) -> Device:
        """A device of this organization; raises ``not_found``."""
        device = await self.by_id(device_id) if is_id(device_id) else None
        if device is None or device.org != org:
            raise _not_found()
        return device

    async def by_id(self, device_id: str) -> Device | None:
        """The device of this id in any organization."""
        row = await self._store.row(_BY_ID, (device_id,))
        return None if row is None else self._device(row)

    async def by_jkt(self, jkt: str) -> Device | None:
        """The device whose signing key has this RFC 7638 thumbprint; a key belongs to one device at most."""
        row = await self._store.row(_BY_JKT, (jkt,))
        return None if row is None else self._device(row)

    async def count_active(self, user_id: str) -> int:
        """How many devices can answer for a user now."""
        row = await self._store.row(_COUNT_ACTIVE, (user_id,))
        return 0 if row is None else int(row[0])

    async def behind_foreign(self, user_ids: Sequence[str]) -> set[str]:
        """Which of these users have an active device that only a push service of others can wake."""
        found: set[str] = set()
        for chunk in chunks(user_ids):
            found.update(row[0] for row in await self._store.rows(_BEHIND_FOREIGN, chunk))
        return found

    async def revoke(self, org: str, device_id: str, reason: str, now: int) -> Device:
        """End a device with its soft token, and tell its user's other devices and the organization's applications.

        A device that was revoked before stays so, and one whose sealed value is damaged can be revoked, too. ``reason``
        goes into the audit log. Raises ``not_found``.
        """
        device = await self._endable(org, device_id)
        if device.status == "revoked":
            return device
        text = f"The device “{device.name}” was removed from your account."
        written = plan(
            step(_REVOKE, now, device.id, org),
            step(_DROP_TOKENS, device.user_id, device.id),
            step(_DROP_ACKS, device.id),
            step(_VOID_ENROLLMENT, device.user_id, device.id),
            self._notices.step(device.user_id, "device.revoked", text, now),
            *await self._told(device, now),
            leaf=leaf(now, "device.revoked", org, device.id, user=device.user_id, reason=reason),
        )
        if await self._store.write(written) == 0:
            self._bus.publish("device", device.id)
            self._bus.publish("user", device.user_id)
            outbox.announce(self._bus, written)
        return await self._endable(org, device_id)

    async def retire_endpoint(self, device: Device) -> None:
        """Push nothing more to a device's foreign endpoint: its service says that it is gone."""
        embedded = structs.replace(device, endpoint=EMBEDDED)
        await self._store.write(plan(step(_RESEAL, self._sealed(embedded), device.id)))

    def add_step(self, device: Device) -> Step:
        """The guard that adds a device, and takes no row when its key is another device's."""
        return step(
            _ADD,
            device.id,
            device.org,
            device.user_id,
            device.jkt,
            device.public_key,
            device.status,
            device.certificate,
            device.created_at,
            int(device.endpoint != EMBEDDED),
            self._sealed(device),
        )

    def _sealed(self, device: Device) -> bytes:
        body = _Body(device.name, device.platform, device.endpoint, device.p256dh, device.auth)
        return self._sealer.seal("push", "devices", device.id, _encode(body))

    async def _told(self, device: Device, now: int) -> list[Step]:
        row = await self._store.row(_TFA_ID, (device.user_id,))
        data = {"id": device.id, "tfa_id": row[0] if row else None, "status": "revoked"}
        return [
            row
            for application in await self._applications.all()
            if application.org == device.org
            for row in outbox.event(
                self._sealer, self._entropy, application, "device.revoked", device.id, data, now
            )
        ]

    async def _endable(self, org: str, device_id: str) -> Device:
        """The device, nameless where its sealed value does not open; raises ``not_found``."""
        row = await self._store.row(_BY_ID, (device_id,)) if is_id(device_id) else None
        if row is None or row[1] != org:
            raise _not_found()
        try:
            return self._device(row)
        except UnsealableError:
            return _built(row, _Body("?", "", EMBEDDED, b"", b""))

    def _device(self, row: Row) -> Device:
        return _built(row, _decode(self._sealer.open("push", "devices", row[0], row[10])))


def _built(row: Row, body: _Body) -> Device:
    device_id, org, user_id, jkt, public_key, status, ctr, certificate, created_at, revoked_at = row[:10]
    return Device(
        id=device_id,
        org=org,
        user_id=user_id,
        jkt=jkt,
        public_key=public_key,
        status=status,
        ctr=ctr,
        certificate=certificate,
        name=body.name,
        platform=body.platform,
        endpoint=body.endpoint,
        p256dh=body.p256dh,
        auth=body.auth,
        created_at=created_at,
        revoked_at=revoked_at,
    )


def _not_found() -> RefusedError:
    return RefusedError("not_found", "There is no such device.")
