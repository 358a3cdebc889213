"""The line to one server: an async iterator of events that mends itself.

The socket is preferred. Where sockets do not pass, long polls carry the same items, and the socket is tried again now
and then. An item is acknowledged when the consumer comes back for the next event: only then is it safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple, Self

import aiohttp
from msgspec import Struct

from placet_authenticator.calls import GONE, Calls
from placet_authenticator.conversing import Say, converse
from placet_authenticator.errors import ServerRefusedError, UnreachableError
from placet_authenticator.inbox import Connected, Distrusted, Event, Lost, Removed
from placet_authenticator.items import Mailbox
from placet_authenticator.polling import Polled, acknowledge, poll
from placet_authenticator.records import Enrollment
from placet_protocol import frames
from placet_protocol.errors import OutOfTurnError

Acknowledge = Callable[[], Awaitable[bool]]


class Pace(Struct, frozen=True):
    """How patient a link is; all in seconds.

    After a failure it waits ``first``, doubled with each further one up to ``longest``, times a random 0.5 to 1.5. A
    connection that held for ``stable`` forgets earlier failures. ``socket_again`` is how long polling goes on before
    the socket is tried once more, and how often a device that nobody confirmed yet asks again is ``pending``.
    """

    first: float = 0.5
    longest: float = 60.0
    stable: float = 10.0
    poll_wait: int = 30
    socket_again: float = 120.0
    pending: float = 5.0
    heartbeat: float = 45.0


class _Delivery(NamedTuple):
    event: Event
    acknowledge: Acknowledge | None


class Link:
    """Events of one server for all enrolments there.

    ``async with link: async for event in link: …`` runs until every enrolment is gone or the block is left. ``fetch``
    and ``seen`` need no running link. ``jitter`` gives a random float from 0 to 1.
    """

    def __init__(
        self,
        calls: Calls,
        enrollments: Sequence[Enrollment],
        *,
        clock: Callable[[], int],
        jitter: Callable[[], float] = random.random,
        pace: Pace | None = None,
    ) -> None:
        self.origin: Final = calls.origin
        self._calls = calls
        self._boxes = {each.id: Mailbox(each) for each in enrollments}
        self._clock = clock
        self._jitter = jitter
        self._pace = pace or Pace()
        self._queue: asyncio.Queue[_Delivery | None] = asyncio.Queue()
        self._refused: set[tuple[str, str]] = set()  # reported once, though the server goes on repeating them
        self._last: _Delivery | None = None
        self._worker: asyncio.Task[None] | None = None
        self._say: Say | None = None
        self._welcome: frozenset[str] = frozenset()
        self._deadline: asyncio.Timeout | None = None

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._run(), name=f"link {self.origin}")
        self._worker.add_done_callback(lambda _: self._queue.put_nowait(None))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event; coming back for it acknowledges the last one."""
        last, self._last = self._last, None
        if last is not None and last.acknowledge is not None:
            await last.acknowledge()
        self._last = await self._queue.get()
        if self._last is not None:
            return self._last.event
        if self._worker is not None and not self._worker.cancelled():
            self._worker.result()  # a defect in the worker must not look like a quiet server
        raise StopAsyncIteration

    async def fetch(self, handle: Callable[[Event], object]) -> None:
        """Ask once, without waiting, and hand over each event; what was handled is acknowledged.

        Raises ``UnreachableError`` and ``ServerRefusedError``.
        """
        for box in list(self._boxes.values()):
            polled = await self._polled(box, 0)
            if isinstance(polled, Polled):
                handle(Connected(self.origin, "poll", polled.server_time))
                for _, event in polled.events:
                    handle(event)
                await self._acknowledge(box, polled)
            elif polled == "gone":
                handle(Removed(self.origin, box.device))

    async def seen(self, shown: Iterable[tuple[str, str]]) -> None:
        """Tell the server that a person was shown these requests (device and request id); others' are passed over.

        Raises as ``fetch``.
        """
        by_device: dict[str, list[str]] = {}
        for device, rid in shown:
            if device in self._boxes and not (self._say and await _said(self._say, frames.Seen(rid))):
                by_device.setdefault(device, []).append(rid)
        for device, rids in by_device.items():
            await acknowledge(self._calls, self._boxes[device], [], seen=rids)

    def welcomed(self, devices: frozenset[str], server_time: int, say: Say) -> None:
        """Part of ``Hearer``: the socket is open."""
        self._welcome, self._say = devices, say
        self._emit(Connected(self.origin, "socket", server_time))
        if self._deadline is not None and self._boxes.keys() - devices:
            # Who was left out may be confirmed any moment, and only a new connection serves it.
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._pace.pending)

    def heard(self, device: str, item_id: str, event: Event, say: Say) -> None:
        """Part of ``Hearer``: the socket brought an item."""
        if isinstance(event, Distrusted):
            self._report(device, item_id, event)
        else:
            self._emit(event, lambda: _said(say, frames.Ack(item_id)))

    def told(self, event: Event) -> None:
        """Part of ``Hearer``: a request ended elsewhere."""
        self._emit(event)

    async def _run(self) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while self._boxes:
            began = loop.time()
            trouble = await self._connection()
            if trouble is None:
                continue
            failures = 0 if self._welcome and loop.time() - began >= self._pace.stable else failures + 1
            if not self._welcome or failures > 3:
                trouble = await self._poll_for(self._pace.socket_again)
                if trouble is None:
                    failures = 0
                    continue
            self._emit(Lost(self.origin, trouble))
            # Without chance all devices of a server would come back in the same instant.
            pause = min(self._pace.longest, self._pace.first * 2.0 ** min(failures, 16))
            await asyncio.sleep(pause * (0.5 + self._jitter()))

    async def _connection(self) -> str | None:
        """One life of a socket; None when it is to be opened again at once, otherwise what ended it."""
        self._welcome = frozenset()
        try:
            async with asyncio.timeout(None) as self._deadline:
                await converse(self._calls, self._boxes, self, heartbeat=self._pace.heartbeat)
        except UnreachableError as error:
            return error.detail
        except ServerRefusedError as refused:
            await self._drop_gone()
            return refused.detail
        except TimeoutError:
            await self._drop_gone()
        finally:
            self._say = self._deadline = None
        return None

    async def _drop_gone(self) -> None:
        """Ask what became of the enrolments that the socket does not serve."""
        for box in [box for device, box in self._boxes.items() if device not in self._welcome]:
            with contextlib.suppress(UnreachableError, ServerRefusedError):
                if await self._calls.status(box.signer) == "revoked":
                    self._remove(box)

    async def _poll_for(self, seconds: float) -> str | None:
        """Poll for all enrolments; None when that worked all the time, otherwise what ended it."""
        pollers = [asyncio.create_task(self._poll(box)) for box in self._boxes.values()]
        try:
            done, _ = await asyncio.wait(pollers, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
            for poller in done:
                poller.result()
        except (UnreachableError, ServerRefusedError) as error:
            return error.detail
        finally:
            for poller in pollers:
                poller.cancel()
            await asyncio.gather(*pollers, return_exceptions=True)
        return None

    async def _poll(self, box: Mailbox) -> None:
        wait = 0  # the first answer says at once that polling works
        while True:
            polled = await self._polled(box, wait)
            if polled == "gone":
                self._remove(box)
                return
            if polled == "pending":
                await asyncio.sleep(self._pace.pending)
                continue
            self._emit(Connected(self.origin, "poll", polled.server_time))
            news = [each for each in polled.events if not isinstance(each[1], Distrusted)]
            for item_id, event in polled.events:
                if isinstance(event, Distrusted):
                    self._report(box.device, item_id, event)
            await asyncio.gather(*(self._handled(event) for _, event in news))
            await self._acknowledge(box, polled)
            if polled.events and not news:
                await asyncio.sleep(
                    self._pace.pending
                )  # they come back at once as long as they are not acknowledged
            wait = self._pace.poll_wait

    async def _polled(self, box: Mailbox, wait: int) -> Polled | Literal["gone", "pending"]:
        try:
            return await poll(self._calls, box, wait=wait)
        except ServerRefusedError as refused:
            if refused.code in GONE:
                return "gone"
            if refused.code == "device_pending":
                return "pending"
            raise

    async def _acknowledge(self, box: Mailbox, polled: Polled) -> None:
        safe = [item_id for item_id, event in polled.events if not isinstance(event, Distrusted)]
        if safe:
            await acknowledge(self._calls, box, safe)

    async def _handled(self, event: Event) -> None:
        handled = asyncio.Event()

        async def acknowledged() -> bool:
            handled.set()
            return True

        self._emit(event, acknowledged)
        await handled.wait()

    def _remove(self, box: Mailbox) -> None:
        del self._boxes[box.device]
        self._emit(Removed(self.origin, box.device))

    def _report(self, device: str, item_id: str, event: Distrusted) -> None:
        if (device, item_id) not in self._refused:
            self._refused.add((device, item_id))
            self._emit(event)

    def _emit(self, event: Event, acknowledge: Acknowledge | None = None) -> None:
        self._queue.put_nowait(_Delivery(event, acknowledge))


async def _said(say: Say, frame: frames.Ack | frames.Seen) -> bool:
    """Whether the socket took a frame; a line that is gone takes none, and what matters is repeated by the server."""
    try:
        await say(frame)
    except (OutOfTurnError, aiohttp.ClientError, OSError):
        return False
    return True
