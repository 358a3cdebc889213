"""One enrolment's items by plain HTTP: what is left when sockets do not pass, and what a single command uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from placet_authenticator.calls import TIMEOUT, Calls
from placet_authenticator.errors import UnreachableError
from placet_authenticator.inbox import Event
from placet_authenticator.items import Mailbox
from placet_protocol.errors import ProtocolError

ITEMS: Final = "/device/v1/items"
ACKS: Final = "/device/v1/acks"


class Polled(NamedTuple):
    """The items of one answer by id, and the server's clock in ms UTC."""

    events: list[tuple[str, Event]]
    server_time: int


async def poll(calls: Calls, box: Mailbox, *, wait: int) -> Polled:
    """What waits for this enrolment, asked for at most ``wait`` seconds.

    Raises ``UnreachableError`` and ``ServerRefusedError``.
    """
    path = f"{ITEMS}?wait={wait}"
    answer = await calls.call(box.signer, "GET", path, seconds=wait + TIMEOUT)
    match answer:
        case {"items": list(items), "server_time": int(server_time)}:
            return Polled([_opened(box, item) for item in items], server_time)
    raise UnreachableError(
        f"{calls.origin} answered in another form than Placet's", "Is the server older than this app?"
    )


async def acknowledge(calls: Calls, box: Mailbox, ids: list[str], *, seen: Sequence[str] = ()) -> None:
    """Tell the server which items are safe and which requests a person was shown."""
    body = msgspec.json.encode({"ids": ids, "seen": seen})
    await calls.call(box.signer, "POST", ACKS, body)


def _opened(box: Mailbox, item: Any) -> tuple[str, Event]:  # noqa: ANN401  foreign JSON
    match item:
        case {"id": str(item_id), "sealed": str(sealed)}:
            try:
                return item_id, box.event(item_id, box.unsealed(sealed))
            except ProtocolError as error:
                return item_id, box.distrusted(error)
    raise UnreachableError("the server sent an item without id", "Is the server older than this app?")
