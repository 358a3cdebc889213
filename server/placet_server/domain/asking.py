"""A new question: what may be asked, and the one plan that asks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from placet_protocol.approval import FIELDS_MAX, LABEL_MAX, MESSAGE_MAX, VALUE_MAX, number_digits
from placet_protocol.canonical import hidden_hash
from placet_protocol.errors import MalformedError
from placet_server.domain import pressure
from placet_server.domain.audit import leaf
from placet_server.domain.ids import new_id
from placet_server.domain.outbox import push
from placet_server.domain.questions import Secrets, sealed
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Approval, ApprovalDraft, Caller, Created, UserRef
from placet_server.ports import Entropy, Plan, Sealer, Sql, Step, step

TTL_MAX: Final = 30 * 86_400
"""Seconds that any face may ask for; the native API asks less, by policy."""

ExtraGuard = Callable[[Created], Step] | None
"""Gives a further guard of the plan for the answer that the caller is about to get."""

_ADD: Final = Sql(
    "approval_add",
    "INSERT INTO approvals (id, org, application, user_id, tfa_id, status, created_at, expires_at, sealed)"
    " VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?)",
)


def digits(caller: Caller, draft: ApprovalDraft) -> int:
    """How many digits the person must type; raises ``invalid_request`` for what may not be asked or not be signed."""
    policies = caller.application.policies
    least = policies.authy_number if caller.face == "authy" else policies.approval_number
    try:
        count = number_digits(draft.number)
    except MalformedError as error:
        raise RefusedError("invalid_request", f"number: {error.detail}.") from None
    if count < number_digits(least):
        raise RefusedError("invalid_request", f"number: policy wants {least}; a call may only ask for more.")
    if not 1 <= draft.ttl <= TTL_MAX:
        raise RefusedError("invalid_request", f"seconds_to_expire goes from 1 to {TTL_MAX}.")
    if not 1 <= len(draft.message) <= MESSAGE_MAX:
        raise RefusedError("invalid_request", f"message has 1 to {MESSAGE_MAX} characters.")
    if len(draft.visible) > FIELDS_MAX or any(
        len(label) > LABEL_MAX or len(value) > VALUE_MAX for label, value in draft.visible
    ):
        raise RefusedError(
            "invalid_request",
            f"details.visible has at most {FIELDS_MAX} fields, with labels of {LABEL_MAX} and values of {VALUE_MAX}"
            " characters.",
        )
    if any(len(said or "") > VALUE_MAX for said in (draft.ip, draft.place, draft.agent)):
        raise RefusedError("invalid_request", f"context: a value has at most {VALUE_MAX} characters.")
    return count


def asked(
    sealer: Sealer,
    entropy: Entropy,
    caller: Caller,
    user: UserRef,
    draft: ApprovalDraft,
    count: int,
    now: int,
    extra_guard: ExtraGuard,
) -> tuple[Created, Plan]:
    """The answer to the application and the plan that makes it true; the last guard is the fatigue rules'."""
    application = caller.application
    approval_id = new_id(now, entropy)
    random = entropy.bytes(32)
    number = f"{entropy.below(10**count):0{count}d}" if count else None
    secrets = Secrets(number, random[:16], random[16:], application.name)
    if draft.hidden:
        try:  # refused now: when the document is made there is nobody left to tell
            hidden_hash(secrets.salt, draft.hidden)
        except MalformedError as error:
            raise RefusedError("invalid_request", f"details.hidden: {error.detail}.") from None
    approval = Approval(
        id=approval_id,
        org=user.org,
        application=application.id,
        user_id=user.id,
        tfa_id=user.tfa_id,
        status="pending",
        reason=None,
        created_at=now,
        expires_at=now + draft.ttl * 1000,
        decided_at=None,
        device=None,
        seen_at=None,
        draft=draft,
    )
    created = Created(approval, number, user.devices)
    guards = [pressure.take(user.id, application.id, application.policies, now)]
    if extra_guard is not None:
        guards.insert(0, extra_guard(created))
    add = step(
        _ADD,
        approval_id,
        user.org,
        application.id,
        user.id,
        user.tfa_id,
        now,
        approval.expires_at,
        sealed(sealer, approval_id, secrets, draft),
    )
    entry = leaf(
        now,
        "approval.created",
        user.org,
        approval_id,
        application=application.id,
        user=user.id,
        expires_at=approval.expires_at,
    )
    return created, Plan((*guards, add, push(approval_id, approval_id, user.id, now)), len(guards), entry)
