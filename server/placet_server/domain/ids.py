"""Time-ordered ids, so that new rows land at the end of every index."""

from __future__ import annotations

from uuid import UUID

from placet_server.ports import Entropy


def new_id(now: int, entropy: Entropy) -> str:
    """A UUID version 7 in its usual text form: 48 bits of ``now`` (ms UTC), 74 random bits (RFC 9562 §5.7)."""
    random = int.from_bytes(entropy.bytes(10), "big")
    value = now << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | (random & ((1 << 62) - 1))
    return str(UUID(int=value))


def is_id(text: str) -> bool:
    """Whether a path variable has the form of an id: 36 characters, lower-case hexadecimal and hyphens."""
    if len(text) != 36 or not text.isascii():
        return False
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
