"""How often somebody may try: wrong codes in a row, kept in the store, and calls per second, kept in memory."""

from __future__ import annotations

from typing import Final, NamedTuple

from placet_server.domain.policies import Policies
from placet_server.domain.refusals import RefusedError
from placet_server.ports import Sql, Step, Store, step

FIRST_DELAY_MS: Final = 30_000
LAST_DELAY_MS: Final = 3_600_000

_FIRST_FAILURE: Final = Sql(
    "throttle_first_failure",
    "INSERT INTO throttles (subject, failures, blocked_until, updated_at) VALUES (?, 1, ?, ?) ON CONFLICT DO NOTHING",
)
_FAILURE: Final = Sql(
    "throttle_failure",
    "UPDATE throttles SET failures = failures + 1, blocked_until = ?, updated_at = ?"
    " WHERE subject = ? AND failures = ?",
)
_READ: Final = Sql("throttle_read", "SELECT failures, blocked_until FROM throttles WHERE subject = ?")
_RESET: Final = Sql("throttle_reset", "DELETE FROM throttles WHERE subject = ?")
JOIN: Final = "LEFT JOIN throttles h ON h.subject = ?"
COLUMNS: Final = "h.failures, h.blocked_until"


class Strain(NamedTuple):
    """Failures in a row of one subject as they were read, and until when (ms UTC) further tries are refused."""

    failures: int
    blocked_until: int

    @classmethod
    def of(cls, failures: int | None, blocked_until: int | None) -> Strain:
        """What ``COLUMNS`` say; no row is no failure."""
        return cls(failures or 0, blocked_until or 0)

    def wait(self, policies: Policies, now: int) -> int | None:
        """Milliseconds until the next try, 0 when it may be now, None when the subject is locked for good."""
        if self.failures >= policies.limits_failures_max:
            return None
        return max(0, self.blocked_until - now)

    def failure(self, subject: bytes, policies: Policies, now: int) -> Step:
        """The guard that counts one more failure, and takes no row when something was counted since the reading."""
        until = now + delay(self.failures + 1, policies.limits_failures_delay)
        if self.failures == 0:
            return step(_FIRST_FAILURE, subject, until, now)
        return step(_FAILURE, until, now, subject, self.failures)

    def success(self, subject: bytes) -> tuple[Step, ...]:
        """The steps that forget all failures."""
        return (reset(subject),) if self.failures else ()


async def seconds_left(store: Store, subject: bytes, policies: Policies, now: int) -> int:
    """Whole seconds until another try is compared, at least 1; an hour while the subject is locked for good."""
    wait = Strain.of(*(await store.row(_READ, (subject,)) or (None, None))).wait(policies, now)
    return max(1, -(-(LAST_DELAY_MS if wait is None else wait) // 1000))


def reset(subject: bytes) -> Step:
    """The step that forgets all failures of a subject."""
    return step(_RESET, subject)


def delay(failures: int, free: int) -> int:
    """Milliseconds to wait after so many failures in a row: none below ``free``, then 30 s doubling up to an hour."""
    if failures < free:
        return 0
    return min(FIRST_DELAY_MS << min(failures - free, 16), LAST_DELAY_MS)


class RateLimit:
    """Calls of each key in a span of ``seconds``, in bursts of two spans' worth (GCRA, ITU-T I.371).

    One number a key; when ``keys`` are known the longest unused one is forgotten, so memory is bounded.
    """

    def __init__(self, keys: int = 100_000, *, seconds: int = 1) -> None:
        self._keys = keys
        self._span = 1000.0 * seconds
        self._free_at: dict[str, float] = {}

    def take(self, key: str, per_span: int, now: int, what: str = "calls with this key") -> None:
        """Count one call; raises ``rate_limited`` with the seconds to wait when there were too many of ``what``."""
        gap, burst = self._span / per_span, 2 * self._span
        # A clock that was set back must not lock anybody out for longer than a burst.
        free_at = min(max(self._free_at.pop(key, 0.0), now), now + burst)
        ahead = free_at + gap - now
        if ahead > burst:
            self._free_at[key] = free_at
            wait = max(1, -(-int(ahead - burst) // 1000))
            raise RefusedError("rate_limited", f"Too many {what}.", retry_after=wait)
        self._free_at[key] = free_at + gap
        if len(self._free_at) > self._keys:
            del self._free_at[next(iter(self._free_at))]
