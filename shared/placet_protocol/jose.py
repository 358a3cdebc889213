"""Compact JWS with ES256, by hand over ``cryptography``: the form of everything signed.

What a header may hold is fixed (RFC 8725): ``alg`` is ES256, ``typ`` is the expected one, and the key is named by
``kid``; only an enrolment carries its key in ``jwk``. Nothing else is looked at or tolerated, so no header can choose
algorithm or key.
"""

from __future__ import annotations

import binascii
import hashlib
import json
from functools import lru_cache
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from placet_protocol.errors import BadSignatureError, MalformedError, WrongTypeError
from placet_protocol.strictjson import loads as loads  # noqa: PLC0414 - readers of JOSE find strict JSON here

DOCUMENT_LIMIT: Final = 65_536
"""Characters of the longest document that is read unless the caller says otherwise."""

# RFC 6979: the same key and payload give the same document, and a weak random source cannot leak the key.
_SIGN: Final = ECDSA(SHA256(), deterministic_signing=True)
_VERIFY: Final = ECDSA(SHA256())
_CURVE: Final = SECP256R1()
_HEADER_LIMIT: Final = 512
_KID_LIMIT: Final = 64


class Embedded(NamedTuple):
    """A verified document that carried its own key: what it says, the key as JWK, and the key."""

    payload: dict[str, Any]
    jwk: dict[str, Any]
    public_key: EllipticCurvePublicKey


class _Parts(NamedTuple):
    header: str
    payload: str
    signature: str


def b64u(data: bytes) -> str:
    """Base64url without padding (RFC 4648 §5)."""
    text = binascii.b2a_base64(data, newline=False).rstrip(b"=")
    return text.replace(b"+", b"-").replace(b"/", b"_").decode("ascii")


def unb64u(text: str) -> bytes:
    """The bytes of a base64url text; raises ``MalformedError`` unless it is the one exact encoding of them."""
    try:
        data = binascii.a2b_base64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
    except ValueError as error:
        raise MalformedError("not base64url") from error
    if b64u(data) != text:  # other alphabet, padding, or spare bits that are not zero
        raise MalformedError("not base64url in its one exact form")
    return data


def sign(
    key: EllipticCurvePrivateKey,
    typ: str,
    payload: bytes,
    *,
    kid: str | None = None,
    jwk: dict[str, Any] | None = None,
) -> str:
    """A compact JWS over exactly these payload bytes; give either the key's ``kid`` or, to enrol it, its ``jwk``."""
    head = _head(typ, kid) if jwk is None else _header_text({"alg": "ES256", "typ": typ, "jwk": jwk})
    signed = f"{head}.{b64u(payload)}"
    r, s = decode_dss_signature(key.sign(signed.encode("ascii"), _SIGN))
    return f"{signed}.{b64u(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def open(  # noqa: A001 - reads as jose.open, the counterpart of jose.sign
    document: str, key: EllipticCurvePublicKey, typ: str, limit: int = DOCUMENT_LIMIT
) -> dict[str, Any]:
    """The payload of a document that this key signed as this type.

    Raises ``MalformedError``, ``WrongTypeError`` or ``BadSignatureError``; the payload is parsed only after its
    signature held.
    """
    parts = _split(document, limit)
    _named(parts.header, typ)
    return _verified(parts, key)


def open_embedded(document: str, typ: str, limit: int = DOCUMENT_LIMIT) -> Embedded:
    """The payload of a document that carries the key that signed it, as an enrolment does. Raises as ``open``."""
    parts = _split(document, limit)
    header = _header(parts.header)
    _expect(header, typ, {"alg", "typ", "jwk"})
    jwk = header["jwk"]
    if not isinstance(jwk, dict) or jwk.keys() != {"kty", "crv", "x", "y"}:
        raise MalformedError("jwk holds exactly kty, crv, x and y")
    key = public_key_from_jwk(jwk)
    return Embedded(_verified(parts, key), jwk, key)


def kid_of(document: str, typ: str, limit: int = DOCUMENT_LIMIT) -> str:
    """Which key the document says it was signed with, before anything is verified; raises as ``open``."""
    return _named(_split(document, limit).header, typ)


