"""How many people one credential may look up, so that a stolen key does not list a company's telephone numbers in a night."""

from __future__ import annotations

from collections import deque
from typing import Final

from placet_server.domain import outbox
from placet_server.domain.audit import leaf
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller
from placet_server.ports import Bus, Entropy, Sealer, Store, plan

WINDOW_MS: Final = 60_000
_KEYS_MAX: Final = 10_000


class Lookups:
    """Look-ups of people by id, phone or e-mail in the last minute, by credential; kept in memory."""

    def __init__(self, store: Store, sealer: Sealer, entropy: Entropy, bus: Bus) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._bus = bus
        self._taken: dict[str, deque[int]] = {}
        self._told: dict[str, int] = {}

    async def take(self, caller: Caller, now: int) -> None:
        """Count one look-up; raises ``rate_limited`` beyond the policy, whatever there is to be found.

        The application is told at most once a minute.
        """
        limit = caller.application.policies.limits_lookups_per_minute
        if not limit:
            return
        taken = self._taken.pop(caller.credential, None) or deque()
        self._taken[caller.credential] = taken  # the longest unused is forgotten first
        if len(self._taken) > _KEYS_MAX:
            del self._taken[next(iter(self._taken))]
        # A clock that was set back must not lock anybody out.
        while taken and not 0 <= now - taken[0] < WINDOW_MS:
            taken.popleft()
        if len(taken) < limit:
            taken.append(now)
            return
        wait = -(-(taken[0] + WINDOW_MS - now) // 1000)
        await self._tell(caller, limit, now)
        raise RefusedError("rate_limited", "Too many people were looked up with this key.", retry_after=wait)

    def undo(self, caller: Caller) -> None:
        """Give back what was taken: nobody was found, a new person was added."""
        if taken := self._taken.get(caller.credential):
            taken.pop()

    async def _tell(self, caller: Caller, limit: int, now: int) -> None:
        if 0 <= now - self._told.get(caller.credential, -WINDOW_MS) < WINDOW_MS:
            return
        if len(self._told) > _KEYS_MAX:
            self._told.clear()
        self._told[caller.credential] = now
        data = {"credential": caller.credential, "limit": limit}
        told = plan(
            *outbox.event(
                self._sealer,
                self._entropy,
                caller.application,
                "users.lookups_refused",
                caller.application.id,
                data,
                now,
            ),
            guards=0,
            leaf=leaf(
                now, "users.lookups_refused", caller.org, caller.application.id, credential=caller.credential
            ),
        )
        await self._store.write(told)
        outbox.announce(self._bus, told)
