"""Carries messages: at once what was just committed, later what no gateway took or an earlier process left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol, get_args

from placet_server.delivery.turns import Turns, ended
from placet_server.domain.applications import Applications
from placet_server.domain.deliveries import LATE, Deliveries, Receipt
from placet_server.domain.mail import Due
from placet_server.domain.refusals import RefusedError
from placet_server.plugin import Carried, Outgoing
from placet_server.ports import Bus, Channel, Clock, Entropy, StoreUnavailableError

log: Final = logging.getLogger("placet")

AT_ONCE: Final = 2_000
UNSURE_MAX: Final = 3
"""How often one route may leave a message without an answer: it may have carried it each time."""
SCHEDULE: Final = (5.0, 10.0, 20.0, 40.0, 60.0, 120.0)
"""Seconds until all routes are tried again; the last for ever."""
REPORTS: Final = "/gateway/reports"
_MARGIN: Final = 2.0
_PAGE: Final = 200
_NEXT_PAGE: Final = 0.02
_UNSURE: Final = "~"
_TOGETHER: Final = 100
"""So many are handed to a local gateway before others have the event loop."""

Given = dict[str, list[tuple[Due, Outgoing]]]
"""By the name of a local gateway, what it is to be handed."""


class Begun(NamedTuple):
    """A message, and what a gateway said of it that was asked already in this round."""

    due: Due
    channel: Channel | None = None
    name: str = ""
    said: Carried | None = None


class Ways(Protocol):
    """The gateways as this module asks them."""

    def in_turn(self, channel: Channel, names: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Names of the gateways that carry a channel, in the order in which to try them."""
        ...

    def deadline(self, name: str) -> float:
        """Seconds after which an attempt through a gateway is over, less than ten."""
        ...

    async def send(self, name: str, message: Outgoing) -> Carried:
        """One attempt through one gateway."""
        ...

    def is_local(self, name: str) -> bool:
        """Whether a gateway waits for nobody, so that ``take`` can be asked."""
        ...

    def take(self, name: str, messages: Sequence[Outgoing]) -> Sequence[Carried]:
        """One attempt each through a local gateway, at once."""
        ...