def peek(document: str, limit: int = DOCUMENT_LIMIT) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload without any verification: to find a key, never to believe."""
    parts = _split(document, limit)
    return _header(parts.header), _payload(parts)


def thumbprint(key: EllipticCurvePublicKey) -> str:
    """The RFC 7638 thumbprint of a public key, base64url: its name everywhere (``kid``, ``jkt``)."""
    jwk = public_jwk(key)
    text = f'{{"crv":"P-256","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'
    return b64u(hashlib.sha256(text.encode("ascii")).digest())


def public_jwk(key: EllipticCurvePublicKey) -> dict[str, Any]:
    """A public key as JWK with ``kty, crv, x, y``."""
    point = public_key_bytes(key)
    return {"kty": "EC", "crv": "P-256", "x": b64u(point[1:33]), "y": b64u(point[33:])}


def public_key_from_jwk(jwk: dict[str, Any]) -> EllipticCurvePublicKey:
    """The P-256 key of a JWK; raises ``MalformedError`` for any other key type, curve or point, and for private keys."""
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256" or "d" in jwk:
        raise MalformedError("the key is not a public P-256 key")
    x, y = jwk.get("x"), jwk.get("y")
    if not isinstance(x, str) or not isinstance(y, str):
        raise MalformedError("x and y of a key are base64url texts")
    return public_key_from_bytes(b"\x04" + _coordinate(x) + _coordinate(y))


def public_key_bytes(key: EllipticCurvePublicKey) -> bytes:
    """A public key as 65 bytes: 4, then x and y (SEC 1 uncompressed)."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@lru_cache(maxsize=1024)  # checking a point costs 16 µs; devices call again and again
def public_key_from_bytes(point: bytes) -> EllipticCurvePublicKey:
    """The P-256 key of 65 uncompressed bytes; raises ``MalformedError`` when they are no point of the curve."""
    if len(point) != 65 or point[0] != 4:
        raise MalformedError("a public key is 65 bytes, uncompressed")
    try:
        return EllipticCurvePublicKey.from_encoded_point(_CURVE, point)
    except ValueError as error:
        raise MalformedError("the point is not on the curve P-256") from error


def _coordinate(text: str) -> bytes:
    data = unb64u(text)
    if len(data) != 32:
        raise MalformedError("a coordinate of a key is 32 bytes")
    return data


def _split(document: str, limit: int) -> _Parts:
    if len(document) > limit:
        raise MalformedError(f"the document is longer than {limit} characters")
    parts = document.split(".")
    if len(parts) != 3 or not document.isascii():
        raise MalformedError("not a compact JWS")
    return _Parts(*parts)


def _header_text(header: dict[str, Any]) -> str:
    return b64u(json.dumps(header, separators=(",", ":")).encode("ascii"))


@lru_cache(maxsize=256)  # a server signs with one key, a handful of types
def _head(typ: str, kid: str | None) -> str:
    return _header_text(
        {"alg": "ES256", "typ": typ} if kid is None else {"alg": "ES256", "typ": typ, "kid": kid}
    )


def _header(text: str) -> dict[str, Any]:
    if len(text) > _HEADER_LIMIT:
        raise MalformedError("the header is too long")
    return loads(unb64u(text))


@lru_cache(maxsize=1024)  # a device's header is the same in every document
def _named(text: str, typ: str) -> str:
    header = _header(text)
    _expect(header, typ, {"alg", "typ", "kid"})
    kid = header["kid"]
    if not isinstance(kid, str) or not 0 < len(kid) <= _KID_LIMIT:
        raise MalformedError("kid is the name of a key")
    return kid


def _expect(header: dict[str, Any], typ: str, members: set[str]) -> None:
    if header.get("alg") != "ES256":
        raise WrongTypeError("the algorithm is ES256 and no other")
    if header.get("typ") != typ:
        raise WrongTypeError(f"the document is no {typ}")
    if header.keys() != members:
        raise WrongTypeError(f"the header holds exactly {', '.join(sorted(members))}")


def _verified(parts: _Parts, key: EllipticCurvePublicKey) -> dict[str, Any]:
    signature = unb64u(parts.signature)
    if len(signature) != 64:
        raise BadSignatureError("an ES256 signature is 64 bytes")
    pair = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(pair, f"{parts.header}.{parts.payload}".encode("ascii"), _VERIFY)
    except InvalidSignature as error:
        raise BadSignatureError("the signature does not hold") from error
    return _payload(parts)


def _payload(parts: _Parts) -> dict[str, Any]:
    """What the document says; its length was limited as a whole."""
    data = unb64u(parts.payload)
    return loads(data, len(data))
