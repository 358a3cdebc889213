"""Slows down who guesses the passwords and short keys of customers, without locking the customer out.

Failures count per pair of name and source, so a stranger elsewhere strains nothing but their own tries; a second count
per source slows down who tries one password on many names. Both are in memory: a restart forgives.
"""

from __future__ import annotations

from typing import Final

from placet_server.domain.limits import delay
from placet_server.domain.networks import source

FREE: Final = 5
"""Failures of one source on one name before it waits: 30 s, doubling up to an hour."""
FREE_OF_SOURCE: Final = 50
"""Failures of one source on any names before it waits."""
_FORGOTTEN_MS: Final = 3_600_000
_KEPT_MAX: Final = 50_000

_Key = tuple[bytes, str]


class Guesses:
    """Failures in a row of who presents guessable secrets."""

    def __init__(self) -> None:
        self._failures: dict[_Key, tuple[int, int]] = {}  # how many, and when the last one was

    def wait(self, name: bytes, ip: str, now: int) -> int:
        """Milliseconds until this source may try this name again; 0: now."""
        where = source(ip)
        return max(self._left((name, where), FREE, now), self._left((b"", where), FREE_OF_SOURCE, now))

    def failed(self, name: bytes, ip: str, now: int) -> None:
        """One more failure; count it before the comparison, so that tries at the same time count, too."""
        where = source(ip)
        for key in ((name, where), (b"", where)):
            count, at = self._failures.pop(key, (0, now))
            self._failures[key] = (count + 1 if now - at < 2 * _FORGOTTEN_MS else 1, now)
        while len(self._failures) > _KEPT_MAX:
            del self._failures[next(iter(self._failures))]

    def succeeded(self, name: bytes, ip: str) -> None:
        """The try that was just counted had the right secret: this source knows it, and starts anew with this name."""
        self.undone(name, ip)
        self._failures.pop((name, source(ip)), None)

    def undone(self, name: bytes, ip: str) -> None:
        """The try that was just counted was not compared."""
        where = source(ip)
        for key in ((name, where), (b"", where)):
            count, at = self._failures.get(key, (0, 0))
            if count:
                self._failures[key] = (count - 1, at)

    def _left(self, key: _Key, free: int, now: int) -> int:
        count, at = self._failures.get(key, (0, 0))
        return max(0, at + delay(count, free) - now) if count >= free else 0
