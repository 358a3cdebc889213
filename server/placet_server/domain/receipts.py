"""Proof of what was decided, for whoever keeps the server's public keys."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from placet_protocol import documents
from placet_protocol.jose import b64u
from placet_server.domain.approvals import Approvals
from placet_server.domain.devices import Devices
from placet_server.domain.endings import Ending, ending_leaf
from placet_server.domain.ids import is_id
from placet_server.domain.questions import BY_ID, opened
from placet_server.domain.refusals import RefusedError
from placet_server.ports import Sealer, Signer, Sql, Store

_DECISION: Final = Sql("decision", "SELECT document FROM decisions WHERE approval = ?")


class Receipts:
    """Assembles and signs receipts when they are asked for."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        signer: Signer,
        approvals: Approvals,
        devices: Devices,
        public_url: str,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._signer = signer
        self._approvals = approvals
        self._devices = devices
        self._public_url = public_url

    async def receipt(self, application: str, approval_id: str) -> str:
        """The signed receipt of a decided request; ``placet_protocol.receipt.verify`` checks it offline.

        Raises ``not_found``, and ``not_decided`` when no device has answered.
        """
        row = await self._store.row(BY_ID, (approval_id,)) if is_id(approval_id) else None
        if row is None or row[2] != application:
            raise RefusedError("not_found", "There is no such approval request.")
        question = opened(self._sealer, row)
        approval = question.approval
        decision = await self._store.row(_DECISION, (approval_id,))
        if decision is None or approval.device is None or approval.decided_at is None:
            raise RefusedError("not_decided", "No device has decided this request.", state=approval.status)
        device = await self._devices.by_id(approval.device)
        if device is None:
            raise RefusedError("not_found", "The device's certificate was erased with its user.")
        digest = hashlib.sha256(decision[0].encode()).digest()
        ending = Ending(approval.status, approval.decided_at, approval.reason, approval.device, digest)
        facts = {
            "iss": self._public_url,
            "rid": approval.id,
            "outcome": approval.status,
            "reason": approval.reason,
            "decided_at": approval.decided_at // 1000,
            "request": await self._approvals.document(approval.id),
            "decision": decision[0],
            "device": device.certificate,
            "leaf": b64u(ending_leaf(approval, ending).hash),
            "salt": b64u(question.secrets.salt),
        }
        receipt = msgspec.convert(facts, documents.Receipt)
        return self._signer.sign(documents.RECEIPT, documents.payload(receipt))
