"""One enrolment as it is kept: its row, what is sealed in it, and the statements that move it from state to state."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Enrollment, EnrollmentStatus
from placet_server.ports import Row, Sealer, Sql

BAD_TOKENS_MAX: Final = 5
CHECKS_MAX: Final = 3

_COLUMNS: Final = "id, org, application, user_id, status, token_hash, check_tries, device, ask, created_at, expires_at, sealed"
BY_ID: Final = Sql("enrollment_by_id", f"SELECT {_COLUMNS} FROM enrollments WHERE id = ?")  # noqa: S608 - constant text
DUE: Final = Sql(
    "enrollments_due",
    f"SELECT {_COLUMNS} FROM enrollments WHERE status IN ('open', 'redeemed') AND expires_at <= ?"  # noqa: S608 - as above
    " ORDER BY expires_at LIMIT ?",
)
OPEN: Final = Sql(
    "enrollment_open",
    "INSERT INTO enrollments (id, org, application, user_id, status, token_hash, created_at, expires_at, sealed)"
    " SELECT ?, ?, ?, id, 'open', ?, ?, ?, ? FROM users WHERE id = ?",
)
BAD_TOKEN: Final = Sql(
    "enrollment_bad_token",
    "UPDATE enrollments SET bad_tries = bad_tries + 1,"
    " status = CASE WHEN bad_tries + 1 >= ? THEN 'void' ELSE status END"
    " WHERE id = ? AND status = 'open' AND expires_at > ?",
)
REDEEM: Final = Sql(
    "enrollment_redeem",
    "UPDATE enrollments SET status = 'redeemed', device = ?, sealed = ?"
    " WHERE id = ? AND status = 'open' AND expires_at > ?",
)
SET_ASK: Final = Sql(
    "enrollment_set_ask",
    "UPDATE enrollments SET ask = ? WHERE id = ? AND ask IS NULL AND status = 'redeemed' AND expires_at > ?",
)
ASKED: Final = Sql("enrollment_asked", "SELECT status, expires_at FROM approvals WHERE id = ?")
WRONG_CHECK: Final = Sql(
    "enrollment_wrong_check",
    "UPDATE enrollments SET check_tries = check_tries + 1, status = ?"
    " WHERE id = ? AND status = 'redeemed' AND check_tries = ? AND expires_at > ?",
)
CONFIRM: Final = Sql(
    "enrollment_confirm",
    "UPDATE enrollments SET status = 'confirmed'"
    " WHERE id = ? AND status = 'redeemed' AND check_tries = ? AND expires_at > ?",
)
ACTIVATE: Final = Sql(
    "device_activate",
    "UPDATE devices SET status = 'active' WHERE id = ? AND status = 'pending' AND (? = 1 OR NOT EXISTS"
    " (SELECT 1 FROM devices d WHERE d.user_id = devices.user_id AND d.status = 'active') AND NOT EXISTS"
    " (SELECT 1 FROM enrollments e WHERE e.user_id = devices.user_id AND e.status = 'confirmed'"
    " AND e.device <> devices.id))",
)
JOINED: Final = Sql(
    "enrollments_confirmed", "SELECT 1 FROM enrollments WHERE user_id = ? AND status = 'confirmed' LIMIT 1"
)
"""Whether a device of this user was ever confirmed."""
VOID: Final = Sql(
    "enrollment_void", "UPDATE enrollments SET status = 'void' WHERE id = ? AND status = 'redeemed'"
)
EXPIRE: Final = Sql(
    "enrollment_expire",
    "UPDATE enrollments SET status = 'expired' WHERE id = ? AND status IN ('open', 'redeemed') AND expires_at <= ?",
)
END_DEVICE: Final = Sql(
    "device_end_pending",
    "UPDATE devices SET status = 'revoked', revoked_at = ? WHERE id = ? AND status = 'pending'",
)
DROP_TOKEN: Final = Sql(
    "device_token_drop", "DELETE FROM soft_tokens WHERE user_id = ? AND device = ? AND status = 'pending'"
)


class Terms(Struct, frozen=True, array_like=True):
    """What is sealed of an enrolment.

    ``authorized`` when it was opened with ``devices:admin`` and a reason; ``check`` is the six digits once a device has
    redeemed it.
    """

    authorized: bool
    reason: str | None = None
    check: str | None = None


class Invitation(Struct, frozen=True):
    """An enrolment with its secrets; never leaves the core."""

    id: str
    org: str
    application: str
    user_id: str
    status: EnrollmentStatus
    token_hash: bytes
    check_tries: int
    device: str | None
    ask: str | None
    created_at: int
    expires_at: int
    terms: Terms

    def as_of(self, now: int, uri: str | None = None) -> Enrollment:
        """The enrolment as everybody must see it at ``now`` (ms UTC): it ends with the first ms of ``expires_at``."""
        ended = self.status in {"open", "redeemed"} and self.expires_at <= now
        status = "expired" if ended else self.status
        return Enrollment(self.id, self.user_id, status, self.created_at, self.expires_at, self.device, uri)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Terms).decode


def sealed(sealer: Sealer, enrollment_id: str, terms: Terms) -> bytes:
    """The one sealed value of a row."""
    return sealer.seal("pii", "enrollments", enrollment_id, _encode(terms))


def opened(sealer: Sealer, row: Row) -> Invitation:
    """The enrolment of a row of ``BY_ID``; raises ``UnsealableError``."""
    return with_terms(row, _decode(sealer.open("pii", "enrollments", row[0], row[11])))


def ended() -> RefusedError:
    """What everybody hears for whom an invitation is over."""
    return RefusedError(
        "enrollment_ended", "This enrolment was used, has expired or is void: start a new one."
    )


def with_terms(row: Row, terms: Terms) -> Invitation:
    """The enrolment of a row of ``BY_ID`` or ``DUE`` with these terms, its seal left closed."""
    fields: list[Any] = [*row[:11], terms]
    return Invitation(*fields)
