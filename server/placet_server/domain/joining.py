"""What a new device is and gets: its row and certificate, its sealed soft token, the question to those before it."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey, derive_private_key

from placet_protocol import documents, sealing
from placet_protocol.approval import NAME_MAX
from placet_protocol.errors import ProtocolError
from placet_protocol.jose import b64u, public_key_bytes, thumbprint, unb64u
from placet_protocol.text import visible
from placet_server.domain.invitations import Invitation
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import ApprovalDraft, Device
from placet_server.ports import Entropy, Signer

_CURVE: Final = SECP256R1()
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def device(
    invitation: Invitation,
    wish: documents.Enroll,
    key: EllipticCurvePublicKey,
    device_id: str,
    salt: bytes,
    signer: Signer,
    issuer: str,
    now: int,
) -> Device:
    """The device that holds ``key``, not active yet, with its certificate by the server.

    ``salt`` is 16 bytes drawn after the key was known. What the device calls itself is made visible text.
    """
    certificate = documents.DeviceCertificate(
        iss=issuer,
        did=device_id,
        sub=invitation.user_id,
        org=invitation.org,
        cnf=documents.confirmation(key),
        eid=invitation.id,
        salt=b64u(salt),
        nbf=now // 1000,
    )
    return Device(
        id=device_id,
        org=invitation.org,
        user_id=invitation.user_id,
        jkt=thumbprint(key),
        public_key=public_key_bytes(key),
        status="pending",
        ctr=0,
        certificate=signer.sign(documents.DEVICE, documents.payload(certificate)),
        name=visible(wish.name)[:NAME_MAX],
        platform=visible(wish.platform)[:NAME_MAX],
        endpoint=wish.push.endpoint,
        p256dh=unb64u(wish.push.p256dh),
        auth=unb64u(wish.push.auth),
        created_at=now,
    )


def read(document: str, issuer: str, enrollment_id: str) -> tuple[documents.Enroll, EllipticCurvePublicKey]:
    """The wish and the key that signed it; raises ``enrollment_refused``."""
    try:
        return documents.read_enroll(document, aud=issuer, eid=enrollment_id)
    except ProtocolError as error:
        raise RefusedError(
            "enrollment_refused", f"The device's document is not good: {error.detail}."
        ) from None


def has_token(wish: documents.Enroll, invitation: Invitation) -> bool:
    """Whether the wish names the one-time token, compared in constant time."""
    return hmac.compare_digest(hashlib.sha256(unb64u(wish.tkn)).digest(), invitation.token_hash)


def is_from(document: str, issuer: str, invitation: Invitation, device: Device) -> bool:
    """Whether this is a wish of the very device that has redeemed the invitation: same token, same keys."""
    try:
        wish, key = read(document, issuer, invitation.id)
    except RefusedError:
        return False
    keys = (thumbprint(key), unb64u(wish.push.p256dh), unb64u(wish.push.auth))
    return has_token(wish, invitation) and keys == (device.jkt, device.p256dh, device.auth)


def sealed_to(receiver: Device, text: str, entropy: Entropy) -> bytes:
    """A text that only this device can read (RFC 8291)."""
    # 48 bytes: reduced to the order of the curve they leave no bias (FIPS 186-5 §A.2.1).
    number = int.from_bytes(entropy.bytes(48), "big") % (_ORDER - 1) + 1
    return sealing.seal(
        text.encode(),
        receiver.p256dh,
        receiver.auth,
        ephemeral_key=derive_private_key(number, _CURVE),
        salt=entropy.bytes(16),
    )


def question(newcomer: Device, ends_at: int, now: int) -> ApprovalDraft:
    """What the active devices are asked about a further one, until its enrolment ends (ms UTC).

    No number is copied: the six digits of the new device are compared anyway, by somebody else.
    """
    return ApprovalDraft(
        message="Add this device to your account?",
        ttl=max(1, (ends_at - now) // 1000),
        number="none",
        visible=(("Device", newcomer.name), ("Platform", newcomer.platform)),
    )
