"""What a code looks like, and how one is drawn."""

from __future__ import annotations

import string
from typing import Final

from msgspec import Struct

from placet_server.ports import Entropy

LENGTH_MIN: Final = 4
LENGTH_MAX: Final = 32
SPECIAL: Final = "!#$%&?@"
CONFUSING: Final = frozenset("0Oo1Il5S2Z8B")


class Shape(Struct, frozen=True):
    """How many characters, 4 to 32, and of which kinds; ``unconfusing`` leaves out those that look alike."""

    length: int = 6
    digits: bool = True
    upper: bool = False
    lower: bool = False
    special: bool = False
    unconfusing: bool = False

    def alphabet(self) -> str:
        """The characters that may occur; digits when no kind was chosen."""
        kinds = (
            (self.digits, string.digits),
            (self.upper, string.ascii_uppercase),
            (self.lower, string.ascii_lowercase),
            (self.special, SPECIAL),
        )
        chosen = "".join(characters for wanted, characters in kinds if wanted) or string.digits
        return "".join(char for char in chosen if char not in CONFUSING) if self.unconfusing else chosen


def draw(shape: Shape, entropy: Entropy) -> str:
    """A new code: every text of this shape is equally likely."""
    alphabet = shape.alphabet()
    base = len(alphabet)
    number = entropy.below(base**shape.length)
    if alphabet == string.digits:
        return f"{number:0{shape.length}d}"
    code = []
    for _ in range(shape.length):
        number, place = divmod(number, base)
        code.append(alphabet[place])
    return "".join(code)
