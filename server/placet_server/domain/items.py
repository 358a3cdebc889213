"""What a device should hold: its user's open questions, notices, and which of the questions ended elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from placet_protocol.approval import FinalState
from placet_server.domain.approvals import Approvals
from placet_server.domain.ids import is_id
from placet_server.domain.notices import Notices
from placet_server.domain.values import FINAL_STATES, Device
from placet_server.ports import Sql, Store, plan, step

ENDED: Final = ".ended"
"""What an acknowledged request's id carries at its end in the item that tells of its end."""

_LONGEST_MS: Final = 30 * 86_400_000  # no face lets a question live longer
_STATE: Final = Sql("item_state", "SELECT status, device, expires_at FROM approvals WHERE id = ?")
_ENDED: Final = Sql(
    "items_ended",
    "SELECT a.id, a.status, a.device FROM acks k JOIN approvals a ON a.id = k.item"
    " WHERE k.device = ? AND k.item >= ? AND a.status <> 'pending' AND a.expires_at > ?"
    " AND (a.device IS NULL OR a.device <> k.device)"
    " AND NOT EXISTS (SELECT 1 FROM acks t WHERE t.device = k.device AND t.item = a.id || ?) ORDER BY a.id",
)
_HELD: Final = Sql(
    "items_held",
    "SELECT a.id FROM approvals a JOIN acks k ON k.item = a.id AND k.device = ?"
    " WHERE a.user_id = ? AND a.status = 'pending' AND a.expires_at > ?",
)
_ACK_END: Final = Sql(
    "item_ack_end",
    "INSERT INTO acks (device, item, acked_at) SELECT device, item || ?, ? FROM acks"
    " WHERE device = ? AND item = ? ON CONFLICT DO NOTHING",
)


class Item(NamedTuple):
    """One message for a device: ``body`` is the JSON that is sealed to it. It is repeated until acknowledged."""

    id: str
    body: bytes
    is_request: bool = False


class Ended(NamedTuple):
    """The final state of a request, and the device that decided it."""

    id: str
    status: FinalState
    device: str | None


class Items:
    """Reads and acknowledges the messages of devices; the store is their only queue."""

    def __init__(self, store: Store, approvals: Approvals, notices: Notices) -> None:
        self._store = store
        self._approvals = approvals
        self._notices = notices

    async def waiting(self, device: Device, now: int) -> list[Item]:
        """Open questions and notices that this device has not acknowledged; nothing unless it is active."""
        requests = await self._approvals.pending_for(device, now)
        notices = await self._notices.pending(device, now)
        items = [
            Item(rid, _encode({"type": "request", "document": document}), is_request=True)
            for rid, document in requests
        ]
        items += [
            Item(
                notice.id,
                _encode(
                    {"type": "notice", "kind": notice.kind, "text": notice.text, "at": notice.created_at}
                ),
            )
            for notice in notices
        ]
        return items

    async def ended(self, device: Device, now: int) -> list[Ended]:
        """Acknowledged questions that were ended before their time by somebody else, until that is acknowledged."""
        if device.status != "active":
            return []
        rows = await self._store.rows(_ENDED, (device.id, _oldest_id(now), now, ENDED))
        return [Ended(*row) for row in rows]

    async def end_of(self, approval_id: str, now: int) -> Ended | None:
        """The final state of a question as of ``now``, None while it is open."""
        row = await self._store.row(_STATE, (approval_id,))
        if row is None:
            return Ended(approval_id, "cancelled", None)
        if row[0] == "pending" and row[2] <= now:
            await self._approvals.lapse(approval_id, now)
            row = await self._store.row(_STATE, (approval_id,)) or row
        status, device, expires_at = row
        if status == "pending" and expires_at <= now:
            status = "expired"
        return Ended(approval_id, status, device) if status in FINAL_STATES else None

    async def open_until(self, approval_id: str, now: int) -> int | None:
        """Until when (ms UTC) a question can be answered, None when it cannot any more."""
        row = await self._store.row(_STATE, (approval_id,))
        return row[2] if row is not None and row[0] == "pending" and row[2] > now else None

    async def held(self, device: Device, now: int) -> list[str]:
        """Open questions that this device has acknowledged."""
        return [row[0] for row in await self._store.rows(_HELD, (device.id, device.user_id, now))]

    async def acknowledge(self, device: Device, item_ids: Iterable[str], now: int) -> None:
        """Do not send these to this device again; what is not its own is ignored."""
        ids = list(item_ids)
        held = [each for each in ids if not each.endswith(ENDED)]
        ends = [each.removesuffix(ENDED) for each in ids if each.endswith(ENDED)]
        await self._approvals.acknowledge(device, held, now)
        await self._notices.acknowledge(device, held, now)
        steps = [step(_ACK_END, ENDED, now, device.id, each) for each in ends if is_id(each)]
        if steps:
            await self._store.write(plan(*steps, guards=0))


def end_body(ended: Ended) -> Item:
    """The message that tells a polling device of an end."""
    return Item(ended.id + ENDED, _encode({"type": "done", "rid": ended.id, "status": ended.status}))


def _oldest_id(now: int) -> str:
    """A text below the id of every question that may still be open: its first 32 of 48 bits of time."""
    return f"{max(0, now - _LONGEST_MS) >> 16:08x}"


_encode: Final = msgspec.json.Encoder().encode
