"""Proof, for one call, that the caller holds a device's key; modelled on DPoP (RFC 9449) for a key already known.

The proof covers method, URL, body and a nonce that the server gave out, so it fits one call only, needs no clock, and
a server's restart ends all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from typing import Annotated, Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from msgspec import Meta, Struct

from placet_protocol import jose
from placet_protocol.errors import MalformedError, StaleError, WrongAudienceError
from placet_protocol.strictjson import typed

PROOF: Final = "proof+jwt"
PROOF_LIMIT: Final = 4_096
SOCKET_METHOD: Final = "SOCKET"
"""The method of the proofs in a socket's ``hello``."""


class Proof(Struct, frozen=True, forbid_unknown_fields=True):
    """What a proof says: method, full URL as called, base64url SHA-256 of the body, the server's nonce, and an id.

    The server remembers ``jti`` for as long as the nonce is good.
    """

    htm: Annotated[str, Meta(max_length=16)]
    htu: Annotated[str, Meta(max_length=2048)]
    bh: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{43}\Z")]
    nonce: Annotated[str, Meta(min_length=1, max_length=128)]
    jti: Annotated[str, Meta(min_length=16, max_length=64)]
    v: Literal[1] = 1


def proof(
    key: EllipticCurvePrivateKey, kid: str, method: str, url: str, body: bytes, nonce: str, jti: str
) -> str:
    """The document to send as ``Placet-Proof``; ``jti`` must be new each time (16 to 64 characters)."""
    said = Proof(method, url, _body_hash(body), nonce, jti)
    return jose.sign(key, PROOF, msgspec.json.encode(said), kid=kid)


def read(
    document: str,
    key: EllipticCurvePublicKey,
    *,
    method: str,
    url: str,
    body: bytes,
    nonces: Container[str],
) -> Proof:
    """A proof by this key for exactly this call.

    Raises ``MalformedError``, ``WrongTypeError``, ``BadSignatureError``, ``WrongAudienceError`` (another call) or, last,
    ``StaleError`` (its nonce is not among ``nonces``). That its ``jti`` is new is the caller's to check.
    """
    members = jose.open(document, key, PROOF, PROOF_LIMIT)
    if "v" not in members:
        raise MalformedError("the version v is missing")
    said = typed(members, Proof)
    if (said.htm, said.htu, said.bh) != (method, url, _body_hash(body)):
        raise WrongAudienceError("the proof is for another call")
    if said.nonce not in nonces:
        raise StaleError("the proof carries no current nonce")
    return said


def _body_hash(body: bytes) -> str:
    return jose.b64u(hashlib.sha256(body).digest())
