"""What a person may be shown: the same rule before a text is signed and before it is drawn.

Allowed are letters, marks, numbers, punctuation, symbols and the plain space, in Unicode's NFC; a line feed where the
caller says so. Control, bidi and other format characters, private use, unassigned code points, lone surrogates, line
and paragraph separators and letters that show nothing are forbidden. Zero-width joiner and non-joiner may stand between
letters or emoji, as Indic scripts, Persian and emoji families need. Other kinds of space become the plain one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from placet_protocol.errors import TextError

_MARKS_MAX: Final = 8  # more of them on one letter draw over the lines around it
_JOINERS: Final = frozenset("\u200c\u200d")
_BLANKS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U0001d159")
_SELECTORS: Final = frozenset(
    chr(code) for code in (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
)
# Latin letters, usual punctuation and currency signs: most texts, in NFC already and with nothing to judge.
_PLAIN: Final = re.compile("[ -~\u00a1-\u00ac\u00ae-\u02ff\u2010-\u2027\u20a0-\u20bf]*")
_PLAIN_LINES: Final = re.compile(_PLAIN.pattern.replace("[", "[\n"))
_FORBIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(text: str, *, newline: bool = False) -> str:
    """The text as it is signed and shown; raises ``TextError`` naming the first forbidden character and its place.

    Places count characters of the NFC form from 1. ``newline`` allows line feeds.
    """
    if (_PLAIN_LINES if newline else _PLAIN).fullmatch(text):
        return text
    judged = list(_judged(text, newline))
    for place, (char, allowed) in enumerate(judged, 1):
        if not allowed:
            raise TextError(_name(char), place)
    return "".join(char for char, _ in judged)


def visible(text: str, *, newline: bool = False) -> str:
    """The text with every forbidden character spelled out; never fails, and ``clean`` accepts it.

    A forbidden character becomes its code point between single angle quotation marks.
    """
    if (_PLAIN_LINES if newline else _PLAIN).fullmatch(text):
        return text
    return "".join(
        char if allowed else f"\u2039{_name(char)}\u203a" for char, allowed in _judged(text, newline)
    )


def _judged(text: str, newline: bool) -> Iterator[tuple[str, bool]]:  # noqa: FBT001 - passed through from the keyword above
    """Each character as it would be shown, and whether it may be."""
    normal = unicodedata.normalize("NFC", text)
    marks = 0
    for index, char in enumerate(normal):
        category = unicodedata.category(char)
        before = normal[index - 1] if index else "\n"
        if category == "Zs":
            char = " "  # noqa: PLW2901 - shown in place of its kin
        marks = marks + 1 if category[0] == "M" else 0
        if char == "\n":
            allowed = newline
        elif char in _JOINERS:
            allowed = _joinable(before, after=False) and _joinable(normal[index + 1 : index + 2], after=True)
        elif char in _SELECTORS:
            allowed = _selectable(before)
        elif category[0] == "M":
            allowed = char not in _BLANKS and before != "\n" and marks <= _MARKS_MAX
        else:
            allowed = char not in _BLANKS and category not in _FORBIDDEN
        yield char, allowed


def _joinable(char: str, *, after: bool) -> bool:
    """Whether a joiner may stand beside it: a letter or emoji; before the joiner also what modifies one."""
    if not char or char in _BLANKS:
        return False
    category = unicodedata.category(char)
    if (
        category[0] == "L" or category == "So" or char == "\u2194"
    ):  # the arrow of 'shaking head' is a mathematical sign
        return True
    return not after and (category[0] == "M" or "\U0001f3fb" <= char <= "\U0001f3ff")


def _selectable(char: str) -> bool:
    """Whether a variation selector may follow: one selector on a character that shows something."""
    return unicodedata.category(char)[0] in "LNPS" and char not in _BLANKS


def _name(char: str) -> str:
    return f"U+{ord(char):04X}"
