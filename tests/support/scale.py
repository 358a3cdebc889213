"""How often a test repeats what only chance or a race can break."""

from __future__ import annotations

import os
from typing import Final

FULL: Final = "PLACET_TEST_FULL"
"""Set to 1, every repetition is made; ``python3 dev.py faults`` does that."""
_SHARE: Final = 20


def scaled(full: int) -> int:
    """The repetitions to make now: a twentieth of ``full``, at least one, and all of them with ``PLACET_TEST_FULL=1``."""
    return full if os.environ.get(FULL) == "1" else max(1, full // _SHARE)
