"""Form fields with brackets, as Rack and Rails nest them, and parameters from query, form and JSON in one dictionary.

user[email]=a&user[country_code]=1        {"user": {"email": "a", "country_code": "1"}}
events[]=a&events[]=b                     {"events": ["a", "b"]}
logos[][res]=low&logos[][url]=u           {"logos": [{"res": "low", "url": "u"}]}; a repeated inner key starts a new one
logos[0][res]=low&logos[0][url]=u         {"logos": {"0": {…}}}; ``as_list`` reads both forms
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

PAIRS_MAX: Final = 200
DEPTH_MAX: Final = 5
_KEY: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART: Final = re.compile(r"\[([^\[\]]*)\]")


class NestingError(ValueError):
    """A parameter's name does not nest, or contradicts another's."""


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The dictionary that these fields spell; raises ``NestingError`` where a name is used in two ways."""
    result: dict[str, Any] = {}
    for count, (key, value) in enumerate(pairs):
        if count >= PAIRS_MAX:
            raise NestingError(key[:40])
        _nest(result, key, value)
    return result


def repaired(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """As ``nested``, but the last of a name counts, and a field that does not nest is left out."""
    result: dict[str, Any] = {}
    listed = list(pairs)
    if len(listed) > PAIRS_MAX:
        raise NestingError(listed[PAIRS_MAX][0][:40])
    last = dict(listed)
    for key, value in listed:
        with suppress(NestingError):
            _nest(result, key, value if "[]" in key else last[key])
    return result


def _nest(into: dict[str, Any], key: str, value: str) -> None:
    match = _KEY.fullmatch(key)
    parts = _PART.findall(match[2]) if match else []
    if match is None or len(parts) > DEPTH_MAX:
        raise NestingError(key[:40])
    _put(into, match[1], parts, value)


def _put(into: dict[str, Any], name: str, parts: list[str], value: str) -> None:
    if not parts:
        if name in into and into[name] != value:
            raise NestingError(name)
        into[name] = value
    elif parts[0]:
        child = into.setdefault(name, {})
        if not isinstance(child, dict):
            raise NestingError(name)
        _put(child, parts[0], parts[1:], value)
    else:
        items = into.setdefault(name, [])
        if not isinstance(items, list):
            raise NestingError(name)
        _append(items, parts[1:], value)


def _append(items: list[Any], parts: list[str], value: str) -> None:
    if not parts:
        items.append(value)
        return
    if not items or not isinstance(items[-1], dict) or (len(parts) == 1 and parts[0] in items[-1]):
        items.append({})
    _put(items[-1], parts[0], parts[1:], value)


def as_list(value: object) -> list[Any]:
    """A list however it was written: JSON array, ``name[]``, ``name[0]``; anything else is an empty list."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and value and all(key.isdecimal() for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return []


def flag(value: object) -> bool:
    """Whether a parameter says yes: true, True, 1, "true", "1"; everything else says no."""
    return str(value).lower() in {"true", "1"}
