"""Who may be sent how much: budgets, allowed countries, and a breaker against traffic that nobody answers.

Sending codes costs money and can annoy a person, so both are bounded where the message is made, in its own plan: each
counter is one row that a conditional statement moves, and a statement that takes no row refuses the message.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Final

from msgspec import Struct

from placet_server.domain import outbox
from placet_server.domain.audit import leaf
from placet_server.domain.destinations import Destination
from placet_server.domain.networks import source
from placet_server.domain.policies import Policies
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller
from placet_server.ports import Bus, Channel, Entropy, PhoneBook, Routes, Sealer, Sql, Step, Store, plan, step

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_NEAR: Final = 8
"""Bytes in which the keys of neighbours agree."""

# The short window ends with a pause, the day by the clock of its first message: no ten minutes hold more than allowed.
_TAKE_DESTINATION: Final = Sql(
    "budget_take_destination",
    """
    INSERT INTO budgets (subject, spent, counted_from, day_spent, day_from, matched, held_until)
    VALUES (?, 1, ?, 1, ?, 0, 0)
    ON CONFLICT (subject) DO UPDATE SET
        spent = CASE WHEN budgets.counted_from + ? <= excluded.counted_from THEN 1 ELSE budgets.spent + 1 END,
        counted_from = excluded.counted_from,
        day_spent = CASE WHEN budgets.day_from + 86400000 <= excluded.day_from THEN 1 ELSE budgets.day_spent + 1 END,
        day_from = CASE WHEN budgets.day_from + 86400000 <= excluded.day_from
            THEN excluded.day_from ELSE budgets.day_from END
    WHERE (budgets.spent < ? OR budgets.counted_from + ? <= excluded.counted_from)
        AND (budgets.day_spent < ? OR budgets.day_from + 86400000 <= excluded.day_from)
    """,
)
_TAKE_HOUR: Final = Sql(
    "budget_take_hour",
    """
    INSERT INTO budgets (subject, spent, counted_from, day_spent, day_from, matched, held_until)
    VALUES (?, 1, ?, 0, 0, 0, 0)
    ON CONFLICT (subject) DO UPDATE SET
        spent = CASE WHEN budgets.counted_from + 3600000 <= excluded.counted_from THEN 1 ELSE budgets.spent + 1 END,
        matched = CASE WHEN budgets.counted_from + 3600000 <= excluded.counted_from THEN 0 ELSE budgets.matched END,
        counted_from = CASE WHEN budgets.counted_from + 3600000 <= excluded.counted_from
            THEN excluded.counted_from ELSE budgets.counted_from END
    WHERE budgets.held_until <= excluded.counted_from AND (
        budgets.counted_from + 3600000 <= excluded.counted_from
        OR ((? = 0 OR budgets.spent < ?) AND (? = 0 OR budgets.spent < ? OR budgets.matched * 100 >= budgets.spent * ?)))
    """,
)
_READ: Final = Sql(
    "budget",
    "SELECT spent, counted_from, day_spent, day_from, matched, held_until FROM budgets WHERE subject = ?",
)
_HOLD: Final = Sql(
    "budget_hold", "UPDATE budgets SET held_until = ? WHERE subject = ? AND held_until <= ? AND matched = ?"
)
_MATCHED: Final = Sql("budget_matched", "UPDATE budgets SET matched = matched + 1 WHERE subject = ?")
_DROP: Final = Sql(
    "budgets_drop", "DELETE FROM budgets WHERE counted_from <= ? AND day_from <= ? AND held_until <= ?"
)


class Taken(Struct, frozen=True, gc=False):
    """One guard of a plan, what it counts, the key of its counter, and whose messages it counts."""

    step: Step
    kind: str
    subject: bytes = b""
    to: Destination | None = None


class Guard:
    """What stands before every message."""

    def __init__(
        self, store: Store, sealer: Sealer, entropy: Entropy, bus: Bus, routes: Routes, book: PhoneBook
    ) -> None:
        self._store = store
        self._sealer = sealer
        # Many numbers, few blocks and applications.
        self._block = lru_cache(1_024)(partial(self._subject, "block"))
        self._whose = lru_cache(256)(partial(self._subject, "whose"))
        self._entropy = entropy
        self._bus = bus
        self._routes = routes
        self._book = book

    def channels(
        self, caller: Caller, destination: Destination, wanted: tuple[Channel, ...]
    ) -> tuple[Channel, ...]:
        """Those of the wanted channels that may and can carry a message there, in their order.

        Raises ``channel_not_allowed``, ``country_not_allowed``, ``not_a_mobile`` and ``no_route``.
        """
        policies = caller.application.policies
        fitting = tuple([c for c in wanted if (c == "email") == (destination.kind == "email")])
        if not fitting:
            raise RefusedError(
                "channel_not_allowed", f"No channel of this message reaches {_article(destination)}."
            )
        allowed = tuple([c for c in fitting if not policies.code_channels or c in policies.code_channels])
        if not allowed:
            raise RefusedError(
                "channel_not_allowed", f"code.channels allows {', '.join(policies.code_channels)} only."
            )
        countries = policies.code_countries
        if destination.kind == "phone" and "*" not in countries and str(destination.country) not in countries:
            raise RefusedError(
                "country_not_allowed", f"code.countries does not allow country code {destination.country}."
            )
        if policies.code_lines == "mobile" and "sms" in allowed:
            allowed = self._without_landline(destination, allowed)
        routed = tuple([c for c in allowed if self._routes.gateways(c, _route(policies, c))])
        if not routed:
            raise RefusedError("no_route", f"No gateway carries {' or '.join(allowed)}.")
        return routed

    def carries(self, caller: Caller, channel: Channel) -> bool:
        """Whether the application may use a channel and a gateway carries it."""
        policies = caller.application.policies
        allowed = not policies.code_channels or channel in policies.code_channels
        return allowed and bool(self._routes.gateways(channel, _route(policies, channel)))

    def take(
        self,
        caller: Caller,
        destination: Destination,
        ip: str,
        now: int,
        *,
        counts: bool,
        other: Destination | None = None,
    ) -> list[Taken]:
        """The guards that count one message; ``counts`` when right answers to it are to be expected.

        A message that may go to an ``other`` destination counts for both.
        """
        policies, application = caller.application.policies, caller.application.id
        taken = self._to(caller, destination, now, counts=counts)
        if other is not None:
            taken += self._to(caller, other, now, counts=counts)
        if ip and policies.code_per_ip:
            subject = self._subject("ip", application, source(ip))
            taken.append(self._hour("ip", subject, policies.code_per_ip, policies, now))
        if policies.code_per_application:
            subject = self._subject("application", application, "")
            taken.append(self._hour("application", subject, policies.code_per_application, policies, now))
        return taken

    def _to(self, caller: Caller, destination: Destination, now: int, *, counts: bool) -> list[Taken]:
        """The guards that count one message to this destination, and to numbers like it."""
        policies = caller.application.policies
        window = policies.code_window * 1000
        # The counters of a number and of its block begin alike, so that they stand on one page of the file.
        block = self._block(caller.org, destination.prefix) if destination.kind == "phone" else b""
        subject = block[:_NEAR] + self._subject("destination", caller.org, destination.address)
        spend = step(
            _TAKE_DESTINATION,
            *(subject, now, now, window),
            *(policies.code_per_destination, window, policies.code_per_destination_day),
        )
        taken = [Taken(spend, "destination", subject, destination)]
        if destination.kind == "phone":
            breaker, limit = policies.code_breaker if counts else 0, _block_limit(policies, counts=counts)
            kind = "prefix" if counts else "texts"
            if breaker or limit:
                counter = block + self._whose(kind, caller.application.id)
                taken.append(self._hour(kind, counter, limit, policies, now, breaker, destination))
        return taken

    async def refusal(self, caller: Caller, destination: Destination, taken: Taken, now: int) -> RefusedError:
        """Why a guard took no row; a prefix that nobody answers is held, and the application told."""
        row = await self._store.row(_READ, (taken.subject,))
        policies = caller.application.policies
        spent, counted_from, day_spent, day_from, matched, held_until = row or (0, 0, 0, 0, 0, 0)
        if taken.kind == "destination":
            free_at = now
            if spent >= policies.code_per_destination:
                free_at = counted_from + policies.code_window * 1000
            if day_spent >= policies.code_per_destination_day:
                free_at = max(free_at, day_from + DAY_MS)
            return _refused("Too many messages went to this destination.", free_at, now)
        if taken.kind == "prefix" and held_until <= now:
            limit = policies.code_per_prefix
            if not limit or spent < limit:
                held_until = now + policies.code_breaker_hold * 1000
                await self._hold(
                    caller, taken.to or destination, taken.subject, spent, matched, held_until, now
                )
        if held_until > now:
            return _refused("Too few codes to numbers like this one are answered.", held_until, now)
        like_this = "to numbers like this one"
        said = {"prefix": like_this, "texts": like_this, "ip": "for this IP address"}.get(
            taken.kind, "were sent"
        )
        return _refused(f"Too many messages {said}.", counted_from + HOUR_MS, now)

    @staticmethod
    def matched(prefix: bytes) -> Step:
        """The step that counts one right answer from a block of numbers."""
        return step(_MATCHED, prefix)

    async def sweep(self, now: int) -> None:
        """Erase counters that count nothing any more."""
        await self._store.write(plan(step(_DROP, now - DAY_MS, now - DAY_MS, now), guards=0))

    def _hour(
        self,
        kind: str,
        subject: bytes,
        limit: int,
        policies: Policies,
        now: int,
        breaker: int = 0,
        to: Destination | None = None,
    ) -> Taken:
        spend = step(_TAKE_HOUR, subject, now, limit, limit, breaker, breaker, policies.code_breaker_percent)
        return Taken(spend, kind, subject, to)

    async def _hold(
        self,
        caller: Caller,
        destination: Destination,
        subject: bytes,
        spent: int,
        matched: int,
        until: int,
        now: int,
    ) -> None:
        """Hold a prefix unless somebody else just did, or a right answer came."""
        prefix = f"{destination.prefix}****"
        data = {"prefix": prefix, "sent": spent, "matched": matched, "held_until": outbox.rfc3339(until)}
        told = outbox.event(
            self._sealer, self._entropy, caller.application, "code.prefix_held", subject.hex(), data, now
        )
        held = plan(
            step(_HOLD, until, subject, now, matched),
            *told,
            leaf=leaf(
                now, "code.prefix_held", caller.org, caller.application.id, sent=spent, matched=matched
            ),
        )
        if await self._store.write(held) == 0:
            outbox.announce(self._bus, held)

    def _without_landline(
        self, destination: Destination, channels: tuple[Channel, ...]
    ) -> tuple[Channel, ...]:
        if self._book.info(destination.address).type not in {"landline", "voip"}:
            return channels
        others = tuple(c for c in channels if c != "sms")
        if not others:
            raise RefusedError("not_a_mobile", "This number is known to be no mobile.")
        return others

    def _subject(self, kind: str, scope: str, what: str) -> bytes:
        return self._sealer.index("budget", f"{kind} {scope} {what}")


def _block_limit(policies: Policies, *, counts: bool) -> int:
    """Messages an hour to one block of numbers, 0 for any; texts without a code have a bound of their own, too."""
    all_of_them, texts = policies.code_per_prefix, 0 if counts else policies.code_texts_per_prefix
    return min(all_of_them, texts) if all_of_them and texts else all_of_them or texts


def _route(policies: Policies, channel: Channel) -> tuple[str, ...]:
    names: tuple[str, ...] = getattr(policies, f"route_{channel}")
    return names


def _article(destination: Destination) -> str:
    return "an e-mail address" if destination.kind == "email" else "a telephone number"


def _refused(detail: str, free_at: int, now: int) -> RefusedError:
    return RefusedError("too_many_codes", detail, retry_after=max(1, -(-(free_at - now) // 1000)))
