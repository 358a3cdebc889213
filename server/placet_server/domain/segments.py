"""How many parts a text message has: 3GPP TS 23.038 §6.2.1 (the GSM 7-bit alphabet) and UCS-2."""

from __future__ import annotations

import unicodedata
from typing import Final

ONE_GSM: Final = 160
ONE_UCS2: Final = 70
_EACH_GSM: Final = 153  # of several parts each gives up seven septets to say where it belongs
_EACH_UCS2: Final = 67
_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")  # behind an escape: two septets each
_ALL: Final = _BASIC | _EXTENDED
# What Unicode takes apart into nothing plainer, as people write it where they have no such key: letters, quotes, dashes.
_PLAINER: Final = str.maketrans(
    "ŁłĐđĦħŦŧÐðı\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2010\u2011\u2013\u2014",
    'LlDdHhTtDdi\'\'\'"""""----',
) | {ord(letter): pair for letter, pair in (("Œ", "OE"), ("œ", "oe"), ("Þ", "Th"), ("þ", "th"), ("ẞ", "SS"))}


def is_gsm(text: str) -> bool:
    """Whether every character is of the 7-bit alphabet."""
    return _ALL.issuperset(text)


def size(text: str) -> tuple[int, int]:
    """Units that a text takes, and how many of them one part holds alone: septets, or UTF-16 code units."""
    if _BASIC.issuperset(text):
        return len(text), ONE_GSM
    if is_gsm(text):
        return len(text) + sum(map(text.count, _EXTENDED)), ONE_GSM
    return len(text.encode("utf-16-le", "replace")) // 2, ONE_UCS2


def parts(text: str) -> int:
    """How many parts carry a text; an empty one takes one, too."""
    units, one = size(text)
    if units <= one:
        return 1
    return -(-units // (_EACH_GSM if one == ONE_GSM else _EACH_UCS2))


def folded(text: str) -> str:
    """The text in the 7-bit alphabet: other letters lose their marks, what has no such form is left out."""
    if is_gsm(text):
        return text
    return "".join(
        char if char in _ALL else "".join(c for c in unicodedata.normalize("NFKD", char) if c in _ALL)
        for char in text.translate(_PLAINER)
    )
