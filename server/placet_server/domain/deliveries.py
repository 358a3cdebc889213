"""Messages in the hands of deliverers: what is still to be sent, what gateways said, what became of it.

A deliverer claims a row, hands it to a gateway and writes down the answer. A claim and an answer are conditional writes,
so of two deliverers one acts, and a restart loses nothing. What is fresh is handed over in memory and not read back.
Destination and text are erased when the message is carried or over, and the application is told of each new state.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from placet_server.domain import messagerows, outbox
from placet_server.domain.applications import Applications
from placet_server.domain.chunks import PLACES, chunks
from placet_server.domain.ids import first_id, is_id
from placet_server.domain.mail import UNSENT, Due, Reported
from placet_server.domain.messagerows import DUE_COLUMNS
from placet_server.domain.refusals import RefusedError
from placet_server.ports import Bus, Channel, Entropy, Row, Sealer, Sql, Step, Store, plan, step

LATE: Final = "It was not sent in time."
"""Why a message ended that nobody could send."""
_KEPT_MS: Final = 30 * 86_400_000
_FRESH_MAX: Final = 2_000
"""Messages that are handed over in memory; of more, the rows serve."""
_AT_ONCE: Final = 500

_DUE: Final = Sql(
    "messages_due",
    f"SELECT {DUE_COLUMNS} FROM messages WHERE due_at <= ? ORDER BY due_at, id LIMIT ?",  # noqa: S608 - constant text
)
_BY_IDS: Final = Sql(
    "messages_by_ids",
    f"SELECT {DUE_COLUMNS} FROM messages WHERE id IN {PLACES} AND due_at IS NOT NULL",  # noqa: S608 - as above
)
_ONE: Final = Sql("message_sealed", f"SELECT {DUE_COLUMNS} FROM messages WHERE id = ?")  # noqa: S608 - as above
_NEXT: Final = Sql("messages_next", "SELECT min(due_at) FROM messages WHERE due_at IS NOT NULL")
_CLAIM: Final = Sql(
    "message_claim",
    "UPDATE messages SET status = 'sending', attempts = attempts + 1, due_at = ?, updated_at = ?"
    " WHERE id = ? AND attempts = ? AND due_at IS NOT NULL AND expires_at > ?",
)
_WANTED: Final = Sql("message_wanted", "SELECT 1 FROM messages WHERE id = ? AND status = 'sending'")
_ACCEPTED: Final = Sql(
    "message_accepted",
    "UPDATE messages SET status = 'sent', channel = ?, gateway = ?, reference = ?, reason = NULL, due_at = NULL,"
    " updated_at = ? WHERE id = ? AND status = 'sending'",
)
_CARRIED_BY: Final = Sql(
    "message_carried_by",
    "UPDATE messages SET channel = ?, gateway = ?, reference = ? WHERE id = ? AND gateway IS NULL",
)
_TAKEN: Final = Sql(
    "messages_taken",
    "UPDATE messages SET status = CASE status WHEN 'sending' THEN 'sent' ELSE status END, channel = ?, gateway = ?,"  # noqa: S608 - constant text
    f" reference = id, due_at = NULL, updated_at = ? WHERE id IN {PLACES} AND gateway IS NULL AND status <> 'queued'",
)
_LATER: Final = Sql(
    "message_later",
    "UPDATE messages SET status = 'queued', due_at = ?, tried = ?, reason = ?, updated_at = ?"
    " WHERE id = ? AND status = 'sending'",
)
_RELEASE: Final = Sql(
    "messages_release", "UPDATE messages SET due_at = ? WHERE due_at > ? AND status = 'sending' AND id < ?"
)
_END: Final = Sql(
    "message_end",
    "UPDATE messages SET status = ?, reason = ?, due_at = NULL, updated_at = ?, recipient = ?, sealed = NULL"
    " WHERE id = ? AND due_at IS NOT NULL",
)
_REPORTED: Final = Sql(
    "message_reported",
    "UPDATE messages SET status = ?, due_at = NULL, updated_at = ?, recipient = ?, sealed = NULL"
    # Of a gateway that left us without an answer, too: then no other one shall send it again.
    " WHERE id = ? AND status IN ('queued', 'sending', 'sent')",
)
_OVER: Final = Sql(
    "messages_over",
    f"SELECT {DUE_COLUMNS} FROM messages WHERE sealed IS NOT NULL AND expires_at <= ?"  # noqa: S608 - constant text
    " ORDER BY expires_at LIMIT ?",
)
_ERASE: Final = Sql(
    "message_erase", "UPDATE messages SET recipient = ?, sealed = NULL WHERE id = ? AND due_at IS NULL"
)
_DROP: Final = Sql("messages_drop", "DELETE FROM messages WHERE id < ? AND sealed IS NULL")


class Receipt(Struct, frozen=True, gc=False):
    """That a gateway took a message; ``reference`` is the gateway's own id."""

    due: Due
    channel: Channel
    gateway: str
    reference: str


