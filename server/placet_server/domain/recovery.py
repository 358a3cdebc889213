"""Recovery codes: ten that a person keeps on paper, each good once, for the day when nothing else works."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any, Final

from placet_server.domain import limits, outbox
from placet_server.domain.audit import leaf
from placet_server.domain.limits import Strain
from placet_server.domain.notices import Notices
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller, UserRef, Verification
from placet_server.ports import Bus, Entropy, Plan, Sealer, Sql, Step, Store, plan, step

COUNT: Final = 10
VERSION: Final = 1
_ALPHABET: Final = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that looks like something else
_LENGTH: Final = 10  # 49 bits
_TYPED_MAX: Final = 64
_LAPS: Final = 64

_DROP: Final = Sql("recovery_codes_drop", "DELETE FROM recovery_codes WHERE user_id = ?")
_ADD: Final = Sql("recovery_code_add", "INSERT INTO recovery_codes (user_id, mac, key) VALUES (?, ?, ?)")
_EXISTS: Final = Sql("recovery_codes_of_user", "UPDATE users SET tfa_id = tfa_id WHERE id = ?")
_READ: Final = Sql(
    "recovery_code",
    f"SELECT count(*), count(r.used_at), sum(CASE WHEN r.mac = ? THEN 1 ELSE 0 END),"  # noqa: S608 - constant text
    f" sum(CASE WHEN r.mac = ? AND r.used_at IS NOT NULL THEN 1 ELSE 0 END), max(h.failures), max(h.blocked_until)"
    f" FROM recovery_codes r {limits.JOIN} WHERE r.user_id = ?",
)
_SPEND: Final = Sql(
    "recovery_code_spend",
    "UPDATE recovery_codes SET used_at = ? WHERE user_id = ? AND mac = ? AND used_at IS NULL"
    " AND coalesce((SELECT failures FROM throttles WHERE subject = ?), 0) = ?",
)


class RecoveryCodes:
    """The recovery codes of all users."""

    def __init__(self, store: Store, sealer: Sealer, entropy: Entropy, bus: Bus, notices: Notices) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._bus = bus
        self._notices = notices

    async def make(
        self,
        caller: Caller,
        user: UserRef,
        now: int,
        *,
        extra_guard: Callable[[tuple[str, ...]], Step] | None = None,
    ) -> tuple[str, ...]:
        """Ten new codes such as ``k7m2x-9qwrt``, shown in this answer only; all earlier ones end.

        ``extra_guard`` gives a further guard for the answer; raises ``idempotency_conflict`` when it took no row, and
        ``user_not_found``.
        """
        drawn = tuple(self._drawn() for _ in range(COUNT))
        codes = tuple(f"{code[:5]}-{code[5:]}" for code in drawn)
        guards = (step(_EXISTS, user.id), *(() if extra_guard is None else (extra_guard(codes),)))
        text = "New recovery codes were made for your account; earlier ones do not count any more."
        made = plan(
            *guards,
            step(_DROP, user.id),
            *(step(_ADD, user.id, self._mac(user, code), VERSION) for code in drawn),
            self._notices.step(user.id, "recovery.made", text, now),
            guards=len(guards),
            leaf=leaf(now, "recovery_codes.made", user.org, user.id, application=caller.application.id),
        )
        failed = await self._store.write(made)
        if failed == 1:
            raise RefusedError("user_not_found", "There is no such user.")
        if failed:
            raise RefusedError("idempotency_conflict", "A call with this Idempotency-Key was just taken.")
        self._bus.publish("user", user.id)
        return codes

    async def spend(self, caller: Caller, user: UserRef, value: str, now: int) -> Verification:
        """Whether this is an unused recovery code of the user, which it then is no more; ``no_token`` without any.

        Failures in a row delay and finally lock further tries, by the policies of the calling application.
        """
        failing = subject(user)
        mac = self._mac(user, _plain(value))
        for _ in range(_LAPS):
            row = await self._store.row(_READ, (mac, mac, failing, user.id))
            made, used, found, spent, failures, blocked = row or (0, 0, 0, 0, None, None)
            if not made:
                return "no_token"
            strain = Strain.of(failures, blocked)
            if strain.wait(caller.application.policies, now) != 0:
                return "throttled"
            if found and spent:
                return "used"
            if found:
                left = made - used - 1
                written = self._success(caller, user, failing, strain, mac, left, now)
            else:
                written = self._failure(caller, user, failing, strain, now)
            if await self._store.write(written) == 0:
                self._bus.publish("user", user.id)
                outbox.announce(self._bus, written)
                return "matched" if found else "mismatch"
        return "throttled"

    async def wait(self, caller: Caller, user: UserRef, now: int) -> int:
        """Seconds until a further code of a user is compared, after ``throttled``; an hour when the user is locked."""
        return await limits.seconds_left(self._store, subject(user), caller.application.policies, now)

    async def left(self, user: UserRef) -> int:
        """How many codes a user can still use."""
        row = await self._store.row(_READ, (b"", b"", b"", user.id))
        return 0 if row is None else row[0] - row[1]

    def _success(
        self, caller: Caller, user: UserRef, subject: bytes, strain: Strain, mac: bytes, left: int, now: int
    ) -> Plan:
        text = f"A recovery code was used for your account; {left} are left."
        data = {"tfa_id": user.tfa_id, "left": left}
        return plan(
            step(_SPEND, now, user.id, mac, subject, strain.failures),
            *strain.success(subject),
            self._notices.step(user.id, "recovery.used", text, now),
            *self._event(caller, user, "recovery_code.used", data, now),
            leaf=leaf(now, "recovery_code.used", user.org, user.id, application=caller.application.id),
        )

    def _failure(self, caller: Caller, user: UserRef, subject: bytes, strain: Strain, now: int) -> Plan:
        policies = caller.application.policies
        failures = strain.failures + 1
        told: tuple[Step, ...] = ()
        if failures in {policies.limits_failures_delay, policies.limits_failures_max}:
            data = {"tfa_id": user.tfa_id, "reason": "wrong_codes", "failures": failures}
            text = f"{failures} wrong recovery codes in a row were tried for your account."
            told = (
                self._notices.step(user.id, "codes.guessed", text, now),
                *self._event(caller, user, "user.held", data, now),
            )
        return plan(
            strain.failure(subject, policies, now),
            *told,
            leaf=leaf(now, "recovery_code.refused", user.org, user.id, failures=failures),
        )

    def _event(
        self, caller: Caller, user: UserRef, kind: str, data: dict[str, Any], now: int
    ) -> tuple[Step, ...]:
        return outbox.event(self._sealer, self._entropy, caller.application, kind, user.id, data, now)

    def _drawn(self) -> str:
        number = self._entropy.below(len(_ALPHABET) ** _LENGTH)
        code = []
        for _ in range(_LENGTH):
            number, place = divmod(number, len(_ALPHABET))
            code.append(_ALPHABET[place])
        return "".join(code)

    def _mac(self, user: UserRef, code: str) -> bytes:
        return self._sealer.mac(
            f"recovery/{VERSION}", user.org.encode(), user.id.encode(), code.encode("utf-8", "replace")
        )


def subject(user: UserRef) -> bytes:
    """What a user's wrong recovery codes are counted under."""
    return f"recovery {user.org} {user.tfa_id}".encode()


def _plain(value: str) -> str:
    """What was typed, without the marks and spaces that a person adds."""
    text = unicodedata.normalize("NFKC", value[:_TYPED_MAX]).lower()
    return "".join(char for char in text if char.isalnum())
