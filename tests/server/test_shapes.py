from __future__ import annotations

import string
from collections import Counter

import pytest

from placet_server.domain.shapes import CONFUSING, SPECIAL, Shape, alphabet_of, draw
from placet_server.system import SystemEntropy
from placet_server.testing import SeededEntropy
from support.scale import scaled


def _chi_square_limit(freedom: int) -> float:
    """The value that chance exceeds once in a thousand times (Wilson and Hilferty, 1931), for one position."""
    spread = 2 / (9 * freedom)
    return float(freedom * (1 - spread + 3.09 * spread**0.5) ** 3)


@pytest.mark.parametrize(
    "shape",
    [
        Shape(),
        Shape(4),
        Shape(8, digits=True, upper=True),
        Shape(5, special=True, digits=False),
        Shape(6, unconfusing=True),
    ],
    ids=str,
)
def test_otp_01_every_character_is_equally_likely(shape: Shape) -> None:
    """Over many codes no position prefers a character: chi-square per position, leading zeros among them."""
    entropy, alphabet = SeededEntropy("chance"), alphabet_of(shape)
    codes = [draw(shape, entropy) for _ in range(max(10_000, scaled(100_000)))]
    assert {len(code) for code in codes} == {shape.length}
    expected = len(codes) / len(alphabet)
    for place in range(shape.length):
        seen = Counter(code[place] for code in codes)
        assert set(seen) == set(alphabet)
        chi = sum((seen[char] - expected) ** 2 / expected for char in alphabet)
        assert chi < _chi_square_limit(len(alphabet) - 1) * 1.2


def test_otp_01_codes_of_the_system_differ() -> None:
    """The operating system's randomness repeats no long code."""
    shape = Shape(20, upper=True)
    assert len({draw(shape, SystemEntropy()) for _ in range(1_000)}) == 1_000


def test_alphabets_are_what_was_chosen() -> None:
    """Digits, upper, lower, special and their mixes; nothing chosen means digits; lookalikes can be left out."""
    assert alphabet_of(Shape()) == string.digits
    assert alphabet_of(Shape(digits=False)) == string.digits
    assert (
        alphabet_of(Shape(digits=False, upper=True, lower=True))
        == string.ascii_uppercase + string.ascii_lowercase
    )
    assert alphabet_of(Shape(digits=False, special=True)) == SPECIAL
    everything = alphabet_of(Shape(upper=True, lower=True, special=True, unconfusing=True))
    assert not set(CONFUSING) & set(everything)
    assert len(everything) == len(set(everything)) > 50
