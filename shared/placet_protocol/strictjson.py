"""JSON as both ends must read it: one meaning for every text, and bounds on what it may cost."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from placet_protocol.errors import MalformedError

SIZE_LIMIT: Final = 65_536
DEPTH_LIMIT: Final = 32
_INTEGER_DIGITS: Final = 18
_FLOAT_CHARACTERS: Final = 40
_T = TypeVar("_T")


def loads(data: bytes, limit: int = SIZE_LIMIT) -> dict[str, Any]:
    """The object that a JSON text says, in UTF-8.

    Raises ``MalformedError`` for everything that two readers could understand differently (members given twice, NaN,
    lone surrogates, numbers out of range), beyond ``limit`` bytes, 32 levels or 18 digits, and when it is no object.
    """
    if len(data) > limit:
        raise MalformedError(f"the JSON is longer than {limit} bytes")
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        if b"\\u" in data:  # escapes are the only way to half a surrogate pair
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise MalformedError("not JSON in UTF-8") from error
    if not isinstance(value, dict):
        raise MalformedError("the JSON is no object")
    if data.count(b"{") + data.count(b"[") > DEPTH_LIMIT and _depth(value) > DEPTH_LIMIT:
        raise MalformedError(f"the JSON is nested deeper than {DEPTH_LIMIT} levels")
    return value


def typed(members: dict[str, Any], kind: type[_T]) -> _T:
    """The members as this kind of struct; raises ``MalformedError`` naming the place that does not fit."""
    try:
        return msgspec.convert(members, kind)
    except msgspec.ValidationError as error:
        raise MalformedError(str(error)) from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedError("a member is given twice")
    return members


def _integer(text: str) -> int:
    if len(text) > _INTEGER_DIGITS + text.startswith("-"):
        raise MalformedError(f"a number has more than {_INTEGER_DIGITS} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text) if len(text) <= _FLOAT_CHARACTERS else math.inf
    if math.isinf(value):
        raise MalformedError("a number is out of range")
    return value


def _constant(text: str) -> NoReturn:
    raise MalformedError(f"{text} is no JSON")


def _depth(value: object) -> int:
    """Levels of nesting, breadth first, so that no input can exhaust the stack."""
    depth, level = 0, [value]
    while containers := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [
            inner for item in containers for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
