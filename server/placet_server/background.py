"""Work that comes round again and again while the server runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from placet_server.crypto.checkpoint import write_checkpoint
from placet_server.ports import Clock, Sql, Store, StoreUnavailableError
from placet_server.web.logging import event

RESTART_SECONDS: Final = 1.0
CHECKPOINT_LEAVES: Final = 1_000
CHECKPOINT_LOOKS: Final = 60
_LAST: Final = Sql("audit_last", "SELECT max(seq) FROM audit")


class Periodic:
    """Does each ``work`` every so many seconds, first at once, with the time as its argument (ms UTC).

    What fails is logged, and done again in the next round. With ``last`` it is done once more at the end.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        seconds: float,
        *work: Callable[[int], Awaitable[object]],
        last: bool = False,
    ) -> None:
        self._name = name
        self._clock = clock
        self._seconds = seconds
        self._work = work
        self._last = last
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; needs a running loop."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End between two rounds, or inside one that waits."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            if self._last:
                await self._round()

    async def _run(self) -> None:
        while True:
            await self._round()
            await asyncio.sleep(self._seconds)

    async def _round(self) -> None:
        for work in self._work:
            await self._do(work)

    async def _do(self, work: Callable[[int], Awaitable[object]]) -> None:
        try:
            await work(self._clock.now())
        except StoreUnavailableError as error:
            event("background_store_unavailable", level=logging.ERROR, reason=error.reason, task=self._name)
        except Exception as error:  # noqa: BLE001 - one bad round must not end the work
            event("background_failed", level=logging.ERROR, error=error, task=self._name)


class Lasting:
    """Something that runs until it is told to stop; should it fail before, that is logged and it is begun again."""

    def __init__(
        self,
        name: str,
        run: Callable[[], Awaitable[None]],
        stop: Callable[[], None],
        *,
        pause: float = RESTART_SECONDS,
    ) -> None:
        self._name = name
        self._run = run
        self._stop = stop
        self._pause = pause
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; needs a running loop."""
        self._task = asyncio.create_task(self._keep_running(), name=self._name)

    async def stop(self) -> None:
        """Tell it, and wait until it has ended."""
        self._stopping.set()
        if self._task is not None:
            self._stop()
            await self._task

    async def _keep_running(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._run()
            except Exception as error:  # noqa: BLE001 - a defect in one delivery must not end all of them
                event("background_failed", level=logging.ERROR, error=error, task=self._name)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause):
                        await self._stopping.wait()


class Checkpoints:
    """Appends checkpoints of the audit log to a file: after so many leaves, or so many looks with any news."""

    def __init__(
        self,
        store: Store,
        origin: str,
        key: Ed25519PrivateKey,
        path: Path,
        *,
        leaves: int = CHECKPOINT_LEAVES,
        looks: int = CHECKPOINT_LOOKS,
    ) -> None:
        self._store = store
        self._origin = origin
        self._key = key
        self._path = path
        self._leaves = leaves
        self._looks = looks
        self._written = -1
        self._looked = looks  # the first look writes what an earlier process left unsaid

    async def look(self, _now: int) -> None:
        """See whether one is due; to be called once a second."""
        self._looked += 1
        row = await self._store.row(_LAST)
        last = row[0] if row and row[0] is not None else -1
        if last - self._written >= self._leaves or (self._looked >= self._looks and last != self._written):
            await write_checkpoint(self._store, self._origin, self._key, self._path)
            self._written = last
            self._looked = 0
