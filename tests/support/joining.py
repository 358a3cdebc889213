"""A device that joins by hand: it reads an enrolment URI, signs its wish and opens what it gets."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from placet_protocol import documents, jose, sealing
from placet_protocol.otpauth import EnrollmentUri
from placet_server.domain.values import Enrollment, Redeemed


class Joiner:
    """The two keys of a device that is not one yet."""

    def __init__(self, name: str = "laptop") -> None:
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.push_key = ec.generate_private_key(ec.SECP256R1())
        self.auth = secrets.token_bytes(16)

    @property
    def jkt(self) -> str:
        """The thumbprint of the signing key."""
        return jose.thumbprint(self.key.public_key())

    def members(self, enrollment: Enrollment, **changes: Any) -> dict[str, Any]:
        """The members of a good wish, with some changed; None leaves a member out."""
        assert enrollment.uri is not None
        uri = EnrollmentUri.parse(enrollment.uri)
        push = {
            "endpoint": "embedded",
            "p256dh": jose.b64u(jose.public_key_bytes(self.push_key.public_key())),
            "auth": jose.b64u(self.auth),
        }
        members = {
            "v": 1,
            "aud": uri.origin,
            "eid": uri.id,
            "tkn": uri.token,
            "name": self.name,
            "platform": "test",
            "push": push,
            "jti": "wish",
            "iat": enrollment.created_at // 1000,
        } | changes
        return {name: value for name, value in members.items() if value is not None}

    def wish(self, enrollment: Enrollment, **changes: Any) -> str:
        """The signed enrolment document."""
        said = msgspec.json.encode(self.members(enrollment, **changes))
        return jose.sign(self.key, documents.ENROLL, said, jwk=jose.public_jwk(self.key.public_key()))

    def check(self, enrollment: Enrollment, redeemed: Redeemed) -> str:
        """The six digits that the device shows, from the certificate and the pinned key alone."""
        assert enrollment.uri is not None
        uri = EnrollmentUri.parse(enrollment.uri)
        salt = jose.unb64u(jose.peek(redeemed.certificate)[1]["salt"])
        return documents.check_code(uri.id, self.jkt, uri.thumbprint, salt)

    def token_uri(self, redeemed: Redeemed) -> str | None:
        """The soft token's URI that came sealed to the push key."""
        if redeemed.sealed is None:
            return None
        return sealing.unseal(redeemed.sealed, self.push_key, self.auth).decode()


def other(check: str) -> str:
    """Six digits that are not these."""
    return f"{(int(check) + 1) % 1_000_000:06}"
