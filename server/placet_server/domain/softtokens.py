"""Soft tokens: TOTP secrets that the server keeps sealed, and codes that each count once.

How guessing is bounded without a second write on the good path: every try reads the user's failures, compares, and then
writes ONE plan whose guard says that no failure was counted since that reading. A wrong code counts its failure there
before "mismatch" is answered; a right one moves ``last_step``. Whoever loses that race starts again from the reading
and meets the delay. So tries take effect in the order of the commits, as if they had come one after another: of a
thousand guesses sent at once only as many are answered as a patient guesser would get, the others hear "throttled"
whether they were right or wrong, and a crash between comparison and commit answers nothing. Few laps are enough: each
means that another try was counted, and counted failures soon close the door for all.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from placet_protocol import otpauth
from placet_protocol.errors import ProtocolError
from placet_protocol.text import visible
from placet_protocol.totp import Algorithm, hotp
from placet_protocol.totp import step as time_step
from placet_server.domain import limits, outbox, recovery
from placet_server.domain.audit import leaf
from placet_server.domain.ids import is_id, new_id
from placet_server.domain.limits import Strain
from placet_server.domain.notices import Notices
from placet_server.domain.refusals import RefusedError
from placet_server.domain.users import Users
from placet_server.domain.values import Caller, NewSoftToken, SoftToken, User, UserRef, Verification
from placet_server.ports import Bus, Entropy, Plan, Row, Sealer, Sql, Step, Store, plan, step

TOKENS_MAX: Final = 3
"""Soft tokens of a user that a code is compared with: each one more makes guessing that much easier."""
SECRET_BYTES: Final = 20
SECRET_MIN: Final = 16
PENDING_MS: Final = 3_600_000
_CODE_MAX: Final = 32
_STEPS: Final = (0, -1, 1)
_LAPS: Final = 64

_OF_TRIED: Final = (
    f"SELECT t.id, t.last_step, t.sealed, {limits.COLUMNS}, t.status, u.id, u.confirmed"  # noqa: S608 - constant text
    f" FROM users u JOIN soft_tokens t ON t.user_id = u.id {limits.JOIN} WHERE u.org = ? AND u.tfa_id = ?"
)
_READ: Final = Sql(
    "soft_tokens_to_verify",
    _OF_TRIED + " AND (t.status = 'confirmed' OR (t.device IS NULL AND t.expires_at > ?))",
)
_READ_ONE: Final = Sql(
    "soft_token_to_confirm",
    _OF_TRIED + " AND t.device IS NULL AND t.status = 'pending' AND t.expires_at > ? AND t.id = ?",
)
_SPEND: Final = Sql(
    "soft_token_spend",
    "UPDATE soft_tokens SET last_step = ?, status = 'confirmed', expires_at = NULL WHERE id = ? AND last_step < ?"
    " AND coalesce((SELECT failures FROM throttles WHERE subject = ?), 0) = ?",
)
_ADD: Final = Sql(
    "soft_token_add",
    "INSERT INTO soft_tokens (id, org, user_id, device, status, last_step, created_at, expires_at, sealed)"
    " VALUES (?, ?, ?, ?, ?, -1, ?, ?, ?)",
)
_ADD_WITHIN: Final = Sql(
    "soft_token_add_within",
    "INSERT INTO soft_tokens (id, org, user_id, status, last_step, created_at, expires_at, sealed)"
    " SELECT ?, org, id, ?, -1, ?, ?, ? FROM users WHERE id = ?"
    " AND (SELECT count(*) FROM soft_tokens WHERE user_id = users.id AND status = 'confirmed') < ?",
)
_DROP_OLD_PENDING: Final = Sql(
    "soft_tokens_drop_old_pending",
    "DELETE FROM soft_tokens WHERE user_id = ? AND status = 'pending' AND device IS NULL AND id NOT IN"
    " (SELECT id FROM soft_tokens WHERE user_id = ? AND status = 'pending' AND device IS NULL"
    " ORDER BY id DESC LIMIT 2)",
)
_COUNT: Final = Sql(
    "soft_tokens_count", "SELECT count(*) FROM soft_tokens WHERE user_id = ? AND status = 'confirmed'"
)
_ALLOW: Final = Sql(
    "soft_token_allow",
    "UPDATE soft_tokens SET status = 'confirmed', expires_at = NULL WHERE user_id = ? AND device = ?",
)
_OF_DEVICE: Final = Sql(
    "soft_token_of_device", "SELECT id, sealed FROM soft_tokens WHERE user_id = ? AND device = ?"
)
_OF_USER: Final = Sql(
    "soft_tokens_of_user",
    "SELECT id, status, created_at, sealed FROM soft_tokens WHERE user_id = ?"
    " AND (status = 'confirmed' OR expires_at > ?) ORDER BY id",
)
_OWNER: Final = Sql("soft_token_owner", "SELECT user_id FROM soft_tokens WHERE id = ? AND org = ?")
_REMOVE: Final = Sql("soft_token_remove", "DELETE FROM soft_tokens WHERE id = ? AND org = ?")
_DROP_EXPIRED: Final = Sql(
    "soft_tokens_drop", "DELETE FROM soft_tokens WHERE status = 'pending' AND expires_at <= ?"
)


class _Seed(Struct, frozen=True, array_like=True):
    """What is sealed of a soft token."""

    secret: bytes
    name: str
    algorithm: Algorithm = "SHA1"
    digits: int = 6
    period: int = 30


class _Match(NamedTuple):
    token: str
    step: int


class _Owner(NamedTuple):
    """Whose tokens are tried."""

    id: str
    org: str
    tfa_id: int
    confirmed: bool


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Seed).decode


class SoftTokens:
    """All soft tokens of all users."""

    def __init__(
        self, store: Store, sealer: Sealer, entropy: Entropy, bus: Bus, notices: Notices, users: Users
    ) -> None:
        self._users = users
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._bus = bus
        self._notices = notices

    async def verify(self, caller: Caller, tfa_id: int, code: str, now: int) -> Verification:
        """Whether this is a code of one of a user's soft tokens that was never used, accepting a step each side.

        ``used`` is a right code that was accepted before; ``throttled`` says nothing about the code. The first good
        code of a pending token confirms it. Failures in a row delay and finally lock all tries of the user, by the
        policies of the calling application, which is told by ``user.held``. Raises ``user_not_found``.
        """
        outcome = await self._tried(caller, tfa_id, code, now, _READ, ())
        if outcome == "no_token":  # the reading found nothing: no token, or no user?
            await self._users.ref(caller.org, tfa_id)
        return outcome

    async def confirm(self, caller: Caller, tfa_id: int, token_id: str, code: str, now: int) -> Verification:
        """As ``verify`` for one token that waits for its first code; the code is spent by it."""
        return await self._tried(caller, tfa_id, code, now, _READ_ONE, (token_id,))

    async def create(
        self,
        user: User,
        name: str,
        issuer: str,
        now: int,
        *,
        secret: bytes | None = None,
        algorithm: Algorithm = "SHA1",
        digits: int = 6,
        period: int = 30,
        confirmed: bool = False,
        extra_guard: Callable[[NewSoftToken], Step] | None = None,
    ) -> NewSoftToken:
        """A new soft token whose URI exists in this answer only; pending ones end after an hour without a good code.

        Without ``secret`` it is 160 random bits; one that is brought along has 128 or more. Raises ``invalid_request``
        for that, for other parameters out of bounds and beyond three tokens a user, ``user_not_found`` when the user was
        erased meanwhile, and ``idempotency_conflict``.
        """
        seed = _Seed(
            self._entropy.bytes(SECRET_BYTES) if secret is None else secret, name, algorithm, digits, period
        )
        if len(seed.secret) < SECRET_MIN:
            raise RefusedError("invalid_request", f"secret has {SECRET_MIN * 8} bits or more.")
        token = SoftToken(
            new_id(now, self._entropy), user.id, name, "confirmed" if confirmed else "pending", now
        )
        made = NewSoftToken(token, _uri(seed, issuer))
        ends = None if confirmed else now + PENDING_MS
        add = step(
            _ADD_WITHIN,
            *(token.id, token.status, now, ends, self._sealed(token.id, seed), user.id, TOKENS_MAX),
        )
        guards = (add,) if extra_guard is None else (add, extra_guard(made))
        added = leaf(now, "soft_token.added", user.org, token.id, user=user.id)
        drop = step(_DROP_OLD_PENDING, user.id, user.id)
        failed = await self._store.write(plan(*guards, drop, guards=len(guards), leaf=added))
        if failed == 1:
            await self._users.by_id(user.id)
            raise RefusedError(
                "invalid_request", f"A user has at most {TOKENS_MAX} soft tokens; delete one first."
            )
        if failed:
            raise RefusedError("idempotency_conflict", "A call with this Idempotency-Key was just taken.")
        return made

    async def issue(self, user: User, device_id: str, issuer: str, now: int) -> tuple[Step, str] | None:
        """The step that gives a new device its soft token, and the token's URI; None when the user has three.

        No code of it counts before ``allow_steps`` are written: what an unconfirmed device holds proves nothing.
        """
        row = await self._store.row(_COUNT, (user.id,))
        if row is not None and row[0] >= TOKENS_MAX:
            return None
        seed = _Seed(self._entropy.bytes(SECRET_BYTES), issuer)
        token_id = new_id(now, self._entropy)
        sealed = self._sealed(token_id, seed)
        add = step(
            _ADD,
            token_id,
            user.org,
            user.id,
            device_id,
            "pending",
            now,
            now + PENDING_MS,
            sealed,
        )
        return add, _device_uri(seed, user)

    async def issued(self, user: User, device_id: str) -> str | None:
        """The URI of the soft token that ``issue`` gave a device, for that device alone; None when it has none."""
        row = await self._store.row(_OF_DEVICE, (user.id, device_id))
        return None if row is None else _device_uri(self._seed(*row), user)

    @staticmethod
    def allow_steps(user: UserRef, device_id: str) -> tuple[Step, ...]:
        """The steps that make the codes of a confirmed device's token count, and forget its user's failures."""
        return step(_ALLOW, user.id, device_id), limits.reset(_subject(user.org, user.tfa_id))

    async def of_user(self, user: User, now: int = 0) -> tuple[SoftToken, ...]:
        """The soft tokens of a user, oldest first, without those that ended unconfirmed before ``now``."""
        return tuple(
            SoftToken(token_id, user.id, self._seed(token_id, sealed).name, status, created_at)
            for token_id, status, created_at, sealed in await self._store.rows(_OF_USER, (user.id, now))
        )

    async def owner(self, org: str, token_id: str) -> str:
        """The internal id of the user whose token this is; raises ``not_found``."""
        row = await self._store.row(_OWNER, (token_id, org)) if is_id(token_id) else None
        if row is None:
            raise RefusedError("not_found", "There is no such soft token.")
        return str(row[0])

    async def remove(self, org: str, token_id: str, now: int) -> None:
        """End a soft token at once; raises ``not_found``."""
        removed = plan(step(_REMOVE, token_id, org), leaf=leaf(now, "soft_token.removed", org, token_id))
        if not is_id(token_id) or await self._store.write(removed):
            raise RefusedError("not_found", "There is no such soft token.")

    async def wait(self, caller: Caller, tfa_id: int, now: int) -> int:
        """Seconds until a further code of a user is compared, after ``throttled``; an hour when the user is locked."""
        return await limits.seconds_left(
            self._store, _subject(caller.org, tfa_id), caller.application.policies, now
        )

    async def unlock(self, user: UserRef, now: int) -> None:
        """Let codes and recovery codes of a user count again after too many wrong ones: the operator knows better."""
        subjects = (_subject(user.org, user.tfa_id), recovery.subject(user))
        unlocked = leaf(now, "user.unlocked", user.org, user.id)
        await self._store.write(plan(*map(limits.reset, subjects), guards=0, leaf=unlocked))

    async def forgive(self, user: UserRef) -> None:
        """Forget the wrong codes of a user who has just proved themselves by another factor."""
        await self._store.write(plan(limits.reset(_subject(user.org, user.tfa_id)), guards=0))

    async def sweep(self, now: int) -> None:
        """Erase tokens that were never confirmed in time."""
        await self._store.write(plan(step(_DROP_EXPIRED, now), guards=0))

    async def _tried(
        self, caller: Caller, tfa_id: int, code: str, now: int, read: Sql, which: tuple[str, ...]
    ) -> Verification:
        subject = _subject(caller.org, tfa_id)
        typed = code[:_CODE_MAX].encode("utf-8", "replace")
        for _ in range(_LAPS):
            rows = await self._store.rows(read, (subject, caller.org, tfa_id, now, *which))
            if not rows:
                return "no_token"
            if len(rows) > 1:  # confirmed ones first, then the newest; in SQL the sorting costs every caller
                rows = sorted(sorted(rows, reverse=True), key=lambda row: row[5])[:TOKENS_MAX]
            strain = Strain.of(*rows[0][3:5])
            user = _Owner(rows[0][6], caller.org, tfa_id, bool(rows[0][7]))
            if strain.wait(caller.application.policies, now) != 0:
                return "throttled"
            match, used = self._compared(rows, typed, now)
            if match is not None:
                if await self._store.write(self._success(user, subject, strain, match, now)) == 0:
                    return "matched"
            elif used:
                return "used"
            else:
                failure = self._failure(caller, user, subject, strain, now)
                if await self._store.write(failure) == 0:
                    self._told(failure, user)
                    return "mismatch"
        return "throttled"

    def _compared(self, rows: list[Row], typed: bytes, now: int) -> tuple[_Match | None, bool]:
        """The first token and time step whose code this is and that was not used; whether it was one that was."""
        used = False
        for token_id, last_step, sealed, *_ in rows:
            seed = self._seed(token_id, sealed)
            current = time_step(now, seed.period)
            for offset in _STEPS:
                counter = current + offset
                expected = hotp(seed.secret, counter, seed.digits, seed.algorithm)
                if hmac.compare_digest(expected.encode(), typed):
                    if counter > last_step:
                        return _Match(token_id, counter), False
                    used = True
        return None, used

    @staticmethod
    def _success(user: _Owner, subject: bytes, strain: Strain, match: _Match, now: int) -> Plan:
        spend = step(_SPEND, match.step, match.token, match.step, subject, strain.failures)
        confirm = () if user.confirmed else (Users.confirm_step(user.id),)
        verified = leaf(now, "soft_token.verified", user.org, match.token, user=user.id)
        return plan(spend, *strain.success(subject), *confirm, leaf=verified)

    def _failure(self, caller: Caller, user: _Owner, subject: bytes, strain: Strain, now: int) -> Plan:
        policies = caller.application.policies
        failures = strain.failures + 1
        told: tuple[Step, ...] = ()
        if failures in {policies.limits_failures_delay, policies.limits_failures_max}:
            data = {"tfa_id": user.tfa_id, "reason": "wrong_codes", "failures": failures}
            text = f"{failures} wrong codes in a row were tried for your account."
            told = (
                self._notices.step(user.id, "codes.guessed", text, now),
                *outbox.event(
                    self._sealer, self._entropy, caller.application, "user.held", user.id, data, now
                ),
            )
        return plan(
            strain.failure(subject, policies, now),
            *told,
            leaf=leaf(now, "soft_token.refused", user.org, user.id, failures=failures),
        )

    def _told(self, written: Plan, user: _Owner) -> None:
        if len(written.steps) > 1:
            self._bus.publish("user", user.id)
            outbox.announce(self._bus, written)

    def _seed(self, token_id: str, sealed: bytes) -> _Seed:
        return _decode(self._sealer.open("seed", "soft_tokens", token_id, sealed))

    def _sealed(self, token_id: str, seed: _Seed) -> bytes:
        return self._sealer.seal("seed", "soft_tokens", token_id, _encode(seed))


def _subject(org: str, tfa_id: int) -> bytes:
    return f"totp {org} {tfa_id}".encode()


def _device_uri(seed: _Seed, user: User) -> str:
    """The URI of a device's token: it is kept under the name of who issued it, and shows whose it is."""
    return _uri(msgspec.structs.replace(seed, name=user.name or str(user.tfa_id)), seed.name)


def _uri(seed: _Seed, issuer: str) -> str:
    shown = visible(issuer).replace(":", " ")
    try:
        return otpauth.format(
            otpauth.SoftTokenUri(
                seed.secret, shown, visible(seed.name), seed.algorithm, seed.digits, seed.period
            )
        )
    except ProtocolError as error:
        raise RefusedError("invalid_request", f"soft token: {error.detail}.") from None
