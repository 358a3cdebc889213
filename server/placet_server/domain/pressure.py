"""Fatigue rules: how many questions one application may put to one person, kept in one counter row for the pair.

Beside them stands one bound over all applications: what waits for a person is what each of their devices has to hold.

All moves are single conditional statements, so that the limits hold however many requests arrive at once. A series
counts the questions that nobody approved; it ends by an approval or when a whole window passes without a question, so
no window of any position holds more than the limit. A full series holds, and each further full series holds twice as
long. Cancelled questions are taken back out. Superseded ones are not: the person's devices rang for them, and whoever
makes the application ask again and again must not thereby escape the limit.
"""

from __future__ import annotations

from typing import Final

from placet_server.domain.policies import Policies
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import ApprovalStatus
from placet_server.ports import Row, Sql, Step, step

QUEUE_MAX: Final = 100
"""Questions of all applications that may wait for one person, and so for each of their devices."""

_TAKE: Final = Sql(
    "pressure_take",
    """
    INSERT INTO pressure (user_id, application, pending, unapproved, counted_at, hold_factor, not_me_until)
    SELECT ?, ?, 1, 1, ?, 1, 0 WHERE (SELECT coalesce(sum(pending), 0) FROM pressure WHERE user_id = ?) < ?
    ON CONFLICT (user_id, application) DO UPDATE SET
        pending = pressure.pending + 1,
        unapproved = CASE
            WHEN pressure.unapproved >= ? OR pressure.counted_at + ? <= excluded.counted_at THEN 1
            ELSE pressure.unapproved + 1 END,
        hold_factor = CASE
            WHEN pressure.unapproved >= ? AND pressure.hold_factor * ? < ? THEN pressure.hold_factor * 2
            ELSE pressure.hold_factor END,
        counted_at = excluded.counted_at
    WHERE pressure.pending < ? AND pressure.not_me_until <= excluded.counted_at AND (
        pressure.unapproved < ?
        OR pressure.counted_at + CASE
            WHEN pressure.hold_factor * ? < ? THEN pressure.hold_factor * ? ELSE ? END <= excluded.counted_at)
    """,
)
_PENDING_LESS: Final = "pending = CASE WHEN pending > 0 THEN pending - 1 ELSE 0 END"
_UNAPPROVED_LESS: Final = "unapproved = CASE WHEN unapproved > 0 THEN unapproved - 1 ELSE 0 END"
_OF: Final = "WHERE user_id = ? AND application = ?"
_APPROVED: Final = Sql(
    "pressure_approved",
    f"UPDATE pressure SET {_PENDING_LESS}, unapproved = 0, hold_factor = 1 {_OF}",  # noqa: S608 - constant text
)
_UNAPPROVED: Final = Sql("pressure_unapproved", f"UPDATE pressure SET {_PENDING_LESS} {_OF}")  # noqa: S608 - as above
_NOT_ME: Final = Sql("pressure_not_me", f"UPDATE pressure SET {_PENDING_LESS}, not_me_until = ? {_OF}")  # noqa: S608 - as above
_TAKEN_BACK: Final = Sql(
    "pressure_taken_back",
    f"UPDATE pressure SET {_PENDING_LESS}, {_UNAPPROVED_LESS} {_OF}",  # noqa: S608 - as above
)
READ: Final = Sql(
    "pressure",
    "SELECT pending, unapproved, counted_at, hold_factor, not_me_until, (SELECT min(expires_at) FROM approvals"
    " WHERE approvals.user_id = pressure.user_id AND approvals.application = pressure.application"
    " AND approvals.status = 'pending') FROM pressure WHERE user_id = ? AND application = ?",
)
"""The row that ``refusal`` explains; parameters: user id, application id."""
QUEUE: Final = Sql(
    "pressure_queue",
    "SELECT count(*), min(expires_at) FROM approvals WHERE user_id = ? AND status = 'pending'",
)
"""The row that ``crowded`` explains; parameter: user id."""


def take(user_id: str, application: str, policies: Policies, now: int) -> Step:
    """The guard of a new question: takes one row when the rules allow it, none otherwise."""
    hold, hold_max = policies.approval_hold * 1000, policies.approval_hold_max * 1000
    most = policies.approval_max_unapproved
    return step(
        _TAKE,
        user_id,
        application,
        now,
        user_id,
        QUEUE_MAX,
        most,
        policies.approval_window * 1000,
        most,
        hold,
        hold_max,
        policies.approval_max_pending,
        most,
        hold,
        hold_max,
        hold,
        hold_max,
    )


def release(user_id: str, application: str, status: ApprovalStatus, not_me_until: int | None = None) -> Step:
    """What the end of a question does to its counters; ``not_me_until`` is the end of a not-me hold in ms UTC."""
    if status == "approved":
        return step(_APPROVED, user_id, application)
    if status == "cancelled":
        return step(_TAKEN_BACK, user_id, application)
    if not_me_until is not None:
        return step(_NOT_ME, not_me_until, user_id, application)
    return step(_UNAPPROVED, user_id, application)


def held_until(row: Row, policies: Policies) -> int:
    """When the holds of this row end, in ms UTC; a time that has passed when there is none."""
    _, unapproved, counted_at, factor, not_me_until, _ = row
    if unapproved < policies.approval_max_unapproved:
        return int(not_me_until)
    hold = min(policies.approval_hold * factor, policies.approval_hold_max) * 1000
    return int(max(not_me_until, counted_at + hold))


def refusal(row: Row | None, policies: Policies, now: int) -> RefusedError | None:
    """Why ``take`` took no row, or None when it would now."""
    if row is None:
        return None
    left = held_until(row, policies) - now
    if left > 0:
        return RefusedError(
            "on_hold",
            "Too many questions to this person were not approved; further ones have to wait.",
            retry_after=_seconds(left),
        )
    if row[0] >= policies.approval_max_pending:
        return RefusedError(
            "too_many_pending",
            f"{row[0]} questions are waiting for this person's answer; that is the most allowed.",
            retry_after=_seconds((row[5] or now) - now),
        )
    return None


def crowded(row: Row | None, now: int) -> RefusedError | None:
    """Why a person may be asked nothing more by anybody, or None when they may."""
    if row is None or row[0] < QUEUE_MAX:
        return None
    return RefusedError(
        "too_many_pending",
        f"{row[0]} questions of all applications are waiting for this person's answer; that is the most allowed.",
        retry_after=_seconds(row[1] - now),
    )


def _seconds(left: int) -> int:
    """Whole seconds after which so many milliseconds are over, at least one."""
    return max(1, -(-left // 1000))
