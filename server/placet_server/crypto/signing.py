"""The server's signing keys: made once, sealed in the store, listed for whoever verifies."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from placet_protocol import jose
from placet_server.ports import Entropy, Row, Sealer, Sql, Step, UnsealableError, step

SIGNING_KEYS: Final = Sql(
    "signing_keys",
    "SELECT kid, use, status, public_key, sealed, created_at, retired_at FROM signing_keys ORDER BY created_at, kid",
)
_ADD: Final = Sql(
    "add_signing_key",
    "INSERT INTO signing_keys (kid, use, status, public_key, sealed, created_at) VALUES (?, ?, 'current', ?, ?, ?)",
)
_TABLE: Final = "signing_keys"
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class DocumentSigner:
    """A ``Signer`` with the current P-256 key; it also names the public keys that signed before."""

    def __init__(self, key: EllipticCurvePrivateKey, jwks: Iterable[dict[str, Any]]) -> None:
        self._key = key
        self._kid = jose.thumbprint(key.public_key())
        self._jwks = tuple(jwks)

    @property
    def kid(self) -> str:
        """RFC 7638 thumbprint of the current public key: what devices pin."""
        return self._kid

    def sign(self, typ: str, payload: bytes) -> str:
        """A compact JWS over exactly these payload bytes, header ``alg, typ, kid``."""
        return jose.sign(self._key, typ, payload, kid=self._kid)

    def jwks(self) -> list[dict[str, Any]]:
        """All public keys that ever signed, as JWKs with ``kid, use, alg, status, iat`` (and ``exp`` when retired)."""
        return [dict(jwk) for jwk in self._jwks]


class SigningKeys(NamedTuple):
    """The current keys: ``signer`` signs documents, ``log`` checkpoints of the audit log, ``vapid`` Web Push calls."""

    signer: DocumentSigner
    log: Ed25519PrivateKey
    vapid: EllipticCurvePrivateKey


def first_signing_keys(sealer: Sealer, entropy: Entropy, now: int) -> list[Step]:
    """The statements that store one new key of each use, made at ``now`` (ms UTC)."""
    steps = []
    for use in ("document", "vapid"):
        key = new_p256(entropy)
        scalar = key.private_numbers().private_value.to_bytes(32, "big")
        steps.append(_added(use, jose.public_key_bytes(key.public_key()), scalar, sealer, now))
    log = Ed25519PrivateKey.from_private_bytes(entropy.bytes(32))
    steps.append(_added("log", log.public_key().public_bytes_raw(), log.private_bytes_raw(), sealer, now))
    return steps


def opened_signing_keys(rows: Iterable[Row], sealer: Sealer) -> SigningKeys:
    """The keys of the rows of ``SIGNING_KEYS``.

    Raises ``UnsealableError`` when a current key is missing, or when any row, retired ones too, does not hold the
    sealed private key of the public key it shows: whoever writes to the store must not get a key listed.
    """
    current: dict[str, EllipticCurvePrivateKey | Ed25519PrivateKey] = {}
    jwks = []
    for kid, use, status, public, sealed, created_at, retired_at in rows:
        private = sealer.open("key", _TABLE, kid, sealed)
        key: EllipticCurvePrivateKey | Ed25519PrivateKey
        if use == "log":
            key = Ed25519PrivateKey.from_private_bytes(private)
            shown = key.public_key().public_bytes_raw()
        else:
            key = derive_private_key(int.from_bytes(private, "big"), SECP256R1())
            shown = jose.public_key_bytes(key.public_key())
        if shown != public or key_id(use, public) != kid:
            raise UnsealableError(f"{_TABLE} {kid}: the public key was changed")
        if status == "current":
            current[use] = key
        if use == "document":
            jwks.append(_jwk(public, kid, status, created_at, retired_at))
    document, log, vapid = current.get("document"), current.get("log"), current.get("vapid")
    if not (
        isinstance(document, EllipticCurvePrivateKey)
        and isinstance(log, Ed25519PrivateKey)
        and isinstance(vapid, EllipticCurvePrivateKey)
    ):
        raise UnsealableError(f"{_TABLE}: a current key is missing")
    return SigningKeys(DocumentSigner(document, jwks), log, vapid)


def new_p256(entropy: Entropy) -> EllipticCurvePrivateKey:
    """A new P-256 key, its scalar drawn evenly from 1 to the curve's order - 1."""
    while not 0 < (scalar := int.from_bytes(entropy.bytes(32), "big")) < _P256_ORDER:
        pass
    return derive_private_key(scalar, SECP256R1())


def key_id(use: str, public: bytes) -> str:
    """The RFC 7638 thumbprint of a public key: 65 bytes of P-256, or 32 bytes of Ed25519 (RFC 8037) for the log."""
    if use == "log":
        text = f'{{"crv":"Ed25519","kty":"OKP","x":"{jose.b64u(public)}"}}'
        return jose.b64u(sha256(text.encode()).digest())
    return jose.thumbprint(jose.public_key_from_bytes(public))


def _added(use: str, public: bytes, private: bytes, sealer: Sealer, now: int) -> Step:
    kid = key_id(use, public)
    return step(_ADD, kid, use, public, sealer.seal("key", _TABLE, kid, private), now, rows=1)


def _jwk(public: bytes, kid: str, status: str, created_at: int, retired_at: int | None) -> dict[str, Any]:
    key = jose.public_jwk(jose.public_key_from_bytes(public))
    jwk = {**key, "kid": kid, "use": "sig", "alg": "ES256", "status": status, "iat": created_at // 1000}
    return jwk if retired_at is None else {**jwk, "exp": retired_at // 1000}
