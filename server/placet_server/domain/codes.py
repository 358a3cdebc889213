"""One-time codes: made here, carried by a channel, typed by a person, good once.

Of a code only a keyed MAC is kept, bound to id, organization, destination or user, and purpose, and erased when the code
ends. A code belongs to the application that made it, on a face to the credential. Everything that an issue writes is one
plan: budgets and balance as guards, the code, the message that carries it, the audit leaf.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import structs

from placet_server.domain import codekeys, limits
from placet_server.domain.audit import leaf
from placet_server.domain.checking import Checking
from placet_server.domain.destinations import Destination, masked
from placet_server.domain.drafting import Drafting, Wish, opened, own
from placet_server.domain.guard import Guard, Taken
from placet_server.domain.ids import OrderedIds, is_id, made_at
from placet_server.domain.messagerows import owner
from placet_server.domain.messages import Messages
from placet_server.domain.notices import Notices
from placet_server.domain.onecode import (
    RESTRICTED,
    Checked,
    CodeDraft,
    CodeInfo,
    CodeStatus,
    Found,
    Issued,
    Kept,
    Outcome,
)
from placet_server.domain.refusals import RefusedError
from placet_server.domain.shapes import draw
from placet_server.domain.users import Users
from placet_server.domain.values import Caller, UserRef
from placet_server.domain.verified import VerifiedNumbers
from placet_server.ports import Bus, Channel, Entropy, Leaf, Sealer, Sql, Step, Store, plan, step

__all__ = ["Checked", "CodeDraft", "CodeInfo", "CodeStatus", "Codes", "Issued", "LiveError", "Outcome"]

KEPT_MS: Final = 24 * 3_600_000
"""How long an ended code can be told from one that never was."""
INNER: Final = "\0"
"""How purposes of the server itself begin: no caller can write it."""
_LAPS: Final = 8
_AT_ONCE: Final = 1_000

ExtraGuard = Callable[[Issued], Step] | None
"""Gives a further guard of the plan for the answer that the caller is about to get."""

_LIVE_OF: Final = "lookup = ? AND owner = ? AND purpose = ? AND status = 'live' AND expires_at > ?"
_WITHDRAW_LIVE: Final = Sql(
    "messages_withdraw",
    "UPDATE messages SET status = CASE WHEN due_at IS NULL THEN status ELSE 'expired' END, due_at = NULL,"  # noqa: S608 - constant text
    f" updated_at = ?, expires_at = ? WHERE id IN (SELECT message FROM codes WHERE {_LIVE_OF})",
)
_REPLACE_LIVE: Final = Sql(
    "codes_replace",
    f"UPDATE codes SET status = 'replaced', mac = NULL WHERE {_LIVE_OF}",  # noqa: S608 - constant text
)
_LIVE: Final = Sql(
    "codes_live",
    f"SELECT id FROM codes WHERE {_LIVE_OF} ORDER BY id DESC LIMIT ?",  # noqa: S608 - as above
)
_END: Final = Sql(
    "code_end",
    "UPDATE codes SET status = ?, mac = NULL WHERE id = ? AND status = 'live' AND expires_at > ? AND tries_left = ?",
)
_CARRY: Final = Sql(
    "code_carry", "UPDATE codes SET message = ? WHERE id = ? AND status = 'live' AND expires_at > ?"
)
_COLUMNS: Final = (
    "SELECT c.id, c.status, c.tries, c.tries_left, c.expires_at, c.message, c.user_id, c.sealed, m.status, c.ip"
    " FROM codes c LEFT JOIN messages m ON m.id = c.message"
)
_GET: Final = Sql("code", f"{_COLUMNS} WHERE c.id = ? AND c.owner = ?")
_NEWEST: Final = Sql(
    "code_newest",
    f"{_COLUMNS} WHERE c.lookup = ? AND c.owner = ? AND c.purpose = ? ORDER BY c.id DESC LIMIT 1",
)
_TO_ERASE: Final = Sql("codes_to_erase", "SELECT id FROM codes WHERE erase_at <= ? LIMIT 1")
_FIRST_TO_ERASE: Final = "id IN (SELECT id FROM codes WHERE erase_at <= ? ORDER BY erase_at LIMIT ?)"
_DROP: Final = Sql(
    "codes_drop",
    f"DELETE FROM codes WHERE {_FIRST_TO_ERASE} AND erase_at > expires_at",  # noqa: S608 - constant text
)
_ERASE: Final = Sql(
    "codes_erase",
    f"UPDATE codes SET mac = NULL, erase_at = erase_at + ? WHERE {_FIRST_TO_ERASE} AND erase_at = expires_at",  # noqa: S608 - as above
)


class LiveError(Exception):
    """A code counts already for this destination or user and purpose, and the new one was to be alone."""


class Codes:
    """All one-time codes of all applications."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        entropy: Entropy,
        bus: Bus,
        users: Users,
        notices: Notices,
        guard: Guard,
        messages: Messages,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._ids = OrderedIds(entropy)  # the newest of a destination counts
        self._guard = guard
        self._messages = messages
        self._drafting = Drafting(sealer, users, guard, messages, VerifiedNumbers(store, sealer))
        self._checking = Checking(store, sealer, entropy, bus, notices, users)

    async def issue(
        self,
        caller: Caller,
        draft: CodeDraft,
        now: int,
        *,
        ip: str = "",
        extra_guard: ExtraGuard = None,
        repeatable: bool = False,
        alone: bool = False,
    ) -> Issued:
        """A new code, and the message that carries it where the draft names channels.

        What is asked beyond policy is cut to policy; the answer says what counts. ``ip`` is that of the person who
        caused it, unless the draft binds to one. A ``repeatable`` code can be sent again while it lives. Raises
        ``LiveError`` where one that is to be ``alone`` finds a code that counts, ``invalid_request``, ``invalid_text``,
        ``invalid_destination``, what ``Guard.channels`` raises, ``too_many_codes``, ``no_credit`` and
        ``idempotency_conflict``.
        """
        code_id = self._ids.new(now)
        wish = await self._drafting.wish(caller, draft, code_id)
        value = draw(wish.kept.shape, self._entropy) if draft.value is None else own(draft.value)
        if repeatable:
            wish = structs.replace(wish, kept=structs.replace(wish.kept, value=value))
        before: tuple[Step, ...] = ()
        if draft.replaces:
            live = (wish.lookup, owner(caller), wish.purpose, now)
            before = (step(_WITHDRAW_LIVE, now, now, *live), step(_REPLACE_LIVE, *live))
        ip = draft.ip or ip
        return await self._write(caller, code_id, wish, value, now, ip, before, [], extra_guard, alone=alone)

    async def check(
        self,
        caller: Caller,
        value: str,
        now: int,
        *,
        code_id: str | None = None,
        destination: Destination | None = None,
        user: UserRef | None = None,
        purpose: str = "",
        ip: str | None = None,
    ) -> Checked:
        """Whether this is the code of this id, or the newest for a destination or user and purpose; a try, counted.

        With an id and a destination both must fit. An older code is never tried for a newer one. Another purpose, or
        another ``ip`` than the code is bound to, is a wrong code; natively, and by policy, so is none.
        """
        return await self._checking.check(
            caller, value, now, code_id=code_id, destination=destination, user=user, purpose=purpose, ip=ip
        )

    async def resend(self, caller: Caller, code_id: str, now: int) -> Issued:
        """A new code in place of a live one, which ends; tries that were used stay used.

        Raises ``not_found``, ``not_pending``, ``too_many_codes`` (also when the last one is too young) and what
        ``issue`` raises.
        """
        old = await self._found(caller, code_id)
        _must_live(old, now)
        kept = self._kept(old)
        wait = made_at(code_id) + caller.application.policies.code_resend_after * 1000 - now
        if wait > 0:
            raise RefusedError(
                "too_many_codes", "The last code is still on its way.", retry_after=-(-wait // 1000)
            )
        kept = await self._drafting.again(caller, kept, old.user_id)
        new = self._ids.new(now)
        value = draw(kept.shape, self._entropy)
        if kept.value is not None:
            kept = structs.replace(kept, value=value)  # what is repeated is the code that counts
        wish = self._drafting.bound(caller, kept, old.user_id, new, ip=old.ip, tries=old.tries, left=old.left)
        ends = Taken(step(_END, "replaced", code_id, now, old.left), "ended")
        return await self._write(caller, new, wish, value, now, "", self._withdrawn(old, now), [ends])

    async def repeat(
        self,
        caller: Caller,
        code_id: str,
        now: int,
        *,
        channels: tuple[Channel, ...] = (),
        ip: str = "",
        extra_guard: ExtraGuard = None,
    ) -> Issued:
        """Send a repeatable live code once more, perhaps by other channels; neither its end nor its tries change.

        Raises ``not_found``, ``not_pending``, ``invalid_request`` when it is not repeatable, and what sending raises.
        """
        found = await self._found(caller, code_id)
        _must_live(found, now)
        kept = self._kept(found)
        value = kept.value
        if value is None or kept.destination is None:
            raise RefusedError("invalid_request", "This code cannot be sent again; ask for a new one.")
        channels = self._guard.channels(caller, kept.destination, channels or kept.channels)
        kept = structs.replace(kept, channels=channels)
        prepared = self._drafting.message(caller, kept, value, code_id, found.expires_at, now, ip)
        issued = _issued(kept, code_id, value, found.expires_at, found.tries, prepared.id)
        guards = [Taken(step(_CARRY, prepared.id, code_id, now), "ended"), *prepared.taken]
        if extra_guard is not None:
            guards = [Taken(extra_guard(issued), "repeated"), *guards]
        entry = leaf(now, "code.repeated", caller.org, code_id, application=caller.application.id)
        steps = (*self._withdrawn(found, now), *prepared.steps)
        await self._plan(caller, kept, guards, steps, entry, now)
        self._messages.announce(prepared)
        return issued

    async def get(self, caller: Caller, code_id: str, now: int) -> CodeInfo:
        """How a code of this caller stands; raises ``not_found``."""
        return self._info(await self._found(caller, code_id), now)

    async def destination(self, caller: Caller, code_id: str) -> Destination | None:
        """Where a code of this caller goes, unmasked; raises ``not_found``."""
        return self._kept(await self._found(caller, code_id)).destination

    async def newest(
        self, caller: Caller, now: int, *, destination: Destination | None, purpose: str = ""
    ) -> CodeInfo | None:
        """The newest code of this caller for a destination and purpose; None where there is none, or no destination."""
        if destination is None:
            return None
        lookup = codekeys.of_destination(self._sealer, caller.org, destination)
        bound = codekeys.of_purpose(self._sealer, purpose)
        row = await self._store.row(_NEWEST, (lookup, owner(caller), bound))
        return None if row is None else self._info(Found._make(row), now)

    async def live(self, caller: Caller, destination: Destination, now: int, limit: int) -> list[str]:
        """The ids of this caller's live codes for a destination, newest first; of those without a purpose."""
        lookup = codekeys.of_destination(self._sealer, caller.org, destination)
        bound = codekeys.of_purpose(self._sealer, "")
        rows = await self._store.rows(_LIVE, (lookup, owner(caller), bound, now, limit))
        return [row[0] for row in rows]

    async def cancel(self, caller: Caller, code_id: str, now: int) -> CodeInfo:
        """End a live code; a message that was not sent yet is not sent. Raises ``not_found``, ``not_pending``."""
        for _ in range(_LAPS):
            found = await self._found(caller, code_id)
            _must_live(found, now)
            entry = leaf(now, "code.cancelled", caller.org, code_id, application=caller.application.id)
            end = step(_END, "cancelled", code_id, now, found.left)
            ended = plan(end, *self._withdrawn(found, now), leaf=entry)
            if await self._store.write(ended) == 0:
                break
        return await self.get(caller, code_id, now)

    async def unlock(self, org: str, destination: Destination, now: int) -> None:
        """Forget the wrong codes that were tried for a destination, so that its codes count again."""
        subject = codekeys.of_destination(self._sealer, org, destination)
        entry = leaf(now, "code.unlocked", org, subject.hex())
        await self._store.write(plan(limits.reset(subject), guards=0, leaf=entry))

    async def sweep(self, now: int) -> None:
        """Erase the MACs of codes that are over, and 24 hours later the rows."""
        while await self._store.row(_TO_ERASE, (now,)) is not None:
            await self._store.write(
                plan(step(_DROP, now, _AT_ONCE), step(_ERASE, KEPT_MS, now, _AT_ONCE), guards=0)
            )

    async def _write(
        self,
        caller: Caller,
        code_id: str,
        wish: Wish,
        value: str,
        now: int,
        ip: str,
        before: tuple[Step, ...],
        guards: list[Taken],
        extra_guard: ExtraGuard = None,
        *,
        alone: bool = False,
    ) -> Issued:
        """One plan: the guards and those of the message, what ends ``before``, the code, its message."""
        kept, expires_at = wish.kept, now + wish.kept.seconds * 1000
        prepared = self._drafting.message(caller, kept, value, code_id, expires_at, now, ip)
        issued = _issued(kept, code_id, value, expires_at, wish.tries, prepared.id)
        if extra_guard is not None:
            guards = [Taken(extra_guard(issued), "repeated"), *guards]
        alone_at = now if alone else None
        add = self._drafting.row(caller, code_id, wish, value, expires_at, prepared, alone_at=alone_at)
        if alone:
            guards = [*guards, Taken(add, "alone")]
        else:
            before = (*before, add)
        entry = leaf(
            now, "code.issued", caller.org, code_id, application=caller.application.id, expires_at=expires_at
        )
        await self._plan(caller, kept, [*guards, *prepared.taken], (*before, *prepared.steps), entry, now)
        self._messages.announce(prepared)
        return issued

    async def _plan(
        self,
        caller: Caller,
        kept: Kept,
        taken: list[Taken],
        steps: tuple[Step, ...],
        entry: Leaf,
        now: int,
    ) -> None:
        """Write all or nothing; raises the refusal of the guard that took no row."""
        guards = [each.step for each in taken]
        failed = await self._store.write(plan(*guards, *steps, guards=len(guards), leaf=entry))
        if not failed:
            return
        if taken[failed - 1].kind == "ended":
            raise _not_live("ended")
        if taken[failed - 1].kind == "alone":
            raise LiveError
        raise await self._messages.refusal(caller, kept.destination, taken[failed - 1], now)

    async def _found(self, caller: Caller, code_id: str) -> Found:
        row = await self._store.row(_GET, (code_id, owner(caller))) if is_id(code_id) else None
        if row is None:
            raise RefusedError("not_found", "There is no such code.")
        return Found._make(row)

    def _withdrawn(self, found: Found, now: int) -> tuple[Step, ...]:
        """What ends the message of a code that ends."""
        return () if found.message_id is None else (self._messages.withdraw(found.message_id, now),)

    def _kept(self, found: Found) -> Kept:
        return opened(self._sealer, found.id, found.sealed)

    def _info(self, found: Found, now: int) -> CodeInfo:
        kept = self._kept(found)
        return CodeInfo(
            id=found.id,
            status=found.status(now),
            channels=kept.channels,
            destination="" if kept.destination is None else masked(kept.destination),
            purpose=kept.purpose.removeprefix(INNER),
            tries=found.tries,
            left=found.left,
            created_at=made_at(found.id),
            expires_at=found.expires_at,
            message_id=found.message_id,
            message_status=found.message_status,
            restricted=not RESTRICTED.isdisjoint(kept.channels),
        )


def _issued(
    kept: Kept, code_id: str, value: str, expires_at: int, tries: int, message_id: str | None
) -> Issued:
    return Issued(
        code_id, value, expires_at, tries, kept.destination, message_id, kept.seconds, kept.channels
    )


def _must_live(found: Found, now: int) -> None:
    """Raise ``not_pending`` unless the code still counts."""
    if (status := found.status(now)) != "live":
        raise _not_live(status)


def _not_live(status: str) -> RefusedError:
    return RefusedError("not_pending", "This code does not count any more.", state=status)
