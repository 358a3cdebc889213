"""Whether what a person typed is the code.

As with soft tokens a try reads, compares, and then writes ONE plan whose guard says that no failure was counted for
this destination since the reading; only then is it answered. A wrong try counts itself against the code and against the
destination, over all codes, callers and faces of the organization, before it is called a mismatch. A right one takes the
row from ``live``, which only one of any number can do. Who loses begins again from the reading.
"""

from __future__ import annotations

import hmac
from typing import Any, Final, NamedTuple

from placet_server.domain import codekeys, limits, outbox
from placet_server.domain.audit import leaf
from placet_server.domain.destinations import Destination, masked
from placet_server.domain.drafting import opened
from placet_server.domain.guard import Guard
from placet_server.domain.ids import is_id
from placet_server.domain.limits import LAST_DELAY_MS, Strain
from placet_server.domain.messagerows import owner
from placet_server.domain.notices import Notices
from placet_server.domain.onecode import Checked, Kept, Outcome
from placet_server.domain.users import Users
from placet_server.domain.values import Caller, UserRef
from placet_server.domain.verified import VerifiedNumbers
from placet_server.ports import Bus, Entropy, Plan, Row, Sealer, Sql, Step, Store, plan, step

_LAPS: Final = 64
_TYPED_MAX: Final = 64

_COLUMNS: Final = (
    f"SELECT c.id, c.status, c.expires_at, c.tries_left, c.mac, c.key, c.lookup, c.subject, c.prefix, c.ip,"  # noqa: S608 - constant text
    f" c.user_id, c.sealed, {limits.COLUMNS} FROM codes c LEFT JOIN throttles h ON h.subject = c.subject"
)
_BY_ID: Final = Sql("code_to_check", f"{_COLUMNS} WHERE c.id = ? AND c.owner = ?")
_NEWEST: Final = Sql(
    "code_newest_to_check",
    f"{_COLUMNS} WHERE c.lookup = ? AND c.owner = ? AND c.purpose = ? ORDER BY c.id DESC LIMIT 1",
)
_MATCH: Final = Sql(
    "code_match",
    "UPDATE codes SET status = 'matched', mac = NULL WHERE id = ? AND status = 'live' AND expires_at > ?"
    " AND coalesce((SELECT failures FROM throttles WHERE subject = ?), 0) = ?",
)
_MISS: Final = Sql(
    "code_miss",
    "UPDATE codes SET tries_left = tries_left - 1,"
    " status = CASE WHEN tries_left <= 1 THEN 'exhausted' ELSE status END,"
    " mac = CASE WHEN tries_left <= 1 THEN NULL ELSE mac END WHERE id = ? AND status = 'live'",
)
_ENDED: Final[dict[str, Outcome]] = {
    "matched": "used",
    "exhausted": "exhausted",
    "cancelled": "expired",
    "replaced": "expired",
}


class _Tried(NamedTuple):
    """A code as it was read for one try."""

    id: str
    status: str
    expires_at: int
    left: int
    mac: bytes | None
    key: int
    lookup: bytes
    subject: bytes
    prefix: bytes | None
    ip: bytes | None
    user_id: str | None
    sealed: bytes
    strain: Strain


