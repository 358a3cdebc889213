"""What a device answered: checked in a fixed order, and taken once."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from placet_protocol import documents
from placet_protocol.approval import outcome
from placet_protocol.errors import ProtocolError
from placet_protocol.jose import b64u, kid_of, public_key_from_bytes
from placet_server.domain import outbox
from placet_server.domain.applications import Applications
from placet_server.domain.audit import leaf
from placet_server.domain.devices import Devices
from placet_server.domain.endings import Ending, Endings
from placet_server.domain.ids import is_id
from placet_server.domain.limits import RateLimit
from placet_server.domain.questions import COLUMNS, Question, is_due, opened
from placet_server.domain.refusals import RefusedError
from placet_server.domain.users import Users
from placet_server.domain.values import Approval, Decided, Device
from placet_server.ports import Bus, Entropy, Plan, Sealer, Sql, Step, Store, UnsealableError, step

_ASKED: Final = Sql(
    "approval_with_decision",
    f"SELECT {', '.join('a.' + name for name in COLUMNS.split(', '))}, q.sealed, d.digest, d.device"  # noqa: S608 - constant text
    " FROM approvals a LEFT JOIN documents q ON q.approval = a.id LEFT JOIN decisions d ON d.approval = a.id"
    " WHERE a.id = ?",
)
_COUNT: Final = Sql(
    "device_count_up", "UPDATE devices SET ctr = ? WHERE id = ? AND status = 'active' AND ctr < ?"
)
_DOCUMENT: Final = Sql("decision_document", "SELECT document FROM decisions WHERE approval = ?")
_KEEP: Final = Sql(
    "decision_keep",
    "INSERT INTO decisions (approval, device, digest, document, decided_at) VALUES (?, ?, ?, ?, ?)",
)


SUSPICIONS_PER_MINUTE: Final = 3
"""How often one device may leave traces of a counter that did not grow; twice as many at once."""


class Decisions:
    """Takes the signed answers of devices."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        entropy: Entropy,
        bus: Bus,
        applications: Applications,
        users: Users,
        devices: Devices,
        endings: Endings,
        public_url: str,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._bus = bus
        self._applications = applications
        self._users = users
        self._devices = devices
        self._endings = endings
        self._public_url = public_url
        self._suspicions = RateLimit(seconds=60)

    async def decide(self, document: str, now: int) -> Decided:
        """Take an answer that arrived at ``now`` (ms UTC).

        The same document again gives the same answer. Raises ``invalid_decision``, the one answer to everything that
        is not good, ``already_decided`` with the final state when somebody or something was faster, and
        ``rate_limited`` for a device that goes on sending answers whose counter does not grow.
        """
        device = await self._signer_of(document)
        try:
            decision = documents.read_decision(
                document, public_key_from_bytes(device.public_key), aud=self._public_url
            )
        except ProtocolError:
            raise _invalid() from None
        if not is_id(decision.rid):
            raise _invalid()
        digest = hashlib.sha256(document.encode("ascii")).digest()
        question = await self._checked(device, decision)
        if is_due(question.approval, now):
            await self._endings.end(question, Ending("expired", question.approval.expires_at), now)
        elif question.approval.status == "pending":
            # A clock that was set back must not date the answer before the question: no receipt of it would verify.
            at = max(now, question.approval.created_at, device.created_at)
            ending = self._judged(question, decision, device, digest, at)
            failed = await self._endings.end(
                question,
                ending,
                now,
                guards=(step(_COUNT, decision.ctr, device.id, decision.ctr),),
                steps=(
                    step(_KEEP, decision.rid, device.id, digest, document, at),
                    *((self._users.confirm_step(device.user_id),) if ending.status == "approved" else ()),
                ),
            )
            if failed == 0:
                return Decided(decision.rid, ending.status, ending.reason, at)
            if failed > 1:
                await self._refuse_counter(question.approval, device, now)
        return await self._faster(decision.rid, device, digest)

    async def document(self, approval_id: str) -> str | None:
        """The document by which a request was decided; None when nobody decided it."""
        row = await self._store.row(_DOCUMENT, (approval_id,))
        return None if row is None else str(row[0])

    async def _signer_of(self, document: str) -> Device:
        try:
            kid = kid_of(document, documents.DECISION, documents.DECISION_LIMIT)
        except ProtocolError:
            raise _invalid() from None
        device = await self._devices.by_jkt(kid)
        if device is None or device.status != "active":
            raise _invalid()
        return device

    async def _checked(self, device: Device, decision: documents.Decision) -> Question:
        """The question that was answered, if this device was asked exactly that."""
        row = await self._store.row(_ASKED, (decision.rid,))
        if row is None:
            raise _invalid()
        kept = row[13]
        if row[1] != device.org or row[3] != device.user_id or kept is None:
            raise _invalid()
        try:
            question = opened(self._sealer, row)
            asked = self._sealer.open("pii", "documents", row[0], kept)
        except UnsealableError:
            raise _invalid() from None
        same_nonce = hmac.compare_digest(b64u(question.secrets.nonce), decision.non)
        same_request = hmac.compare_digest(b64u(hashlib.sha256(asked).digest()), decision.rqh)
        if not (same_nonce and same_request):
            raise _invalid()
        return question

    @staticmethod
    def _judged(
        question: Question, decision: documents.Decision, device: Device, digest: bytes, at: int
    ) -> Ending:
        """What the answer at ``at`` means; a missing or misshaped number where one is asked is no answer at all."""
        number, typed = question.secrets.number, decision.num
        if decision.dec == "deny":
            return Ending("denied", at, decision.rsn, device.id, digest)
        if len(typed or "") != len(number or ""):
            raise _invalid()
        right = hmac.compare_digest(typed or "", number or "")
        reason = decision.rsn if right else "wrong_number"
        return Ending(outcome(decision.dec, right), at, reason, device.id, digest)

    async def _faster(self, approval_id: str, device: Device, digest: bytes) -> Decided:
        """The answer to who came second: with the very same document the same answer, otherwise the final state."""
        row = await self._store.row(_ASKED, (approval_id,))
        assert row is not None
        status, reason, decided_at, taken, taken_from = row[5], row[6], row[9], row[14], row[15]
        if taken is not None and taken_from == device.id and hmac.compare_digest(taken, digest):
            return Decided(approval_id, status, reason, decided_at, repeated=True)
        raise RefusedError("already_decided", "The request has ended already.", state=status)

    async def _refuse_counter(self, approval: Approval, device: Device, now: int) -> None:
        """Refuse a good signature whose counter did not grow: a copy of the key may be in use.

        Each leaves an event and a leaf, so who holds the key could fill disk and webhooks with them; good answers of
        the device are not limited, else the thief could keep the person from saying no.
        """
        current = await self._devices.by_id(device.id)
        if current is None or current.status != "active":
            raise _invalid()
        self._suspicions.take(
            device.id, SUSPICIONS_PER_MINUTE, now, "answers of this device with an old counter"
        )
        try:
            application = await self._applications.by_id(approval.application)
        except RefusedError:
            told: tuple[Step, ...] = ()
        else:
            data = {"id": device.id, "tfa_id": approval.tfa_id, "approval_request": approval.id}
            told = outbox.event(
                self._sealer, self._entropy, application, "device.clone_suspected", device.id, data, now
            )
        suspected = leaf(
            now, "device.clone_suspected", device.org, device.id, approval=approval.id, user=device.user_id
        )
        written = Plan(told, 0, suspected)
        await self._store.write(written)
        outbox.announce(self._bus, written)
        raise _invalid()


def _invalid() -> RefusedError:
    return RefusedError("invalid_decision", "The decision is not good.")
