"""How an approval request ends: one conditional write that only the first of all contenders gets through.

Decision, cancellation, expiry and supersession are the same plan with another word: the guard takes the row from
``pending``, the counters move, the application is told, the audit log gets its leaf.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import structs

from placet_protocol.jose import b64u
from placet_server.domain.applications import Applications
from placet_server.domain.audit import leaf
from placet_server.domain.ids import new_id
from placet_server.domain.outbox import announce, callback, event, rfc3339
from placet_server.domain.policies import Policies
from placet_server.domain.pressure import release
from placet_server.domain.questions import Question, public_facts
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Application, Approval, ApprovalStatus
from placet_server.ports import Bus, Entropy, Leaf, Plan, Sealer, Sql, Step, Store, step

_END: Final = Sql(
    "approval_end",
    "UPDATE approvals SET status = ?, reason = ?, decided_at = ?, device = ?"
    " WHERE id = ? AND status = 'pending' AND expires_at > ?",
)
_EXPIRE: Final = Sql(
    "approval_expire",
    "UPDATE approvals SET status = 'expired', decided_at = expires_at"
    " WHERE id = ? AND status = 'pending' AND expires_at <= ?",
)


class Ending(NamedTuple):
    """The last state of a request; ``digest`` is the SHA-256 of the decision document where a device decided."""

    status: ApprovalStatus
    at: int
    reason: str | None = None
    device: str | None = None
    digest: bytes | None = None


class Endings:
    """Ends requests and tells everybody who waits for that."""

    def __init__(
        self, store: Store, sealer: Sealer, entropy: Entropy, bus: Bus, applications: Applications
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._bus = bus
        self._applications = applications

    async def end(
        self,
        question: Question,
        ending: Ending,
        now: int,
        *,
        guards: tuple[Step, ...] = (),
        steps: tuple[Step, ...] = (),
    ) -> int:
        """Write an ending and wake who waits: 0, or the number of the guard that took no row.

        Guard 1 is that the request is pending and its time not over (for an expiry: over); further guards follow.
        """
        approval = question.approval
        application = await self._application(approval)
        if ending.status == "expired":
            first = step(_EXPIRE, approval.id, now)
        else:
            first = step(_END, ending.status, ending.reason, ending.at, ending.device, approval.id, now)
        not_me_until = None
        if ending.reason == "not_me":
            not_me_until = now + application.policies.approval_not_me_hold * 1000
        written = Plan(
            (
                first,
                *guards,
                *steps,
                release(approval.user_id, approval.application, ending.status, not_me_until),
                *self._told(application, approval, ending, now, not_me_until),
            ),
            1 + len(guards),
            ending_leaf(approval, ending),
        )
        failed = await self._store.write(written)
        if failed == 0:
            self._bus.publish("approval", approval.id)
            self._bus.publish("user", approval.user_id)
            announce(self._bus, written)
        return failed

    async def _application(self, approval: Approval) -> Application:
        """Who asked; a removed application has no endpoints and the default policies."""
        try:
            return await self._applications.by_id(approval.application)
        except RefusedError:
            return Application(approval.application, approval.org, "", Policies(), (), approval.created_at)

    def _told(
        self,
        application: Application,
        approval: Approval,
        ending: Ending,
        now: int,
        not_me_until: int | None,
    ) -> tuple[Step, ...]:
        ended = structs.replace(
            approval, status=ending.status, reason=ending.reason, decided_at=ending.at, device=ending.device
        )
        told = event(
            self._sealer,
            self._entropy,
            application,
            f"approval_request.{ending.status}",
            approval.id,
            public_facts(ended, rfc3339),
            now,
            approval.draft.callback_url,
        )
        asker = approval.draft.callback_credential
        if asker is not None:
            told += (callback(new_id(now, self._entropy), approval.id, asker, now),)
        if not_me_until is None:
            return told
        held = {
            "tfa_id": approval.tfa_id,
            "approval_request": approval.id,
            "held_until": rfc3339(not_me_until),
        }
        return told + event(
            self._sealer, self._entropy, application, "user.held", approval.user_id, held, now
        )


def ending_leaf(approval: Approval, ending: Ending) -> Leaf:
    """The audit entry of an ending; the same bytes whenever it is made from what is stored."""
    facts: dict[str, str | int] = {"application": approval.application, "user": approval.user_id}
    if ending.reason is not None:
        facts["reason"] = ending.reason
    if ending.device is not None:
        facts["device"] = ending.device
    if ending.digest is not None:
        facts["decision"] = b64u(ending.digest)
    return leaf(ending.at, f"approval.{ending.status}", approval.org, approval.id, **facts)
