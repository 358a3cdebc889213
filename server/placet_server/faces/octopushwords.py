"""Octopush's tolerance: every parameter is understood as well as can be, else its default stands.

Only a telephone number that is missing or beyond repair refuses.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final, Literal

import msgspec

from placet_protocol.text import visible
from placet_server.domain.codes import CodeDraft
from placet_server.domain.destinations import Destination, phone
from placet_server.domain.refusals import RefusedError
from placet_server.domain.shapes import Shape
from placet_server.domain.values import Caller
from placet_server.faces.switches import switch
from placet_server.ports import Channel

TEXT_MAX: Final = 1224
SINGLE: Final = frozenset({"phone_number", "recipients"})
"""Where a message goes: of two values nobody knows which was meant."""
LANGUAGES: Final = (
    "en-US",
    "en-GB",
    "el-GR",
    "pl-PL",
    "hu-HU",
    "sv-SE",
    "de-DE",
    "es-ES",
    "es-LA",
    "fr-FR",
    "it-IT",
    "pt-BR",
    "ru-RU",
)
_CHANNELS: Final[dict[str, Channel]] = {
    "sms": "sms",
    "text_sms": "sms",
    "voice_sms": "voice",
    "sms_voice": "voice",
    "voice": "voice",
    "vocal_sms": "voice",
    "whatsapp": "whatsapp",
}
_TRUTH: Final = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}
_LEADING: Final = re.compile(r"\s*([0-9]{1,12})")
_NOT_SENDER: Final = re.compile(r"[^0-9A-Za-z]")
_SPELLED: Final = re.compile("\u2039U\\+[0-9A-F]{4,6}\u203a")
_ALPHABETS: Final = {
    "digits": "allow_digits",
    "upper": "allow_upper_case",
    "lower": "allow_lower_case",
    "special": "allow_special_chars",
    "unconfusing": "remove_confusing_characters",
}


def text(value: object) -> str:
    """A trimmed text of a text or number; everything else is empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # Half surrogates, from JSON escapes, can be neither hashed nor stored.
    return str(value).encode("utf-8", "replace").decode().strip()


def number(value: object) -> Destination:
    """The telephone number; raises ``invalid_destination`` unless it has 7 to 15 digits behind its dress."""
    digits = text(value)
    if isinstance(value, float):  # whole ones are integers by now; of others nobody knows what was meant
        raise RefusedError("invalid_destination", "phone_number has no decimals.")
    if sum(char.isdigit() for char in digits) < 7:
        raise RefusedError("invalid_destination", "phone_number has 7 digits or more.")
    return phone(digits)


def truth(value: object, default: bool) -> bool:  # noqa: FBT001 - the wire's value and its default
    """A yes or no however it was written."""
    return _TRUTH.get(str(value).strip().lower(), default)


def whole(value: object, least: int, most: int, default: int) -> int:
    """The leading digits as a number within bounds, else the default."""
    match = None if isinstance(value, bool) else _LEADING.match(text(value))
    return min(max(int(match[1]), least), most) if match else default


def attempts(value: object, default: int) -> int:
    """Wrong attempts allowed: a positive number up to 100, else the default."""
    return whole(value, 0, 100, default) or default


def shape(sent: dict[str, Any], caller: Caller) -> Shape:
    """Length and alphabets; with every alphabet switched off it is digits."""
    allowed = {
        field: truth(sent.get(name), default=switch(caller, name)) for field, name in _ALPHABETS.items()
    }
    length = whole(sent.get("code_length"), 4, 32, switch(caller, "code_length"))
    return Shape(length=length, confusing=switch(caller, "confusing_characters"), **allowed)


def channel(value: object, default: str) -> Channel:
    """The channel under any of its names; what is unknown goes as a text message."""
    named = text(value).lower() or default
    return _CHANNELS.get(named, "sms")


def sender(value: object, default: str) -> str:
    """3 to 11 letters and digits, else the default."""
    kept = _NOT_SENDER.sub("", text(value))[:11]
    return kept if len(kept) >= 3 else default


def address(value: object) -> str | None:
    """The recipient's IP address in its one spelling; nothing, zeros and nonsense bind nothing."""
    try:
        found = ipaddress.ip_address(text(value))
    except ValueError:
        return None
    return None if found.is_unspecified else str(found)


def template(value: object) -> str:
    """The text with a place for the code, at its end unless it names one, and never so long that the code is lost."""
    given = plain(value)
    if not given.strip():
        return "{code}"
    if "{code}" in given:
        return given
    cut = given[: TEXT_MAX - len("{code} ") - 26]
    return cut + ("" if cut[-1].isspace() else " ") + "{code}"


def plain(value: object) -> str:
    """A text as long as may be, without the characters that no person can be shown."""
    given = value if isinstance(value, str) else text(value)
    return _SPELLED.sub("", visible(given.replace("\r\n", "\n")[:TEXT_MAX], newline=True))[:TEXT_MAX]


def language(value: object, default: str) -> str:
    """One of the 13 languages, in any case, with ``_`` for ``-`` or by its first part."""
    wanted = text(value).replace("_", "-").lower()
    exact = [name for name in LANGUAGES if name.lower() == wanted]
    similar = [
        name for name in LANGUAGES if wanted and name.lower().partition("-")[0] == wanted.partition("-")[0]
    ]
    return (exact or similar or [default])[0]


def gender(value: object, default: Literal["female", "male"]) -> Literal["female", "male"]:
    """``male`` or ``female`` by their first letter, else the default."""
    first = text(value).lower()
    if first in {"m", "male"}:
        return "male"
    return "female" if first in {"f", "female"} else default


def ticket(kind: str, message_id: str) -> str:
    """The number of a sending: ``sms`` or ``voice`` and 12 characters."""
    return kind + message_id.replace("-", "")[-12:]


def as_sms(draft: CodeDraft) -> CodeDraft:
    """The same code by text message."""
    return msgspec.structs.replace(draft, channels=("sms",))
