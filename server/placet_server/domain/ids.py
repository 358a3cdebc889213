"""Time-ordered ids, so that new rows land at the end of every index."""

from __future__ import annotations

import re
from typing import Final

from placet_server.ports import Entropy

_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


_TURNS: Final = 1 << 12


def new_id(now: int, entropy: Entropy, turn: int | None = None) -> str:
    """A UUID version 7 in its usual text form: 48 bits of ``now`` (ms UTC), 74 random bits (RFC 9562 §5.7).

    With a ``turn`` (0 to 4,095) that stands in place of the first twelve of them.
    """
    random = int.from_bytes(entropy.bytes(10), "big")
    first = random >> 68 if turn is None else turn
    value = now << 80 | 0x7 << 76 | first << 64 | 0b10 << 62 | (random & ((1 << 62) - 1))
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class OrderedIds:
    """Ids that sort as they were made, within a millisecond, too, up to 4,096 of it (RFC 9562 §6.2, method 1)."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._now = -1
        self._turn = 0

    def new(self, now: int) -> str:
        """The next id, at ``now`` in ms UTC."""
        self._turn = min(self._turn + 1, _TURNS - 1) if now == self._now else 0
        self._now = now
        return new_id(now, self._entropy, self._turn)


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
