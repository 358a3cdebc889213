"""The real clock and randomness, and a process that leaks no memory."""

from __future__ import annotations

import ctypes
import gc
import io
import os
import resource
import secrets
import sys
import time
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_GC_THRESHOLD: Final = 20_000
_SWITCH_SECONDS: Final = 0.00005
_NO_SECRET: Final = 10
"""Bytes of an id. Every nonce, key, secret and salt is longer."""
_PAGE: Final = 4_096


class SystemClock:
    """The machine's wall clock; it implements ``Clock``."""

    def now(self) -> int:
        """Milliseconds since 1970 in UTC."""
        return time.time_ns() // 1_000_000


class SystemEntropy:
    """The operating system's randomness; it implements ``Entropy``.

    Ids come out of a page that was asked for at once: under load each asking takes longer than the making of an id. No
    byte is given twice, whichever thread asks, and a forked process begins anew. A key or a nonce, which may not even be
    the same in two copies of one machine's memory, is asked for by itself.
    """

    def __init__(self) -> None:
        self._page = io.BytesIO()
        os.register_at_fork(after_in_child=self._forget)

    def bytes(self, count: int) -> bytes:
        """That many unpredictable bytes."""
        if count > _NO_SECRET:
            return os.urandom(count)
        taken = self._page.read(count)  # one step for the interpreter: two threads never read the same
        if len(taken) < count:
            page = io.BytesIO(os.urandom(_PAGE))
            taken = page.read(count)
            self._page = page
        return taken

    def below(self, limit: int) -> int:
        """An unbiased integer from 0 to limit - 1."""
        return secrets.randbelow(limit)

    def _forget(self) -> None:
        self._page = io.BytesIO()


def settle() -> None:
    """Spare a running server's memory from being searched for cycles again and again, and its threads from waiting.

    What was made by now lives as long as the process. Requests make hardly any cycles, so the collector may look less
    often: it took 6 to 17 % of a small call's processor time. The store's thread needs the interpreter for some
    microseconds; asking for it costs the event loop more than giving it.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 20)


def harden() -> None:
    """Make every file of this process private, write no core dump, and let no other process of the same user attach."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
