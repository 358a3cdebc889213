"""What a code looks like, and how one is drawn."""

from __future__ import annotations

import string
from functools import lru_cache
from typing import Final

from msgspec import Struct

from placet_server.ports import Entropy

LENGTH_MIN: Final = 4
LENGTH_MAX: Final = 32
SPECIAL: Final = "!#$%&?@"
CONFUSING: Final = "0Oo1Il5S2Z8B"
_LEFT_MIN: Final = 5
"""Characters below which guessing becomes too easy: as many digits are left when all confusing ones go."""


class Shape(Struct, frozen=True):
    """How many characters, 4 to 32, and of which kinds; ``unconfusing`` leaves out those that look alike.

    Which ones those are says ``confusing``; a list that would leave fewer than five characters leaves out none.
    """

    length: int = 6
    digits: bool = True
    upper: bool = False
    lower: bool = False
    special: bool = False
    unconfusing: bool = False
    confusing: str = CONFUSING


@lru_cache(256)
def alphabet_of(shape: Shape) -> str:
    """The characters that may occur; digits when no kind was chosen."""
    kinds = (
        (shape.digits, string.digits),
        (shape.upper, string.ascii_uppercase),
        (shape.lower, string.ascii_lowercase),
        (shape.special, SPECIAL),
    )
    chosen = "".join(characters for wanted, characters in kinds if wanted) or string.digits
    clear = "".join(char for char in chosen if char not in shape.confusing) if shape.unconfusing else chosen
    return clear if len(clear) >= _LEFT_MIN else chosen


def draw(shape: Shape, entropy: Entropy) -> str:
    """A new code: every text of this shape is equally likely."""
    alphabet = alphabet_of(shape)
    base = len(alphabet)
    number = entropy.below(base**shape.length)
    if alphabet == string.digits:
        return f"{number:0{shape.length}d}"
    code = []
    for _ in range(shape.length):
        number, place = divmod(number, base)
        code.append(alphabet[place])
    return "".join(code)
