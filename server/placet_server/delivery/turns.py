"""When a deliverer is at work: at once when it hears of something, and when something in its table is due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sized
from typing import Final

from placet_server.ports import Clock

log: Final = logging.getLogger("placet")

_TROUBLE: Final = 1.0
_BUSY: Final = 1.0
_LEAST: Final = 0.01


class Turns:
    """The turns of a deliverer, one after the other.

    Each turn gives ``take`` the ids that were heard since the last one, often none. When it is time for the table,
    ``look`` takes what is due and answers when the next row is, in ms UTC, None when none is left. ``busy`` is what is
    under way. ``idle`` (seconds) bounds how long a lost wake-up can matter; each turn waits for ``before``. What fails
    is logged as ``trouble``, and the table looked into a second later: it has all the rows.
    """

    def __init__(
        self,
        clock: Clock,
        take: Callable[[list[str]], Awaitable[None]],
        look: Callable[[], Awaitable[int | None]],
        busy: Sized,
        *,
        trouble: str,
        idle: float = 30.0,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._clock: Final = clock
        self._take: Final = take
        self._look: Final = look
        self._busy: Final = busy
        self._idle: Final = idle
        self._trouble: Final = trouble
        self._before: Final = before or _at_once
        self._wake = asyncio.Event()
        self._heard: list[str] = []
        self._look_at = 0.0  # by the loop's clock
        self.stopping = False

    async def run(self) -> None:
        """Take turns until ``stop``; the first one looks into the table."""
        self._look_at = 0.0
        while not self.stopping:
            await self._turn()

    def stop(self) -> None:
        """Let ``run`` return after this turn."""
        self.stopping = True
        self._wake.set()

    def hear(self, row_id: str) -> None:
        """Have this row taken now."""
        self._heard.append(row_id)
        self._wake.set()

    def wake(self) -> None:
        """Take a turn now; into the table only when it is time for that."""
        self._wake.set()

    def look_in(self, seconds: float) -> None:
        """Look into the table after so many seconds at the latest."""
        self._look_at = min(self._look_at, asyncio.get_running_loop().time() + seconds)
        self._wake.set()

    async def _turn(self) -> None:
        self._wake.clear()
        loop = asyncio.get_running_loop()
        try:
            await self._before()
            heard, self._heard = self._heard, []
            await self._take(heard)
            if loop.time() >= self._look_at:
                self._look_at = loop.time() + self._idle
                due_at = await self._look()
                if due_at is not None:
                    # What is under way may still be due: a second, not a busy loop.
                    least = _BUSY if self._busy else _LEAST
                    self.look_in(max((due_at - self._clock.now()) / 1000, least))
        except Exception:  # the rows are in the table; going on is all that helps
            log.exception(self._trouble)
            self._look_at = loop.time() + _TROUBLE
            await asyncio.sleep(min(_TROUBLE, self._idle))
        try:
            async with asyncio.timeout_at(self._look_at):
                await self._wake.wait()
        except TimeoutError:
            return


async def _at_once() -> None:
    """Wait for nothing."""


async def ended(tasks: Collection[asyncio.Task[None]], grace: float) -> None:
    """Wait until what is under way has ended; after ``grace`` seconds it is cancelled."""
    if tasks:
        await asyncio.wait(tasks, timeout=grace)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
