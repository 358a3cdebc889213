"""Time-ordered ids, so that new rows land at the end of every index."""

from __future__ import annotations

import re
from typing import Final

from placet_server.ports import Entropy

_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def new_id(now: int, entropy: Entropy) -> str:
    """A UUID version 7 in its usual text form: 48 bits of ``now`` (ms UTC), 74 random bits (RFC 9562 §5.7)."""
    random = int.from_bytes(entropy.bytes(10), "big")
    value = now << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | (random & ((1 << 62) - 1))
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def made_at(item_id: str) -> int:
    """When an id was made, in ms UTC."""
    return int(item_id[:8] + item_id[9:13], 16)


def first_id(at: int) -> str:
    """What stands before every id made at or after a time (ms UTC), and behind every earlier one."""
    text = f"{max(0, at):012x}"
    return f"{text[:8]}-{text[8:]}"


def is_id(text: str) -> bool:
    """Whether a path variable has the form of an id: 36 characters, lower-case hexadecimal and hyphens."""
    return _ID.fullmatch(text) is not None
