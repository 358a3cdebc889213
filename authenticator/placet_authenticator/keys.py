"""A device's own keys: P-256, kept as 32-byte scalars in sealed records only."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
    generate_private_key,
)


def new_key() -> EllipticCurvePrivateKey:
    """A fresh P-256 key from the operating system's randomness."""
    return generate_private_key(SECP256R1())


def scalar(key: EllipticCurvePrivateKey) -> bytes:
    """The 32 secret bytes of a key: for a sealed record, never for a file or a log."""
    return key.private_numbers().private_value.to_bytes(32, "big")


def from_scalar(secret: bytes) -> EllipticCurvePrivateKey:
    """The key of 32 secret bytes."""
    return derive_private_key(int.from_bytes(secret, "big"), SECP256R1())
