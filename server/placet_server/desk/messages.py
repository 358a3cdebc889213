"""The operator's commands on gateways, messages and codes; ``operations.py`` lists them with its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import structs

from placet_server.desk.desk import Answer, Desk
from placet_server.domain import destinations
from placet_server.domain.destinations import masked
from placet_server.domain.ids import new_id
from placet_server.domain.mail import MessageInfo
from placet_server.domain.organizations import DEFAULT_ORG
from placet_server.domain.refusals import RefusedError
from placet_server.plugin import Outgoing
from placet_server.ports import Channel
from placet_server.settings import nearest
from placet_server.web.wire import rfc3339

_ORDER: Final[tuple[Channel, ...]] = ("sms", "whatsapp", "voice", "email")
_SECONDS: Final = 600


async def gateway_list(desk: Desk) -> Answer:
    """All gateways in their order, with what became of their messages since the server's start."""
    return [
        {
            "name": carrier.name,
            "type": carrier.kind,
            "channels": sorted(carrier.channels),
            **structs.asdict(carrier.counts),
        }
        for carrier in desk.carriers.all()
    ]


async def gateway_test(
    desk: Desk, *, name: str, to: str, channel: Channel | None = None, text: str | None = None
) -> Answer:
    """Send one test message through one gateway now and tell what it said; no route, no retry, nothing is kept."""
    carrier = desk.carriers.named(name)
    if carrier is None:
        known = [each.name for each in desk.carriers.all()]
        hint = f"did you mean {nearest(name, known)}?" if known else "none is set."
        raise RefusedError("not_found", f"There is no gateway {name[:64]!r}: {hint}")
    destination = destinations.email(to) if "@" in to else destinations.phone(to)
    fitting = [each for each in _ORDER if (each == "email") == (destination.kind == "email")]
    fit = next((each for each in fitting if each in carrier.channels), fitting[0])
    wanted: Channel = fit if channel is None else channel
    now = desk.clock.now()
    carried = await carrier.send(
        Outgoing(
            id=new_id(now, desk.entropy),
            channel=wanted,
            to=destination.dialled,
            text=text or "This is a test message.",
            subject="Test" if wanted == "email" else None,
            seconds=_SECONDS,
        )
    )
    return {
        "gateway": name,
        "channel": wanted,
        "to": masked(destination),
        "outcome": carried.outcome,
        "reference": carried.reference or None,
        "reason": carried.reason or None,
    }


async def message_list(desk: Desk, *, after: str | None = None, limit: int = 50) -> Answer:
    """Messages of all applications, newest first, and the cursor of the next page."""
    page = await desk.domain.messages.page(None, after=after, limit=limit)
    return {"messages": [_message(info) for info in page.items], "next": page.next}


async def message_show(desk: Desk, *, id: str) -> Answer:  # noqa: A002 - the argument's name on the wire
    """How one message stands: its destination is masked, its text not shown."""
    return _message(await desk.domain.messages.get(None, id))


async def code_unlock(desk: Desk, *, to: str) -> Answer:
    """Let codes to a number or address count again after too many wrong ones."""
    destination = destinations.email(to) if "@" in to else destinations.phone(to)
    await desk.domain.codes.unlock(DEFAULT_ORG, destination, desk.clock.now())
    return {"unlocked": masked(destination)}


COMMANDS: Final[dict[str, Callable[..., Awaitable[Answer]]]] = {
    "gateway list": gateway_list,
    "gateway test": gateway_test,
    "code unlock": code_unlock,
    "message list": message_list,
    "message show": message_show,
}


def _message(info: MessageInfo) -> dict[str, Any]:
    facts = structs.asdict(info)
    for name in ("created_at", "updated_at", "expires_at"):
        facts[name] = rfc3339(facts[name])
    return facts | {"channels": list(info.channels)}
