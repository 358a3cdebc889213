"""Empties the outbox: at once what was just committed, later what failed or was left by an earlier process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol
from urllib.parse import urlsplit

from placet_server.delivery.turns import Turns, ended
from placet_server.delivery.webhooks import SCHEDULE, Attempt, WebhookSender, retry_at
from placet_server.domain.applications import Applications
from placet_server.domain.outbox import Exchange, Item, Outbox, WebhookBody
from placet_server.domain.refusals import RefusedError
from placet_server.ports import Bus, Clock, Entropy, StoreUnavailableError

log: Final = logging.getLogger("placet")

PER_HOST: Final = 4
AT_ONCE: Final = 512
QUEUE: Final = 1_000
_PAGE: Final = 100
_CROWDED_MS: Final = 60_000
_NEXT_PAGE: Final = 0.02


class Pushes(Protocol):
    """Who takes the rows that wake devices."""

    async def needed(self, items: Sequence[Item]) -> set[str]:
        """The ids of those rows for which anybody has to be reached from here."""
        ...

    async def push(self, item: Item, now: int) -> int | None:
        """Reach the devices that one row names; when to try again in ms UTC, or None when it is done."""
        ...

    async def close(self) -> None:
        """Finish what goes out without a row."""
        ...


class Callbacks(Protocol):
    """Who says what the callers of a face are told."""

    async def exchange(self, item: Item, now: int) -> Exchange | None:
        """The exchange of one row at ``now`` (ms UTC), or None when nobody is to be told any more."""
        ...


class Dispatcher:
    """Delivers the rows of the outbox.

    Rows arrive from the bus the moment they are committed; the table serves retries and restarts. Webhooks of one
    subject to one endpoint go in order; one host gets ``per_host`` exchanges at a time, so that a receiver that hangs
    holds up nobody else. ``schedule`` is in seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        applications: Applications,
        sender: WebhookSender,
        pushes: Pushes,
        bus: Bus,
        clock: Clock,
        entropy: Entropy,
        *,
        callbacks: Callbacks | None = None,
        schedule: tuple[float, ...] = SCHEDULE,
        per_host: int = PER_HOST,
        grace: float = 5.0,
    ) -> None:
        self._outbox: Final = outbox
        self._applications: Final = applications
        self._sender: Final = sender
        self._pushes: Final = pushes
        self._bus: Final = bus
        self._clock: Final = clock
        self._entropy: Final = entropy
        self._callbacks: Final = callbacks
        self._schedule: Final = schedule
        self._per_host: Final = per_host
        self._grace: Final = grace
        self._all = asyncio.Semaphore(AT_ONCE)
        self._lanes: dict[str, _Lane] = {}
        self._busy: Final[set[str]] = set()
        self._lines: set[tuple[str, str]] = set()
        self._delivered: list[Item] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: Final = Turns(
            clock, self._take_heard, self._take_due, self._busy, trouble="outbox not read"
        )

    async def run(self) -> None:
        """Deliver until ``stop``; what is then under way gets ``grace`` seconds, the rest stays in the table."""
        end = self._bus.listen("outbox", self._turns.hear)
        try:
            await self._turns.run()
        finally:
            end()
            await ended(tuple(self._tasks), self._grace)
            await self._pushes.close()
            try:
                await self._settle()
            except StoreUnavailableError:
                log.warning("outbox not settled")

    def stop(self) -> None:
        """Let ``run`` return."""
        self._turns.stop()

    def wake(self) -> None:
        """Look into the table now."""
        self._turns.look_in(0)

    async def _take_heard(self, item_ids: list[str]) -> None:
        await self._settle()
        if item_ids:
            await self._take(await self._outbox.several(item_ids))

    async def _take_due(self) -> int | None:
        limit = len(self._busy) + _PAGE
        due = await self._outbox.due(self._clock.now(), limit)
        await self._take(due)
        if len(due) == limit:
            self._turns.look_in(_NEXT_PAGE)  # by then many are through, and need not be read over again
        return await self._outbox.next_due()

    async def _take(self, items: Sequence[Item]) -> None:
        waking = [item for item in items if item.kind == "push"]
        needed = await self._pushes.needed(waking) if waking else set()
        for item in items:
            if item.id in self._busy:
                continue
            if item.body is not None:
                await self._take_webhook(item, item.body)
            elif item.kind == "callback" and self._callbacks is not None:
                self._start(item, partial(self._call_back, item, self._callbacks))
            elif item.id in needed:
                self._start(item, partial(self._push, item))
            else:
                if item.kind == "webhook":
                    log.error("outbox row damaged", extra={"placet_facts": {"event": item.id}})
                self._busy.add(item.id)
                self._done(item)

    async def _take_webhook(self, item: Item, body: WebhookBody) -> None:
        line = (item.subject, item.target)
        if line in self._lines:
            return  # comes up when the one before it is through
        head = await self._outbox.head(item)
        if head is not None and head.id != item.id:
            await self._outbox.postpone(item, max(head.due_at, self._clock.now() + 1_000))
            return
        if lane := await self._lane(item, body.url):
            self._lines.add(line)
            self._start(item, partial(self._deliver, item, lane, partial(self._attempt, item, body)))

    async def _lane(self, item: Item, url: str) -> _Lane | None:
        """A place in the queue of a URL's host, or None when it is crowded, and the item waits in the table."""
        host = urlsplit(url).netloc
        lane = self._lanes.setdefault(host, _Lane(host, self._per_host))
        if lane.waiting >= QUEUE:
            await self._outbox.postpone(item, self._clock.now() + _CROWDED_MS)
            return None
        lane.waiting += 1
        return lane

    def _start(self, item: Item, work: Callable[[], Awaitable[None]]) -> None:
        self._busy.add(item.id)
        task = asyncio.create_task(self._guarded(item, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, item: Item, work: Callable[[], Awaitable[None]]) -> None:
        """One row's work; whatever goes wrong in it, others go on."""
        try:
            try:
                await work()
            except StoreUnavailableError:
                raise
            except Exception:  # a defect; tried again like any failure, in the end given up
                log.exception("delivery failed")
                await self._later(
                    item, retry_at(item.attempts + 1, self._clock.now(), self._schedule, self._entropy)
                )
        except StoreUnavailableError:
            log.warning("delivery not noted")
            self._free(item)

    async def _push(self, item: Item) -> None:
        due_at = await self._pushes.push(item, self._clock.now())
        if due_at is None:
            self._done(item)
        else:
            await self._later(item, due_at)

    async def _call_back(self, item: Item, callbacks: Callbacks) -> None:
        now = self._clock.now()
        said = await callbacks.exchange(item, now)
        if said is None:
            self._done(item)
        elif lane := await self._lane(item, said.url):
            await self._deliver(item, lane, partial(self._sender.exchange, said, now))
        else:
            self._free(item)

    async def _deliver(
        self, item: Item, lane: _Lane, attempted: Callable[[], Awaitable[Attempt | None]]
    ) -> None:
        try:
            async with lane.slots, self._all:
                attempt = await attempted()
        finally:
            lane.waiting -= 1
            if not lane.waiting:
                self._lanes.pop(lane.host, None)
        if attempt is None or attempt.outcome == "delivered":
            self._done(item)
            return
        now = self._clock.now()
        facts = {"kind": item.kind, "event": item.id, "attempt": item.attempts + 1, "status": attempt.status}
        if attempt.outcome == "gone" and item.kind == "webhook" and item.target:
            await self._applications.disable_webhook(item.target, now)
            log.warning("webhook disabled", extra={"placet_facts": facts})
        due_at = None if attempt.outcome == "gone" else self._next(item, attempt, now)
        log.info("attempt failed" if due_at else "given up", extra={"placet_facts": facts})
        await self._later(item, due_at)

    async def _attempt(self, item: Item, body: WebhookBody) -> Attempt | None:
        """One attempt with the current secret of the endpoint, or None when the endpoint is no more.

        What goes to a callback URL is signed with the application's own secret. Nothing leaves unsigned: while a secret
        is damaged the row waits, as for an endpoint that does not answer, until the operator has made another one.
        """
        try:
            application = await self._applications.by_id(body.application)
        except RefusedError:
            return None
        secrets = {"": application.secret} | {hook.id: hook.secret for hook in application.webhooks}
        if item.target not in secrets:
            return None
        secret = secrets[item.target]
        if secret is None:
            log.error("webhook secret damaged", extra={"placet_facts": {"event": item.id}})
            return Attempt("failed", 0, "the secret that is to sign does not open")
        return await self._sender.send(body, secret, self._clock.now())

    def _next(self, item: Item, attempt: Attempt, now: int) -> int | None:
        due_at = retry_at(item.attempts + 1, now, self._schedule, self._entropy)
        if due_at is not None and attempt.retry_after is not None:
            due_at = max(due_at, now + attempt.retry_after)
        return due_at

    async def _later(self, item: Item, due_at: int | None) -> None:
        """Count the attempt and wait until ``due_at`` (ms UTC); None ends the row."""
        if due_at is None:
            self._done(item)
            return
        await self._outbox.claim(item, due_at)
        self._turns.look_in(max(0.0, (due_at - self._clock.now()) / 1000))
        self._free(item)

    def _done(self, item: Item) -> None:
        self._delivered.append(item)
        self._turns.wake()

    def _free(self, item: Item) -> None:
        """The row waits in the table again."""
        self._busy.discard(item.id)
        self._lines.discard((item.subject, item.target))
        self._turns.wake()

    async def _settle(self) -> None:
        """Delete what was delivered, all in one plan, and go on with what waited behind it."""
        settled = tuple(self._delivered)
        if not settled:
            return
        await self._outbox.done(*(item.id for item in settled))
        self._delivered = self._delivered[len(settled) :]
        for item in settled:
            self._busy.discard(item.id)
            if item.kind == "webhook":
                self._lines.discard((item.subject, item.target))
                if not self._turns.stopping and (follower := await self._outbox.head(item)):
                    await self._take([follower])


class _Lane:
    """The exchanges with one host."""

    def __init__(self, host: str, per_host: int) -> None:
        self.host = host
        self.slots = asyncio.Semaphore(per_host)
        self.waiting = 0
