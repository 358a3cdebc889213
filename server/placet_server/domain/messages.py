"""Messages on their way to people: what is still to be sent, what gateways said, what became of it.

A row begins in the plan of the code or call that caused it. The deliverer claims it, hands it to a gateway and writes
down the answer; each of these is one conditional write, so of two deliverers one acts, and a restart loses nothing.
Destination and text are sealed, and erased when the message is carried or over.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from placet_server.domain import messagerows, outbox
from placet_server.domain.applications import Applications
from placet_server.domain.audit import leaf
from placet_server.domain.chunks import PLACES, chunks
from placet_server.domain.destinations import Destination
from placet_server.domain.guard import Guard, Taken
from placet_server.domain.ids import first_id, is_id, new_id
from placet_server.domain.mail import UNSENT, Due, MessageDraft, MessageInfo, Reported
from placet_server.domain.messagerows import DUE_COLUMNS, INFO_COLUMNS, owner
from placet_server.domain.messagetexts import checked
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller, Page
from placet_server.ports import (
    Bus,
    Channel,
    Entropy,
    Row,
    Sealer,
    Sql,
    Step,
    Store,
    plan,
    step,
)

Charge = Callable[[Caller], Step | None]
"""The guard that pays for one message, or None where nothing is counted."""

__all__ = ["LIFE_MS", "NOTHING", "Charge", "Messages", "Prepared", "owner"]

LIFE_MS: Final = 24 * 3_600_000
"""How long a plain message is tried that says nothing else."""
_KEPT_MS: Final = 30 * 86_400_000
_PAGE_MAX: Final = 200
_FRESH_MAX: Final = 2_000
"""Messages that are handed over in memory; of more, the rows serve."""
_AT_ONCE: Final = 500
_LATE: Final = "It was not sent in time."

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
_WITHDRAW: Final = Sql(
    "message_withdraw",
    "UPDATE messages SET status = CASE WHEN due_at IS NULL THEN status ELSE 'expired' END, due_at = NULL,"
    " updated_at = ?, expires_at = ? WHERE id = ? AND expires_at > ?",
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
_GET: Final = Sql("message", f"SELECT {INFO_COLUMNS} FROM messages WHERE id = ? AND ? IN ('', owner)")  # noqa: S608 - as above
_PAGE: Final = Sql(
    "messages_page",
    f"SELECT {INFO_COLUMNS} FROM messages WHERE id < ? AND ? IN ('', owner) ORDER BY id DESC LIMIT ?",  # noqa: S608 - as above
)


class Prepared(NamedTuple):
    """A message that is ready to be written: the guards of its plan, and its row. All empty when there is none."""

    id: str | None
    taken: list[Taken]
    steps: tuple[Step, ...]
    due: Due | None = None


NOTHING: Final = Prepared(None, [], ())


class Messages:
    """All messages of all applications."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        entropy: Entropy,
        bus: Bus,
        applications: Applications,
        guard: Guard,
        charge: Charge,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._bus = bus
        self._applications = applications
        self._guard = guard
        self._charge = charge
        self._fresh: dict[str, Due] = {}
        self._hold_ms = 0

    async def send(
        self,
        caller: Caller,
        draft: MessageDraft,
        now: int,
        *,
        ip: str = "",
        extra_guard: Callable[[MessageInfo], Step] | None = None,
    ) -> MessageInfo:
        """Take a plain message; it is sent after this answer, or at ``send_at``.

        ``ip`` is that of the person who caused it; ``extra_guard`` gives a further guard for the answer. Raises what
        ``Guard.channels`` raises, ``invalid_text``, ``too_many_codes``, ``no_credit`` and ``idempotency_conflict``.
        """

        def first(infos: tuple[MessageInfo, ...]) -> Step:
            assert extra_guard is not None
            return extra_guard(infos[0])

        guard = None if extra_guard is None else first
        return (await self.send_all(caller, (draft,), now, ip=ip, extra_guard=guard))[0]

    async def send_all(
        self,
        caller: Caller,
        drafts: Sequence[MessageDraft],
        now: int,
        *,
        ip: str = "",
        extra_guard: Callable[[tuple[MessageInfo, ...]], Step] | None = None,
    ) -> tuple[MessageInfo, ...]:
        """Take all of these messages or, when one of them is refused, none; otherwise as ``send``."""
        ready = [
            checked(draft, self._guard.channels(caller, draft.to, draft.channels), now) for draft in drafts
        ]
        prepared = [self.prepare(caller, draft, now, ip=ip) for draft in ready]
        infos = tuple(
            messagerows.new_info(caller, str(each.id), draft, now)
            for each, draft in zip(prepared, ready, strict=True)
        )
        taken = [(draft.to, each) for draft, some in zip(ready, prepared, strict=True) for each in some.taken]
        if extra_guard is not None:
            taken = [(ready[0].to, Taken(extra_guard(infos), "repeated")), *taken]
        facts: dict[str, str | int] = {"application": caller.application.id, "kind": ready[0].kind}
        if len(infos) > 1:
            facts["count"] = len(infos)
        entry = leaf(now, "message.accepted", caller.org, infos[0].id, **facts)
        guards = [each.step for _, each in taken]
        steps = (row for each in prepared for row in each.steps)
        failed = await self._store.write(plan(*guards, *steps, guards=len(guards), leaf=entry))
        if failed:
            raise await self.refusal(caller, *taken[failed - 1], now)
        for each in prepared:
            self.announce(each)
        return infos

    def prepare(
        self, caller: Caller, draft: MessageDraft, now: int, *, ip: str = "", code_id: str | None = None
    ) -> Prepared:
        """What a plan needs that sends this message; ``announce`` it when the plan is written."""
        message_id = new_id(now, self._entropy)
        taken = self._guard.take(caller, draft.to, ip, now, counts=draft.kind == "code", other=draft.other)
        if (paid := self._charge(caller)) is not None:
            taken.append(Taken(paid, "credit"))
        due, held_until = None, 0
        if self._hold_ms and draft.send_at is None and len(self._fresh) < _FRESH_MAX:
            held_until = now + self._hold_ms
            due = messagerows.fresh(self._sealer, caller, message_id, draft, code_id, now, held_until)
        add = messagerows.add(self._sealer, caller, message_id, draft, code_id, now, held_until)
        return Prepared(message_id, taken, (add,), due)

    def announce(self, prepared: Prepared) -> None:
        """Say that a message is written. Who sends it from this process need not read and open its row again."""
        if prepared.id is None:
            return
        if prepared.due is not None:
            self._fresh[prepared.id] = prepared.due
        self._bus.publish("message", prepared.id)

    def hold(self, ms: int) -> None:
        """From now on messages of this process are claimed for so long as they are written; 0: nobody sends here."""
        self._hold_ms = ms
        if not ms:
            self._fresh.clear()

    async def refusal(self, caller: Caller, to: Destination | None, taken: Taken, now: int) -> RefusedError:
        """Why one of the guards of a message or code took no row."""
        if taken.kind == "repeated":
            return RefusedError("idempotency_conflict", "A call with this Idempotency-Key was just taken.")
        if taken.kind == "credit":
            return RefusedError("no_credit", "The balance of this credential is used up.")
        assert to is not None  # the guards left count messages to somewhere
        return await self._guard.refusal(caller, to, taken, now)

    @staticmethod
    def withdraw(message_id: str, now: int) -> Step:
        """The step that ends a message whose code ended: it is not sent any more, and its text erased in a moment."""
        return step(_WITHDRAW, now, now, message_id, now)

    async def get(self, caller: Caller | None, message_id: str) -> MessageInfo:
        """How a message of this caller (of anyone, for the operator) stands; raises ``not_found``."""
        whose = "" if caller is None else owner(caller)
        row = await self._store.row(_GET, (message_id, whose)) if is_id(message_id) else None
        if row is None:
            raise RefusedError("not_found", "There is no such message.")
        return messagerows.info(self._sealer, row)

    async def page(self, caller: Caller | None, *, after: str | None = None, limit: int = 50) -> Page:
        """Messages of this caller (of all, for the operator), newest first, at most 200."""
        limit = max(1, min(limit, _PAGE_MAX))
        whose = "" if caller is None else owner(caller)
        rows = await self._store.rows(_PAGE, (after or "g", whose, limit + 1))  # "g" is behind every id
        found = tuple(messagerows.info(self._sealer, row) for row in rows[:limit])
        return Page(found, found[-1].id if len(rows) > limit else None)

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

    async def claim(self, due: Due, until: int, now: int) -> bool:
        """Take a message for one attempt, False when somebody else did or it is over.

        It is due again at ``until`` should the attempt, or this process, fail.
        """
        self._fresh.pop(due.id, None)  # what is tried is not as it was written any more
        if until <= due.held_until and now < due.expires_at:
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
                due = messagerows.due(self._sealer, row)
                kept = None if due is None else messagerows.recipient(self._sealer, due)
                if row[3] not in UNSENT:
                    erased.append(step(_ERASE, kept, row[0]))
                    continue
                end = step(_END, "expired", _LATE, now, kept, row[0])
                if due is None:
                    erased.append(end)
                else:
                    await self._ended(due, "expired", end, now, reason=_LATE)
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

    def _opened(self, rows: list[Row]) -> list[Due]:
        """Rows as a deliverer needs them, without those that are erased or damaged: one must not stop the others."""
        return [due for row in rows if (due := messagerows.due(self._sealer, row)) is not None]

    def _is_secret(self, message_id: str, secret: str) -> bool:
        good = messagerows.secret(self._sealer, message_id)
        return hmac.compare_digest(good.encode(), secret.encode("utf-8", "replace"))
