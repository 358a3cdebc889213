"""Fixed keys and good documents of one made-up installation, the same in every run."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from placet_protocol import documents, jose
from placet_protocol.canonical import hidden_hash

ORIGIN = "https://placet.example"
ENROLLMENT = "0190c1f0-7a2b-7c3d-8e4f-5a6b7c8d9e0f"
APPROVAL = "0190c1f1-0102-7304-8506-0708090a0b0c"
USER = "0190c1ef-ffff-7000-8000-00000000beef"
DEVICE = "0190c1f0-8888-7999-8aaa-bbbbccccdddd"
HIDDEN = {"ledger": "4711", "risk": 0.25, "tags": ["a", "b"]}
BEGUN = 1_760_000_000


def fixed(label: str, count: int = 32) -> bytes:
    """Bytes that depend on the label alone."""
    return hashlib.shake_256(label.encode()).digest(count)


def private_key(label: str, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """A private key that depends on label and curve (default P-256) alone."""
    chosen = curve or ec.SECP256R1()
    return ec.derive_private_key(int.from_bytes(fixed(label, chosen.key_size // 8 - 1), "big"), chosen)


SERVER_KEY = private_key("server")
DEVICE_KEY = private_key("device")
PUSH_KEY = private_key("push")
OTHER_KEY = private_key("other")
SERVER_KID = jose.thumbprint(SERVER_KEY.public_key())
DEVICE_KID = jose.thumbprint(DEVICE_KEY.public_key())
PUSH_POINT = jose.public_key_bytes(PUSH_KEY.public_key())
PUSH_AUTH = fixed("auth", 16)
HIDDEN_SALT = fixed("hidden salt", 16)
CHECK_SALT = fixed("check salt", 16)
TOKEN = jose.b64u(fixed("token"))
JWKS = [jose.public_jwk(SERVER_KEY.public_key())]


def enroll(**changes: Any) -> documents.Enroll:
    """A device's good enrolment."""
    push = documents.Push("embedded", jose.b64u(PUSH_POINT), jose.b64u(PUSH_AUTH))
    good = documents.Enroll(
        ORIGIN, ENROLLMENT, TOKEN, "Ada's laptop", "linux", push, jose.b64u(fixed("enroll jti", 16)), BEGUN
    )
    return msgspec.structs.replace(good, **changes)


def certificate(**changes: Any) -> documents.DeviceCertificate:
    """The server's good certificate of that device."""
    confirmation = documents.confirmation(DEVICE_KEY.public_key())
    salt = jose.b64u(CHECK_SALT)
    good = documents.DeviceCertificate(ORIGIN, DEVICE, USER, "default", confirmation, ENROLLMENT, salt, BEGUN)
    return msgspec.structs.replace(good, **changes)


def request(**changes: Any) -> documents.Request:
    """A good question to that user."""
    good = documents.Request(
        iss=ORIGIN,
        rid=APPROVAL,
        sub=USER,
        rp=documents.RelyingParty("app-1", "Acme Pay"),
        iat=BEGUN + 100,
        exp=BEGUN + 400,
        non=jose.b64u(fixed("nonce", 16)),
        msg="Pay 100.00 € to Zoë?",
        vis=(("Amount", "100.00 €"), ("To", "Zoë Müller")),
        hdh=jose.b64u(hidden_hash(HIDDEN_SALT, HIDDEN)),
        ctx=documents.Context(ip="192.0.2.7", place="Vienna"),
        num="entry:3",
    )
    return msgspec.structs.replace(good, **changes)


def request_document(**changes: Any) -> str:
    """That question as the server signs it."""
    return jose.sign(SERVER_KEY, documents.REQUEST, documents.payload(request(**changes)), kid=SERVER_KID)


def decision(document: str | None = None, **changes: Any) -> documents.Decision:
    """The device's good answer to a question."""
    asked = request_document() if document is None else document
    good = documents.Decision(
        iss=DEVICE_KID,
        aud=ORIGIN,
        jti=jose.b64u(fixed("decision jti", 16)),
        iat=BEGUN + 130,
        ctr=(BEGUN + 130) * 1000,
        rid=APPROVAL,
        non=request().non,
        rqh=jose.b64u(documents.request_hash(asked)),
        dec="approve",
        rsn="ok",
        uv="pin",
        ui="placet/0.1",
        num="042",
    )
    return msgspec.structs.replace(good, **changes)


def decision_document(document: str | None = None, **changes: Any) -> str:
    """That answer as the device signs it."""
    said = documents.payload(decision(document, **changes))
    return jose.sign(DEVICE_KEY, documents.DECISION, said, kid=DEVICE_KID)


def certificate_document(**changes: Any) -> str:
    """The certificate as the server signs it."""
    return jose.sign(SERVER_KEY, documents.DEVICE, documents.payload(certificate(**changes)), kid=SERVER_KID)


def receipt_document(**changes: Any) -> str:
    """A good receipt of that answer, as the server signs it."""
    good = documents.Receipt(
        iss=ORIGIN,
        rid=APPROVAL,
        outcome="approved",
        reason="ok",
        decided_at=BEGUN + 131,
        request=request_document(),
        decision=decision_document(),
        device=certificate_document(),
        leaf=jose.b64u(fixed("leaf")),
        salt=jose.b64u(HIDDEN_SALT),
    )
    said = documents.payload(msgspec.structs.replace(good, **changes))
    return jose.sign(SERVER_KEY, documents.RECEIPT, said, kid=SERVER_KID)


def enroll_document(**changes: Any) -> str:
    """The enrolment as the device signs it."""
    said = documents.payload(enroll(**changes))
    return jose.sign(DEVICE_KEY, documents.ENROLL, said, jwk=jose.public_jwk(DEVICE_KEY.public_key()))
