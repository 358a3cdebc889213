"""Makes this program a person's device on a server: from an enrolment URI to a verified certificate.

What the server answers counts only when the key that the URI pinned has signed it for the key made here; then both
sides show the same six digits.
"""

from __future__ import annotations

import asyncio
import platform
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from msgspec import Struct

from placet_authenticator.calls import Calls, Signer
from placet_authenticator.errors import ImportFailedError, UntrustedError
from placet_authenticator.importing import otpauth as soft_tokens
from placet_authenticator.keys import new_key, scalar
from placet_authenticator.records import Enrollment, Token
from placet_protocol import jose
from placet_protocol.approval import NAME_MAX
from placet_protocol.documents import (
    ENROLL,
    DeviceCertificate,
    Enroll,
    Push,
    check_code,
    payload,
    read_device_certificate,
)
from placet_protocol.errors import ProtocolError
from placet_protocol.otpauth import EnrollmentUri
from placet_protocol.sealing import unseal
from placet_protocol.text import visible

POLL_SECONDS: Final = 1.0


class Enrolled(Struct, frozen=True):
    """A new device, and the soft token that came with it if the server's policy gives one."""

    enrollment: Enrollment
    token: Token | None


def read_uri(text: str) -> EnrollmentUri:
    """The enrolment that a URI offers: show its ``origin`` and ``name`` before going on.

    Raises ``ImportFailedError``.
    """
    try:
        return EnrollmentUri.parse(text)
    except ProtocolError as error:
        raise ImportFailedError(
            f"this is not an enrolment: {error}",
            "Ask for a new enrolment; its URI starts with https:// and has /e/ in it",
        ) from error


async def enroll(calls: Calls, uri: EnrollmentUri, *, device_name: str, now: int) -> Enrolled:
    """Redeem the enrolment with two new keys; ``now`` in ms UTC, ``device_name`` is what other devices will see.

    Raises ``ServerRefusedError`` (used, expired or void), ``UnreachableError`` and ``UntrustedError`` (the answer is
    not the pinned server's).
    """
    signing, push = new_key(), new_key()
    signer = Signer(jose.thumbprint(signing.public_key()), signing)
    auth = calls.random(16)
    asked = Enroll(
        aud=uri.origin,
        eid=uri.id,
        tkn=uri.token,
        name=visible(device_name)[:NAME_MAX] or "terminal",
        platform=platform.system()[:NAME_MAX] or "unknown",
        push=Push("embedded", jose.b64u(jose.public_key_bytes(push.public_key())), jose.b64u(auth)),
        jti=calls.new_id(),
        iat=now // 1000,
    )
    # Asked before the one-time token is spent: a server with another key gets nothing but this question.
    server_key = await _pinned_key(calls, uri.thumbprint)
    document = jose.sign(signing, ENROLL, payload(asked), jwk=jose.public_jwk(signing.public_key()))
    answer = await calls.post_document(f"/device/v1/enrollments/{uri.id}", document)
    try:
        certificate = _certificate(answer, server_key, uri, signer)
        sealed = answer.get("sealed")
        token_uri = None if sealed is None else unseal(jose.unb64u(_text(sealed)), push, auth).decode()
    except (ProtocolError, UnicodeDecodeError) as error:
        raise UntrustedError(
            f"the server's answer is not what it should be: {error}",
            "Nothing was kept. Ask for a new enrolment",
        ) from error
    salt = jose.unb64u(certificate.salt)
    enrollment = Enrollment(
        id=certificate.did,
        origin=uri.origin,
        pinned=uri.thumbprint,
        server_key=jose.public_key_bytes(server_key),
        name=visible(uri.name),
        user=certificate.sub,
        org=certificate.org,
        device_name=asked.name,
        thumbprint=signer.thumbprint,
        signing_secret=scalar(signing),
        push_secret=scalar(push),
        push_auth=auth,
        certificate=_text(answer.get("certificate")),
        check=check_code(uri.id, signer.thumbprint, uri.thumbprint, salt),
        active=answer.get("active") is True,
        created_at=now,
    )
    token = None
    if token_uri is not None:
        token = soft_tokens.token(token_uri, token_id=calls.random(8).hex(), now=now, device=certificate.did)
    return Enrolled(enrollment, token)


async def confirmed(calls: Calls, enrollment: Enrollment, *, poll: float = POLL_SECONDS) -> bool:
    """Wait until somebody confirmed the six digits; False when the enrolment was turned down instead.

    ``poll`` is the pause between questions in seconds.
    """
    while True:
        status = await calls.status(Signer.of(enrollment))
        if status != "pending":
            return status == "active"
        await asyncio.sleep(poll)


async def _pinned_key(calls: Calls, thumbprint: str) -> EllipticCurvePublicKey:
    keys = (await calls.get_public("/.well-known/jwks.json")).get("keys")
    for jwk in keys if isinstance(keys, list) else []:
        try:
            key = jose.public_key_from_jwk(jwk)
        except (ProtocolError, AttributeError):
            continue  # a key of another kind, e.g. of the audit log
        if jose.thumbprint(key) == thumbprint:
            return key
    raise UntrustedError(
        "the server does not hold the key that the enrolment names",
        "Somebody may stand between: check the address, and ask for a new enrolment",
    )


def _certificate(
    answer: dict[str, Any], server_key: EllipticCurvePublicKey, uri: EnrollmentUri, signer: Signer
) -> DeviceCertificate:
    certificate = read_device_certificate(_text(answer.get("certificate")), server_key, iss=uri.origin)
    if certificate.eid != uri.id or certificate.cnf.jkt != signer.thumbprint:
        raise UntrustedError(
            "the certificate is for another device", "Nothing was kept. Ask for a new enrolment"
        )
    return certificate


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
