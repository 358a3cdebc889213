"""One-time codes asked for and typed: what the tests of codes and messages say."""

from __future__ import annotations

from typing import Any

import msgspec

from placet_server.domain.codes import Checked, CodeDraft, Codes, Issued
from placet_server.domain.destinations import Destination, phone
from placet_server.domain.mail import Due
from placet_server.domain.services import build
from placet_server.domain.values import Caller
from placet_server.ports import Store
from placet_server.testing import ClearSealer, FixedBook, FixedRoutes, PlainPasswords
from support.answering import ORIGIN, World

ANA = phone("+34600000001")
BEN = phone("+34911000002")


async def issue(
    w: World,
    destination: Destination | None = ANA,
    *,
    caller: Caller | None = None,
    ip: str = "",
    **draft: Any,
) -> Issued:
    """A code by SMS, unless told otherwise."""
    wanted = CodeDraft(**({"destination": destination, "channels": ("sms",)} | draft))
    return await w.domain.codes.issue(caller or w.caller, wanted, w.now, ip=ip)


async def check(w: World, value: str, *, caller: Caller | None = None, **which: Any) -> Checked:
    """What a check says, natively."""
    return await w.domain.codes.check(caller or w.caller, value, w.now, **which)


def wrong(issued: Issued, step: int = 1) -> str:
    """A code of the same length that is another one."""
    length = len(issued.value)
    return f"{(int(issued.value) + step) % 10**length:0{length}d}"


async def due_of(w: World, issued: Issued) -> Due:
    """The message that carries a code, as its deliverer sees it."""
    (due,) = [due for due in await w.domain.deliveries.due(w.now, 10_000) if due.id == issued.message_id]
    return due


async def carry(w: World, due: Due) -> Due:
    """A deliverer gives the message to a gateway, which takes it."""
    assert await w.domain.deliveries.claim(due, w.now + 60_000, w.now)
    await w.domain.deliveries.accepted(due, due.channels[0], "recorded", "ref-1", w.now)
    return due


async def events(w: World) -> list[Any]:
    """What applications are about to be told, oldest first."""
    return [msgspec.json.decode(item.body.payload) for item in await w.domain.outbox.due(w.now) if item.body]


def again(w: World, store: Store) -> Codes:
    """The codes of a server that was started anew on the same file."""
    passwords, routes, book = PlainPasswords(), FixedRoutes(), FixedBook()
    return build(
        store, ClearSealer(), w.signer, w.entropy, w.bus, ORIGIN, lambda _: None, passwords, routes, book
    ).codes
