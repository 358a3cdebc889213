"""Ways to break what Placet promises, each with the tests that must notice.

A test that cannot fail proves nothing. So each promise of safety has an entry in ``sabotage.toml`` that breaks it in the
source, as a careless change would; a promise whose entry turns no test red is a promise that nobody checks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct


class Sabotage(Struct, frozen=True, forbid_unknown_fields=True):
    """One way to break a promise.

    ``edits`` are pairs of a text, which stands exactly once in ``file``, and its replacement; ``tests`` is what pytest
    is to select below ``tests/``; ``program`` is one of the system that these tests drive.
    """

    name: str
    file: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]
    program: str | None = None

    def applied(self, text: str) -> str:
        """The source with all edits made; raises ``ValueError`` naming the text that is not there exactly once."""
        for old, new in self.edits:
            if (found := text.count(old)) != 1:
                raise ValueError(f"{self.name}: {self.file} holds this {found} times instead of once: {old}")
            text = text.replace(old, new)
        return text


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    sabotage: tuple[Sabotage, ...]


_FILE: Final = Path(__file__).with_name("sabotage.toml")
TABLE: Final = msgspec.toml.decode(_FILE.read_bytes(), type=_Table).sabotage