class Messenger:
    """Hands each message to the first gateway that takes it.

    Every message has a task of its own, so a gateway that hangs holds up nobody else's; what a local gateway takes needs
    none. A message is claimed before it is handed over and due again should this process die. ``public_url`` is where
    gateways report deliveries; ``schedule`` is in seconds.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        applications: Applications,
        ways: Ways,
        bus: Bus,
        clock: Clock,
        entropy: Entropy,
        public_url: str,
        *,
        schedule: Sequence[float] = SCHEDULE,
        grace: float = 10.0,
    ) -> None:
        self._deliveries: Final = deliveries
        self._applications: Final = applications
        self._ways: Final = ways
        self._bus: Final = bus
        self._clock: Final = clock
        self._entropy: Final = entropy
        self._public_url: Final = public_url
        self._schedule: Final = tuple(schedule)
        self._grace: Final = grace
        self._busy: Final[dict[str, asyncio.Task[None]]] = {}
        self._noting: Final[set[asyncio.Task[None]]] = set()
        self._turns: Final = Turns(
            clock,
            self._take_heard,
            self._take_due,
            self._busy,
            trouble="messages_not_read",
            before=deliveries.lull,
        )

    async def run(self) -> None:
        """Carry until ``stop``; what is then under way gets ``grace`` seconds, the rest stays in the table."""
        end = self._bus.listen("message", self._turns.hear)
        self._deliveries.hold(self._hold_ms())
        # The store has one process at a time, so nobody is at work on what is claimed.
        await self._deliveries.release(self._clock.now())
        try:
            await self._turns.run()
        finally:
            end()
            self._deliveries.hold(0)
            await ended((*self._busy.values(), *self._noting), self._grace)

    def stop(self) -> None:
        """Let ``run`` return."""
        self._turns.stop()

    def wake(self) -> None:
        """Look into the table now."""
        self._turns.look_in(0)

    def _hold_ms(self) -> int:
        """How long a round takes at most, through every gateway there is, with time to begin it."""
        names = {name for channel in get_args(Channel) for name in self._ways.in_turn(channel)}
        return round((2 * _MARGIN + sum(map(self._ways.deadline, names))) * 1000)

    async def _take_heard(self, message_ids: list[str]) -> None:
        dues = await self._deliveries.several(message_ids)
        now = self._clock.now()
        ready = [due for due in dues if due.due_at <= now]
        for start in range(0, len(ready), _TOGETHER):
            left, given = await self._sorted(ready[start : start + _TOGETHER])
            self._take([*left, *self._handed(given)])
        for due in dues:
            if due.due_at > now:
                self._turns.look_in((due.due_at - now) / 1000)

    async def _take_due(self) -> int | None:
        limit = len(self._busy) + _PAGE
        due = await self._deliveries.due(self._clock.now(), limit)
        self._take(map(Begun, due))
        if len(due) == limit and len(self._busy) < AT_ONCE:
            self._turns.look_in(_NEXT_PAGE)
        return await self._deliveries.next_due()

    async def _sorted(self, dues: Sequence[Due]) -> tuple[list[Begun], Given]:
        """What goes its own way, and what a local gateway is to be handed first, by gateway."""
        now = self._clock.now()
        if len(self._busy) + len(dues) > AT_ONCE:  # what such a gateway does not take would find no place
            return [*map(Begun, dues)], {}
        alike: dict[tuple[str, ...], list[Due]] = {}
        for due in dues:
            alike.setdefault((due.application_id, *due.channels, "", *due.texts), []).append(due)
        left: list[Begun] = []
        given: Given = {}
        for some in alike.values():
            try:
                routes = await self._routes(some[0])
            except StoreUnavailableError:
                routes = []  # each of them will find out
            local, until = bool(routes) and self._ways.is_local(routes[0][1]), self._until(routes, now)
            for due in some:
                if local and self._deliveries.holds(due, until, now):
                    channel, name = routes[0]
                    given.setdefault(name, []).append((due, _outgoing(due, channel, now)))
                else:
                    left.append(Begun(due))
        return left, given

    def _handed(self, given: Given) -> list[Begun]:
        """Hand each local gateway its messages; gives what it did not take."""
        left: list[Begun] = []
        taken: list[Receipt] = []
        for name, pairs in given.items():
            said = self._ways.take(name, [outgoing for _, outgoing in pairs])
            for (due, outgoing), carried in zip(pairs, said, strict=True):
                if carried.outcome == "accepted":
                    taken.append(Receipt(due, outgoing.channel, name, carried.reference))
                else:
                    left.append(Begun(due, outgoing.channel, name, carried))
        if taken:
            task = asyncio.create_task(self._note(taken))
            self._noting.add(task)
            task.add_done_callback(self._noting.discard)
        return left

    async def _note(self, taken: Sequence[Receipt]) -> None:
        """Write down what was taken; where that fails, it is due again when its claim ends."""
        try:
            await self._deliveries.taken(taken, self._clock.now())
        except StoreUnavailableError:
            log.warning("messages_not_noted", extra={"placet_facts": {"messages": len(taken)}})
        except Exception:  # a defect
            log.exception("messages_not_noted", extra={"placet_facts": {"messages": len(taken)}})

    def _take(self, messages: Iterable[Begun]) -> None:
        for begun in messages:
            due = begun.due
            if due.id in self._busy or len(self._busy) >= AT_ONCE:
                continue
            task = asyncio.create_task(self._guarded(begun))
            self._busy[due.id] = task
            task.add_done_callback(partial(self._free, due.id))

    def _free(self, message_id: str, _task: asyncio.Task[None]) -> None:
        self._busy.pop(message_id, None)
        if len(self._busy) + 1 == AT_ONCE:
            self.wake()

    async def _guarded(self, begun: Begun) -> None:
        """One message's round; whatever goes wrong in it, others go on, and it is due again when its claim ends."""
        try:
            await self._carry(begun)
        except StoreUnavailableError:
            log.warning("message_not_noted", extra={"placet_facts": {"message": begun.due.id}})
        except Exception:  # a defect
            log.exception("message_not_carried", extra={"placet_facts": {"message": begun.due.id}})

    async def _carry(self, begun: Begun) -> None:
        """Try every route that is left, in order, until one takes the message; ``said`` is what the first one answered."""
        due, said = begun.due, begun.said
        routes = [route for route in await self._routes(due) if not _done(due.tried, *route)]
        now = self._clock.now()
        if begun.channel is not None:
            asked = (begun.channel, begun.name)  # wherever it would stand by now
            routes = [asked, *(route for route in routes if route != asked)]
        elif not await self._deliveries.claim(due, self._until(routes, now), now):
            return
        if not routes:
            await self._deliveries.failed(due, "No gateway carries it any more.", now)
            return
        tried, reason, left = list(due.tried), "", False
        for number, (channel, name) in enumerate(routes):
            if self._clock.now() >= due.expires_at:
                break
            if number and not await self._deliveries.is_wanted(due.id):
                return  # while a gateway was asked, its code ended or its delivery was reported
            carried = said or await self._ways.send(name, self._reported(due, channel, name))
            said = None
            now = self._clock.now()
            if carried.outcome == "accepted":
                await self._deliveries.accepted(due, channel, name, carried.reference, now)
                return
            reason = f"{name}: {carried.reason}"
            route = f"{channel}:{name}"
            if carried.outcome == "refused":
                tried.append(route)
            elif carried.unsure:
                tried.append(route + _UNSURE)
            left = left or not _done(tried, channel, name)
        await self._put_off(due, tuple(tried), reason, left=left)

    def _until(self, routes: Sequence[tuple[Channel, str]], now: int) -> int:
        """Until when (ms UTC) a round is claimed: longer than its attempts can take, since nobody else may take it up."""
        return now + round((_MARGIN + sum(self._ways.deadline(name) for _, name in routes)) * 1000)

    async def _put_off(self, due: Due, tried: tuple[str, ...], reason: str, *, left: bool) -> None:
        now = self._clock.now()
        at = now + self._wait(due.attempts)
        if left and at < due.expires_at:
            await self._deliveries.later(due, at, tried, now, reason)
            self._turns.look_in((at - now) / 1000)
        else:
            await self._deliveries.failed(due, reason or LATE, now)

    def _wait(self, attempts: int) -> int:
        """Milliseconds until the next round, ±20 %."""
        wait = round(self._schedule[min(attempts, len(self._schedule) - 1)] * 1000)
        spread = wait // 5
        return wait - spread + self._entropy.below(2 * spread + 1)

    async def _routes(self, due: Due) -> list[tuple[Channel, str]]:
        """Channel by channel, the gateways that the application's policy names, else all that carry it."""
        try:
            policies = (await self._applications.by_id(due.application_id)).policies
        except RefusedError:
            return []  # the application is gone, and its message with it
        named: dict[Channel, tuple[str, ...]] = {
            "sms": policies.route_sms,
            "voice": policies.route_voice,
            "email": policies.route_email,
            "whatsapp": policies.route_whatsapp,
        }
        return [
            (channel, name)
            for channel in due.channels
            if channel in due.texts
            for name in self._ways.in_turn(channel, named[channel])
        ]

    def _reported(self, due: Due, channel: Channel, name: str) -> Outgoing:
        """A message for a gateway whose vendor may report the delivery."""
        secret = self._deliveries.report_secret(due.id)
        url = f"{self._public_url}{REPORTS}/{name}/{due.id}/{secret}"
        return _outgoing(due, channel, self._clock.now(), url)


def _outgoing(due: Due, channel: Channel, now: int, report_url: str | None = None) -> Outgoing:
    text = due.texts[channel]
    return Outgoing(
        id=due.id,
        channel=channel,
        to=due.at(channel).address,
        text=text.text,
        subject=text.subject,
        html=text.html,
        sender=due.sender,
        language=due.language,
        gender=due.gender,
        code=due.code,
        seconds=max(1, (due.expires_at - now) // 1000),
        report_url=report_url,
    )


def _done(tried: Sequence[str], channel: Channel, name: str) -> bool:
    """Whether a route is over: it refused, or it left the message without an answer too often."""
    route = f"{channel}:{name}"
    return route in tried or tried.count(route + _UNSURE) >= UNSURE_MAX
