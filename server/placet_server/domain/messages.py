"""Messages to people, as who sends them sees it: what is taken, how it stands, and its withdrawal.

A row begins in the plan of the code or call that caused it, with destination and text sealed; what becomes of it from
there is the business of deliverers (``deliveries``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from placet_server.domain import messagerows
from placet_server.domain.audit import leaf
from placet_server.domain.deliveries import Deliveries
from placet_server.domain.destinations import Destination
from placet_server.domain.guard import Guard, Taken
from placet_server.domain.ids import is_id, new_id
from placet_server.domain.mail import Due, MessageDraft, MessageInfo
from placet_server.domain.messagerows import INFO_COLUMNS, owner
from placet_server.domain.messagetexts import checked
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller, Page
from placet_server.ports import Bus, Entropy, Sealer, Sql, Step, Store, plan, step

Charge = Callable[[Caller], Step | None]
"""The guard that pays for one message, or None where nothing is counted."""

LIFE_MS: Final = 24 * 3_600_000
"""How long a plain message is tried that says nothing else."""
_PAGE_MAX: Final = 200

_WITHDRAW: Final = Sql(
    "message_withdraw",
    "UPDATE messages SET status = CASE WHEN due_at IS NULL THEN status ELSE 'expired' END, due_at = NULL,"
    " updated_at = ?, expires_at = ? WHERE id = ? AND expires_at > ?",
)
_GET: Final = Sql("message", f"SELECT {INFO_COLUMNS} FROM messages WHERE id = ? AND ? IN ('', owner)")  # noqa: S608 - constant text
_PAGE: Final = Sql(
    "messages_page",
    f"SELECT {INFO_COLUMNS} FROM messages WHERE id < ? AND ? IN ('', owner) ORDER BY id DESC LIMIT ?",  # noqa: S608 - as above
)


class Prepared(Struct, frozen=True, gc=False):
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
        guard: Guard,
        charge: Charge,
        deliveries: Deliveries,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._bus = bus
        self._guard = guard
        self._charge = charge
        self._deliveries = deliveries

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
        held_until = self._deliveries.held_until(now) if draft.send_at is None else 0
        due = None
        if held_until:
            due = messagerows.fresh(caller, message_id, draft, code_id, now, held_until)
        add = messagerows.add(self._sealer, caller, message_id, draft, code_id, now, held_until)
        return Prepared(message_id, taken, (add,), due)

    def announce(self, prepared: Prepared) -> None:
        """Say that a message is written."""
        if prepared.id is None:
            return
        if prepared.due is not None:
            self._deliveries.hand_over(prepared.due)
        self._bus.publish("message", prepared.id)

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
