"""Keys that a hand must type one after the other before an approval can be given."""

from __future__ import annotations

from typing import Final

HAND_SECONDS: Final = 0.01
"""No hand types two keys in less; a paste into a terminal that does not mark pastes does."""
CONSENT: Final = "yes"
"""What is typed where an application asks for no number."""


class Typed:
    """The keys typed so far: ``digits`` digits, or the word ``yes`` where no number is asked.

    Anything else in between starts from nothing, so that no run of stray keys comes to an approval.
    """

    def __init__(self, digits: int) -> None:
        self.length: Final = digits or len(CONSENT)
        self.text = ""
        self.too_fast = False
        self._digits = digits
        self._last = float("-inf")

    @property
    def complete(self) -> bool:
        """Whether all keys are there."""
        return len(self.text) == self.length

    @property
    def number(self) -> str | None:
        """The digits, if a number is asked."""
        return self.text if self._digits else None

    def hasty(self, at: float) -> bool:
        """Whether a key at that moment (seconds of a clock that only goes forward) follows faster than a hand types.

        Then all begins anew. Each key is told here first.
        """
        gap, self._last = at - self._last, at
        self.too_fast = gap < HAND_SECONDS
        if self.too_fast:
            self.text = ""
        return self.too_fast

    def key(self, character: str) -> None:
        """A character was typed."""
        if self.complete or not self._wanted(character):
            self.text = ""
        else:
            self.text += character.lower()

    def back(self) -> None:
        """The last character was a mistake."""
        self.text = self.text[:-1]

    def refuse(self) -> None:
        """Something came that no hand typed."""
        self.text, self.too_fast = "", True

    def clear(self) -> None:
        """Begin anew."""
        self.text = ""

    def _wanted(self, character: str) -> bool:
        if self._digits:
            return character.isascii() and character.isdigit()
        return character.lower() == CONSENT[len(self.text)]
