"""Offline verification of a receipt: nothing is needed but the receipt and the server's pinned key set."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from msgspec import Struct

from placet_protocol import approval, jose
from placet_protocol.documents import (
    DEVICE,
    RECEIPT,
    RECEIPT_LIMIT,
    REQUEST,
    Decision,
    DeviceCertificate,
    Receipt,
    Request,
    read_decision,
    read_device_certificate,
    read_receipt,
    read_request,
    request_hash,
)
from placet_protocol.errors import BadSignatureError, MismatchError


class Verified(Struct, frozen=True):
    """What a receipt proves; ``notes`` say in sentences what it does not prove by itself. ``decided_at`` in seconds."""

    outcome: approval.Outcome
    reason: str
    decided_at: int
    request: Request
    decision: Decision
    device: DeviceCertificate
    receipt: Receipt
    notes: tuple[str, ...]


def verify(receipt: str, jwks: list[dict[str, Any]]) -> Verified:
    """What the receipt proves under these server keys; raises a ``ProtocolError`` if any link does not hold.

    Checked: receipt, request and device certificate are signed by keys of the set for one origin; the decision is
    signed by the certified device of the user who was asked; it answers exactly this request; outcome and reason
    follow from it; the dates are in order.
    """
    keys = _keys(jwks)
    proof = read_receipt(receipt, _key(keys, jose.kid_of(receipt, RECEIPT, RECEIPT_LIMIT)), iss=None)
    request = read_request(proof.request, _key(keys, jose.kid_of(proof.request, REQUEST)), iss=proof.iss)
    device = read_device_certificate(
        proof.device, _key(keys, jose.kid_of(proof.device, DEVICE)), iss=proof.iss
    )
    decision = read_decision(proof.decision, device.cnf.public_key(), aud=proof.iss)
    _same(
        rid=(proof.rid, request.rid),
        sub=(device.sub, request.sub),
        iss=(decision.iss, device.cnf.jkt),
    )
    belongs(decision, proof.request, request)
    _follows(proof, request, decision)
    if not (device.nbf <= proof.decided_at and request.iat <= proof.decided_at < request.exp):
        raise MismatchError("the decision lies outside the life of request or device")
    return Verified(
        proof.outcome,
        proof.reason,
        proof.decided_at,
        request,
        decision,
        device,
        proof,
        _notes(proof, request, decision),
    )


def belongs(decision: Decision, document: str, request: Request) -> None:
    """Whether a decision answers exactly this request document; raises ``MismatchError``."""
    _same(
        rid=(decision.rid, request.rid),
        non=(decision.non, request.non),
        rqh=(decision.rqh, jose.b64u(request_hash(document))),
    )


def _keys(jwks: list[dict[str, Any]]) -> dict[str, EllipticCurvePublicKey]:
    """The P-256 keys of a set by their own thumbprints; keys of other kinds have other uses."""
    keys = [
        jose.public_key_from_jwk(jwk) for jwk in jwks if (jwk.get("kty"), jwk.get("crv")) == ("EC", "P-256")
    ]
    return {jose.thumbprint(key): key for key in keys}


def _key(keys: dict[str, EllipticCurvePublicKey], kid: str) -> EllipticCurvePublicKey:
    if kid not in keys:
        raise BadSignatureError("signed by a key that is not in the key set")
    return keys[kid]


def _same(**pairs: tuple[str, str]) -> None:
    for name, (one, other) in pairs.items():
        if one != other:
            raise MismatchError(f"the documents do not agree on {name}")


def _follows(proof: Receipt, request: Request, decision: Decision) -> None:
    """The outcome is one that this decision can have."""
    wrong_number = decision.dec == "approve" and proof.reason == "wrong_number"
    if wrong_number and not approval.number_digits(request.num):
        raise MismatchError("the request asks for no number, so none can be wrong")
    if proof.reason != ("wrong_number" if wrong_number else decision.rsn):
        raise MismatchError("the reason is not the one of the decision")
    if proof.outcome != approval.outcome(decision.dec, number_ok=not wrong_number):
        raise MismatchError("the outcome does not follow from the decision")
    if proof.outcome == "approved" and len(decision.num or "") != approval.number_digits(request.num):
        raise MismatchError("an approval carries the number that the request asks for")


def _notes(proof: Receipt, request: Request, decision: Decision) -> tuple[str, ...]:
    notes = ["When the decision arrived is the server's word."]
    if decision.dec == "approve" and approval.number_digits(request.num):
        found = "matched" if proof.outcome == "approved" else "did not match"
        notes.append(f"That the typed number {found} is the server's word.")
    notes.append("Inclusion in the audit log is proved by another document.")
    return tuple(notes)
