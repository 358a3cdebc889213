"""What all routes of the Authy face share: rows of its table, ids in paths, texts and numbers in Authy's spelling."""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

from aiohttp import web

from placet_protocol.text import visible
from placet_server.domain import texts
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller, Device, Scope, User
from placet_server.faces.switches import switch
from placet_server.ports import Channel
from placet_server.web.gate import Handler

PROTECTED: Final = "/protected/{format:json|xml}"
ONETOUCH: Final = "/onetouch/{format:json|xml}"
_TEXT: Final = "[^/{}]{1,100}"
USER: Final = "{user:" + _TEXT + "}"
TOKEN: Final = "{token:" + _TEXT + "}"
UUID: Final = "{id:" + _TEXT + "}"
_IN_XML: Final = ("/protected/xml", "/onetouch/xml")

# What is told of a device, in the order of the wire; what is not known of a terminal stays null.
_DEVICE: Final = (
    "city",
    "country",
    "ip",
    "region",
    "registration_city",
    "registration_country",
    "registration_ip",
    "registration_method",
    "registration_region",
    "os_type",
    "last_account_recovery_at",
    "id",
    "registration_date",
    "last_sync_date",
)


CHANNELS_OFF: Final[dict[Channel, tuple[str, str]]] = {
    "sms": ("60007", "SMS is not enabled"),
    "voice": ("60006", "Phone calls are not enabled on this account"),
    "email": ("60007", "E-mail is not enabled"),
}
"""What is said of a channel that the application does not use or no gateway carries."""


class Row(NamedTuple):
    """One route; ``sandbox`` answers instead where a credential wants that nothing is sent."""

    method: str
    path: str
    handler: Handler
    scope: Scope
    sandbox: Handler | None = None


def wants_xml(request: web.Request) -> bool:
    """Whether a path, known or not, asks for XML."""
    return f"/{request.path.lstrip('/')}".startswith(_IN_XML)


def tfa_id(request: web.Request) -> int:
    """The id in the path; any text may stand there, and what is no number is nobody's: ``user_not_found``."""
    return user_number(request.match_info["user"])


def user_number(text: str) -> int:
    """A user's id as a client writes it; raises ``user_not_found``."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise RefusedError("user_not_found", "User not found.")
    return int(text)


def parameter(sent: dict[str, Any], name: str, most: int = 255) -> str:
    """A text parameter without spaces around it, "" when there is none; raises ``invalid_request``."""
    value = sent.get(name)
    if value is None:
        return ""
    if isinstance(value, dict | list):
        raise RefusedError("invalid_request", f"{name} - is not a text")
    text = str(value).strip()
    if len(text) > most:
        raise RefusedError("invalid_request", f"{name} - is longer than {most} characters")
    return text


def integer(name: str, text: str, low: int = 0, high: int = 10**12) -> int:
    """A whole number between bounds; raises ``invalid_request`` in Authy's words."""
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise RefusedError("invalid_request", f"{name} - '{visible(text)[:40]}' is not a valid Integer")
    if not low <= int(text) <= high:
        raise RefusedError("invalid_request", f"{name} - goes from {low} to {high}")
    return int(text)


def required(sent: dict[str, Any], name: str) -> str:
    """A text parameter that must be there; raises ``invalid_request``."""
    text = parameter(sent, name)
    if not text:
        raise RefusedError("invalid_request", f"{name} - Parameter is required")
    return text


def wanted_language(caller: Caller, locale: str) -> str | None:
    """The language of a locale, English for one without texts; None where the credential has that refused."""
    if not locale:
        return caller.application.policies.code_language
    fallback = "" if switch(caller, "unknown_locale") == "refused" else texts.DEFAULT_LANGUAGE
    return texts.language(locale, fallback) or None


def shown(text: str, limit: int, *, newline: bool = False, name: str = "details") -> str:
    """What a person can be shown of a foreign text: forbidden characters become visible, too much is refused."""
    clear = visible(text, newline=newline)
    if len(clear) > limit:
        raise RefusedError("invalid_request", f"{name} - is longer than {limit} characters")
    return clear


def grouped(national: str) -> str:
    """National digits as Authy groups them: ``201-555-0123``."""
    return "-".join(filter(None, (national[:-7], national[-7:-4], national[-4:])))


def masked(phone: str | None) -> str:
    """All groups but the last in ``X``: ``XXX-XXX-0123``."""
    return "".join("-" if char == "-" else "X" for char in grouped(phone)[:-4]) + phone[-4:] if phone else ""


def hidden_phone(user: User) -> str:
    """What answers of sent codes show: the country code and the last two digits, in one form for all lengths."""
    return f"+{user.country_code}-XXX-XXX-XX{user.phone[-2:]}" if user.phone else ""


def hex24(text: str) -> str:
    """The id of a thing in the form of Authy's object ids: 24 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def number(text: str) -> int:
    """The id of a thing as a number."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:7], 16)


def device_facts(device: Device | None, registered: int, synced: int | None) -> dict[str, Any]:
    """What is told of a device; None is a user without one, whose codes come by message. Times in ms UTC."""
    told: dict[str, Any] = dict.fromkeys(_DEVICE)
    if device is not None:
        told |= {"os_type": device.platform, "id": number(device.id), "registration_method": "push"}
        registered = device.created_at
    else:
        told["os_type"] = "sms"
    told["registration_date"] = registered // 1000
    told["last_sync_date"] = None if synced is None else synced // 1000
    return told