class Checking:
    """Compares what was typed, each try on the record."""

    def __init__(
        self, store: Store, sealer: Sealer, entropy: Entropy, bus: Bus, notices: Notices, users: Users
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._bus = bus
        self._notices = notices
        self._users = users
        self._verified = VerifiedNumbers(store, sealer)

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
        """One try; see ``Codes.check``."""
        bound = codekeys.of_purpose(self._sealer, purpose)
        for _ in range(_LAPS):
            tried = await self._read(caller, code_id, destination, user, bound)
            if tried is None:
                return Checked("unknown")
            seconds = max(0, -(-(tried.expires_at - now) // 1000))
            ended = _ended(tried, now)
            if ended is not None:
                return Checked(ended, tried.left, tried.id, seconds)
            wait = tried.strain.wait(caller.application.policies, now)
            if wait != 0:
                until = LAST_DELAY_MS if wait is None else wait
                return Checked("throttled", tried.left, tried.id, seconds, -(-until // 1000))
            if self._right(caller, tried, value, bound, ip):
                written = self._success(caller, tried, bound, now)
                if await self._store.write(written) == 0:
                    outbox.announce(self._bus, written)
                    return Checked("matched", tried.left, tried.id, seconds)
            else:
                written = await self._failure(caller, tried, now)
                if await self._store.write(written) == 0:
                    self._told(written)
                    return Checked("mismatch", tried.left - 1, tried.id, seconds)
        return Checked("throttled", wait=1)

    async def _read(
        self,
        caller: Caller,
        code_id: str | None,
        destination: Destination | None,
        user: UserRef | None,
        purpose: bytes,
    ) -> _Tried | None:
        """The code that is meant: by its id (and then also for this destination), or the newest for somebody."""
        subject = (
            None if destination is None else codekeys.of_destination(self._sealer, caller.org, destination)
        )
        row: Row | None = None
        if code_id is not None:
            if is_id(code_id):
                row = await self._store.row(_BY_ID, (code_id, owner(caller)))
            if row is not None and subject not in {None, row[7]}:
                row = None
        else:
            lookup = codekeys.of_user(self._sealer, user) if user is not None else subject
            if lookup is not None:
                row = await self._store.row(_NEWEST, (lookup, owner(caller), purpose))
        return None if row is None else _Tried._make((*row[:12], Strain.of(row[12], row[13])))

    def _right(self, caller: Caller, tried: _Tried, value: str, purpose: bytes, ip: str | None) -> bool:
        """Whether code, purpose and address are all those of the row; each is compared whatever the others say."""
        typed = value[: _TYPED_MAX + 1]
        mac = codekeys.mac(self._sealer, tried.key, tried.id, caller.org, tried.lookup, purpose, typed)
        same = hmac.compare_digest(mac, tried.mac or b"")
        return same and self._from_there(caller, tried.ip, ip)

    def _from_there(self, caller: Caller, bound: bytes | None, ip: str | None) -> bool:
        if bound is None:
            return True
        if not ip:  # documented clients of some faces cannot say it
            return caller.face != "native" and not caller.application.policies.code_strict_ip
        return hmac.compare_digest(bound, codekeys.of_ip(self._sealer, ip) or b"")

    def _success(self, caller: Caller, tried: _Tried, purpose: bytes, now: int) -> Plan:
        spend = step(_MATCH, tried.id, now, tried.subject, tried.strain.failures)
        counted = () if tried.prefix is None else (Guard.matched(tried.prefix),)
        confirm = () if tried.user_id is None else (Users.confirm_step(tried.user_id),)
        verified = self._verified.matched(tried.subject, purpose, now)
        matched = leaf(now, "code.matched", caller.org, tried.id, application=caller.application.id)
        told = self._event(caller, tried, "code.matched", {}, now)
        forgiven = tried.strain.success(tried.subject)
        return plan(spend, *forgiven, *counted, *confirm, *verified, *told, leaf=matched)

    async def _failure(self, caller: Caller, tried: _Tried, now: int) -> Plan:
        policies = caller.application.policies
        failures = tried.strain.failures + 1
        told: tuple[Step, ...] = ()
        if failures in {policies.limits_failures_delay, policies.limits_failures_max}:
            told = await self._held(caller, tried, failures, now)
        if tried.left <= 1:
            told += self._event(caller, tried, "code.exhausted", {}, now)
        return plan(
            tried.strain.failure(tried.subject, policies, now),
            step(_MISS, tried.id),
            *told,
            leaf=leaf(now, "code.refused", caller.org, tried.id, failures=failures),
        )

    async def _held(self, caller: Caller, tried: _Tried, failures: int, now: int) -> tuple[Step, ...]:
        """What tells application and person that somebody guesses."""
        told = self._event(caller, tried, "code.held", {"reason": "wrong_codes", "failures": failures}, now)
        user_id = tried.user_id
        if user_id is None and (destination := self._kept(tried).destination) is not None:
            user_id = await self._users.owner_of(caller.org, destination)
        if user_id is None:
            return told
        text = f"{failures} wrong codes in a row were tried for your account."
        return (self._notices.step(user_id, "codes.guessed", text, now), *told)

    def _event(
        self, caller: Caller, tried: _Tried, kind: str, facts: dict[str, Any], now: int
    ) -> tuple[Step, ...]:
        if not caller.application.webhooks:
            return ()
        destination = self._kept(tried).destination
        data = {"code_id": tried.id, **facts}
        if destination is not None:
            data["destination"] = masked(destination)
        return outbox.event(self._sealer, self._entropy, caller.application, kind, tried.id, data, now)

    def _told(self, written: Plan) -> None:
        if len(written.steps) > 2:
            for user_id in self._notices.told_by(written):
                self._bus.publish("user", user_id)
            outbox.announce(self._bus, written)

    def _kept(self, tried: _Tried) -> Kept:
        return opened(self._sealer, tried.id, tried.sealed)


def _ended(tried: _Tried, now: int) -> Outcome | None:
    """Why a code does not count any more, or None while it does."""
    if (ended := _ENDED.get(tried.status)) is not None and ended != "exhausted":
        return ended
    if tried.expires_at <= now:
        return "expired"
    return ended
