"""The one byte form of a JSON value (RFC 8785), for hashes over values instead of documents."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from typing import Any, Final

from placet_protocol.errors import MalformedError

_SAFE_INTEGER: Final = 2**53 - 1
_DEPTH_LIMIT: Final = 64
_quote: Final = json.JSONEncoder(ensure_ascii=False).encode


def canonical(value: object) -> bytes:
    """RFC 8785 bytes of a JSON value; raises ``MalformedError`` for what JSON numbers or UTF-8 cannot carry exactly."""
    try:
        return _text(value, _DEPTH_LIMIT).encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedError("half a surrogate pair is no text") from error


def hidden_hash(salt: bytes, hidden: dict[str, Any]) -> bytes:
    """The commitment to the hidden details that a request carries: SHA-256(salt ‖ RFC 8785 bytes)."""
    return hashlib.sha256(salt + canonical(hidden)).digest()


def joined(parts: Iterable[bytes]) -> bytes:
    """Parts with a four-byte big-endian length before each, so that no two lists give the same bytes."""
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])


def _text(value: object, depth: int) -> str:
    if depth == 0:
        raise MalformedError("the value is nested too deep")
    match value:
        case str():
            return _quote(value)
        case None | bool():
            return "null" if value is None else "true" if value else "false"
        case int():
            return _integer(value)
        case float():
            return _number(value)
        case dict():
            members = (f"{_quote(name)}:{_text(value[name], depth - 1)}" for name in _ordered(value))
            return "{" + ",".join(members) + "}"
        case list() | tuple():
            return "[" + ",".join([_text(item, depth - 1) for item in value]) + "]"
        case _:
            raise MalformedError(f"{type(value).__name__} is no JSON value")


def _ordered(members: dict[Any, Any]) -> list[str]:
    if not all(isinstance(name, str) for name in members):
        raise MalformedError("a member's name is a text")
    # RFC 8785 sorts by UTF-16 code units; "surrogatepass" leaves refusing halves to the final encoding.
    return sorted(members, key=lambda name: name.encode("utf-16-be", "surrogatepass"))


def _integer(value: int) -> str:
    if not -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
        raise MalformedError("an integer beyond 2^53 - 1 has no exact JSON form")
    return str(value)


def _number(value: float) -> str:
    """ECMAScript's Number::toString, from the shortest digits that Python's repr gives as well."""
    if not math.isfinite(value):
        raise MalformedError("NaN and infinity are no JSON")
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    sign = "-" if value < 0 else ""
    if 0 < point <= 21:
        padded = digits.ljust(point, "0")
        return f"{sign}{padded[:point]}{'.' if len(padded) > point else ''}{padded[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"
