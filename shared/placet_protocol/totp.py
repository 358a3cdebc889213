"""One-time codes of soft tokens (RFC 4226, RFC 6238)."""

from __future__ import annotations

import hmac
from typing import Final, Literal

Algorithm = Literal["SHA1", "SHA256", "SHA512"]
_DIGESTS: Final[dict[Algorithm, str]] = {"SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512"}


def hotp(secret: bytes, counter: int, digits: int = 6, algorithm: Algorithm = "SHA1") -> str:
    """The code of one counter value, or of one time step, with leading zeros (RFC 4226 §5.3)."""
    mac = hmac.digest(secret, counter.to_bytes(8, "big"), _DIGESTS[algorithm])
    offset = mac[-1] & 0x0F
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}}"


def step(now: int, period: int = 30) -> int:
    """The time step of ``now`` (ms UTC) for a period in seconds, counted from 1970 (RFC 6238 §4.2)."""
    return now // (period * 1000)