class Deliveries:
    """What deliverers do with the messages of all applications."""

    def __init__(
        self, store: Store, sealer: Sealer, entropy: Entropy, bus: Bus, applications: Applications
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._bus = bus
        self._applications = applications
        self._fresh: dict[str, Due] = {}
        self._hold_ms = 0

    def hold(self, ms: int) -> None:
        """From now on messages of this process are claimed for so long as they are written; 0: nobody sends here."""
        self._hold_ms = ms
        if not ms:
            self._fresh.clear()

    def held_until(self, now: int) -> int:
        """Until when (ms UTC) a message that is written now is claimed for this process; 0: its row is read like any."""
        return now + self._hold_ms if self._hold_ms and len(self._fresh) < _FRESH_MAX else 0

    def hand_over(self, due: Due) -> None:
        """Take a message that was written as claimed: who sends it need not read and open its row again."""
        self._fresh[due.id] = due

    async def lull(self) -> None:
        """Wait until callers wait for the disk, not for this process: nobody waits for a delivery."""
        await self._store.lull()

    async def due(self, now: int, limit: int = 100) -> list[Due]:
        """What should be sent by now, longest due first."""
        rows = await self._store.rows(_DUE, (now, limit))
        found = self._opened(rows)
        if len(found) < len(rows):  # what does not open would be due for ever
            damaged = {row[0] for row in rows} - {due.id for due in found}
            reason = "Its sealed text does not open."
            await self._store.write(
                plan(*(step(_END, "failed", reason, now, None, each) for each in damaged), guards=0)
            )
        return found

    async def several(self, message_ids: Sequence[str]) -> list[Due]:
        """Those of these that are still to be sent, oldest first."""
        fresh = [due for each in message_ids if (due := self._fresh.pop(each, None)) is not None]
        known = {due.id for due in fresh}
        unknown = [each for each in message_ids if each not in known]
        rows = [row for ids in chunks(unknown) for row in await self._store.rows(_BY_IDS, ids)]
        return sorted((*fresh, *self._opened(rows)), key=lambda due: due.id)

    async def next_due(self) -> int | None:
        """When the next message is due in ms UTC, None when all are sent."""
        row = await self._store.row(_NEXT)
        return None if row is None else row[0]

    async def release(self, now: int) -> None:
        """Make due what a process that is no more had claimed before now; for the only deliverer, as it begins."""
        await self._store.write(plan(step(_RELEASE, now, now, first_id(now)), guards=0))

    def holds(self, due: Due, until: int, now: int) -> bool:
        """Whether a message was claimed until then as it was written, and can still be sent."""
        return until <= due.held_until and now < due.expires_at

    async def claim(self, due: Due, until: int, now: int) -> bool:
        """Take a message for one attempt, False when somebody else did or it is over.

        It is due again at ``until`` should the attempt, or this process, fail.
        """
        self._fresh.pop(due.id, None)  # what is tried is not as it was written any more
        if self.holds(due, until, now):
            return True  # its row was written as claimed
        attempts = due.attempts + (due.held_until > 0)
        if await self._store.write(plan(step(_CLAIM, until, now, due.id, attempts, now))) == 0:
            return True
        if due.expires_at <= now:
            await self.expire(now)
        return False

    async def is_wanted(self, message_id: str) -> bool:
        """Whether a message that was claimed is still to be sent."""
        return await self._store.row(_WANTED, (message_id,)) is not None

    async def accepted(self, due: Due, channel: Channel, gateway: str, reference: str, now: int) -> None:
        """A gateway took it; ``reference`` is the gateway's own id. Text and destination stay until it is reported."""
        sent = step(_ACCEPTED, channel, gateway, reference, now, due.id)
        if not await self._ended(due, "sent", sent, now, channel=channel):
            # A report overtook the answer: the state is known, the way is not.
            await self._store.write(plan(step(_CARRIED_BY, channel, gateway, reference, due.id), guards=0))

    async def taken(self, receipts: Sequence[Receipt], now: int) -> None:
        """As ``accepted``, of messages that gateways took together at their first attempt."""
        told = {each: await self._is_heard(each) for each in {each.due.application_id for each in receipts}}
        alike: dict[tuple[Channel, str], list[str]] = {}
        alone = []
        for each in receipts:
            if told[each.due.application_id] or each.reference != each.due.id:
                alone.append(each)
            else:
                alike.setdefault((each.channel, each.gateway), []).append(each.due.id)
        writes = [self.accepted(each.due, each.channel, each.gateway, each.reference, now) for each in alone]
        if alike:
            steps = [step(_TAKEN, *way, now, *ids) for way, all_of in alike.items() for ids in chunks(all_of)]
            await asyncio.gather(self._store.write(plan(*steps, guards=0)), *writes)
        else:
            await asyncio.gather(*writes)

    async def later(self, due: Due, at: int, tried: tuple[str, ...], now: int, reason: str = "") -> None:
        """Try again at ``at`` (ms UTC), and none of ``tried`` any more; ``reason`` is for the operator."""
        await self._store.write(plan(step(_LATER, at, " ".join(tried), reason or None, now, due.id)))

    async def failed(self, due: Due, reason: str, now: int) -> None:
        """No gateway takes it; ``reason`` is a sentence for the operator."""
        end = step(_END, "failed", reason, now, messagerows.recipient(self._sealer, due), due.id)
        await self._ended(due, "failed", end, now, reason=reason)

    async def reported(self, message_id: str, secret: str, state: Reported, now: int) -> bool:
        """What a gateway reports of a message that it took; a wrong secret is False and changes nothing.

        The first final state stays. No report says anything about the code.
        """
        good = self._is_secret(message_id, secret)
        row = await self._store.row(_ONE, (message_id,)) if good and is_id(message_id) else None
        if row is None:
            return False
        if state != "sent" and (due := messagerows.due(self._sealer, row)) is not None:
            kept = messagerows.recipient(self._sealer, due)
            await self._ended(due, state, step(_REPORTED, state, now, kept, message_id), now)
        return True

    async def expire(self, now: int) -> None:
        """End what was not sent in time, and erase the texts of what nobody reported."""
        while rows := await self._store.rows(_OVER, (now, _AT_ONCE)):
            erased = []
            for row in rows:
                message_id, _, _, status, *_ = row
                due = messagerows.due(self._sealer, row)
                kept = None if due is None else messagerows.recipient(self._sealer, due)
                if status not in UNSENT:
                    erased.append(step(_ERASE, kept, message_id))
                    continue
                end = step(_END, "expired", LATE, now, kept, message_id)
                if due is None:
                    erased.append(end)
                else:
                    await self._ended(due, "expired", end, now, reason=LATE)
            if erased:
                await self._store.write(plan(*erased, guards=0))

    async def sweep(self, now: int) -> None:
        """Erase rows that are older than 30 days."""
        await self._store.write(plan(step(_DROP, first_id(now - _KEPT_MS)), guards=0))

    async def _ended(
        self, due: Due, status: str, change: Step, now: int, channel: Channel | None = None, reason: str = ""
    ) -> bool:
        """Write a change of state, tell the application, and say whether this one came first."""
        try:
            application = await self._applications.by_id(due.application_id)
        except RefusedError:
            written = plan(change)  # its application is gone; nobody is told
            return await self._store.write(written) == 0
        told: tuple[Step, ...] = ()
        if application.webhooks:
            kind, data = messagerows.told(due, status, channel, reason)
            subject = due.code_id or due.id
            told = outbox.event(self._sealer, self._entropy, application, kind, subject, data, now)
        written = plan(change, *told)
        if await self._store.write(written):
            return False
        outbox.announce(self._bus, written)
        return True

    async def _is_heard(self, application_id: str) -> bool:
        """Whether an application is told what becomes of its messages."""
        try:
            return bool((await self._applications.by_id(application_id)).webhooks)
        except RefusedError:
            return False  # its application is gone

    def _opened(self, rows: list[Row]) -> list[Due]:
        """Rows as a deliverer needs them, without those that are erased or damaged: one must not stop the others."""
        return [due for row in rows if (due := messagerows.due(self._sealer, row)) is not None]

    def report_secret(self, message_id: str) -> str:
        """The secret part of the address to which the delivery of a message is reported."""
        return messagerows.secret(self._sealer, message_id)

    def _is_secret(self, message_id: str, secret: str) -> bool:
        good = self.report_secret(message_id)
        return hmac.compare_digest(good.encode(), secret.encode("utf-8", "replace"))
