"""Telephone numbers on the Authy face: how parameters name them and how messages spell them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from placet_server.domain.destinations import Destination, phone
from placet_server.domain.values import Caller
from placet_server.faces.authyparts import grouped, integer, required
from placet_server.faces.switches import switch
from placet_server.ports import Channel


def number_of(sent: dict[str, Any]) -> Destination:
    """The number of ``country_code`` and ``phone_number``; raises ``invalid_request``, ``invalid_destination``."""
    country = required(sent, "country_code")
    integer("country_code", country.removeprefix("+"))
    return phone(required(sent, "phone_number"), country)


def spelled(number: Destination) -> str:
    """A number as Authy's messages spell it: ``+1 201-555-0123``."""
    return f"+{number.country} {grouped(number.national)}"


def started_text(caller: Caller, number: Destination, channel: Channel, locale: str) -> str:
    """What is said when a code is on its way; of other languages only the Spanish words for a call are known."""
    if channel == "sms":
        return f"Text message sent to {spelled(number)}."
    if locale.lower().startswith("es"):
        return f"Llamada a {spelled(number)} fue iniciada."
    return f"Call to {spelled(number)} initiated{'.' if switch(caller, 'call_period') else ''}"


def info_text(now: int) -> str:
    """The message of phone information at ``now`` (ms UTC): one client compares its form."""
    at = datetime.fromtimestamp(now // 1000, UTC)
    return f"Phone number information as of {at:%Y-%m-%d %H:%M:%S} UTC"
