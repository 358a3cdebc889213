"""Many keys in one constant statement, so that the engine's statement cache serves it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

SIZE: Final = 16
PLACES: Final = "(" + ", ".join("?" * SIZE) + ")"
"""What stands behind ``IN`` for one chunk."""


def chunks(keys: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The keys in tuples of exactly 16; the last one is filled up by repeating its first key."""
    for start in range(0, len(keys), SIZE):
        chunk = tuple(keys[start : start + SIZE])
        yield chunk + chunk[:1] * (SIZE - len(chunk))
