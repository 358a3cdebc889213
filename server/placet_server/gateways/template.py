"""Texts with ``{placeholders}``, filled in so that no value can leave its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

_PART: Final = re.compile(r"\{\{|\}\}|\{([a-zA-Z0-9_.-]+)\}|[{}]")
_ONE: Final = re.compile(r"\{([a-zA-Z0-9_.-]+)\}")

Values = Mapping[str, str | None]


class UnfitValueError(Exception):
    """A value that its place cannot hold; the text names the place, not the value."""


def check(template: str, known: Iterable[str]) -> None:
    """Refuse a template with an unknown placeholder or a lone brace; raises ``ValueError`` with a sentence."""
    names = list(known)
    for part in _PART.finditer(template):
        if part[0] in {"{", "}"}:
            raise ValueError(f"{template!r} has a lone brace: write {{{{ or }}}} for the sign itself")
        if part[1] is not None and part[1] not in names:
            close = difflib.get_close_matches(part[1], names, n=1, cutoff=0.0)
            raise ValueError(
                f"{template!r} has the unknown placeholder {{{part[1]}}}: did you mean {{{close[0]}}}?"
            )


def fill(template: str, values: Values, encode: Callable[[str], str] = str) -> str:
    """The template with every value encoded for its place; a value that is None reads as empty."""

    def part(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        return encode(values[found[1]] or "")

    return _PART.sub(part, template)


def fields(table: Mapping[str, str], values: Values) -> dict[str, str]:
    """Each field filled in; one that is nothing but a placeholder without a value is left out."""
    return {name: fill(text, values) for name, text in table.items() if not _absent(text, values)}


def tree(template: Any, values: Values) -> Any:  # noqa: ANN401 - JSON
    """A JSON value with all its texts filled in, whatever they hold; members without a value are left out."""
    if isinstance(template, str):
        return fill(template, values)
    if isinstance(template, Mapping):
        return {
            name: tree(member, values)
            for name, member in template.items()
            if not (isinstance(member, str) and _absent(member, values))
        }
    if isinstance(template, list | tuple):
        return [tree(item, values) for item in template]
    return template


def texts(template: Any) -> Iterable[str]:  # noqa: ANN401 - JSON
    """All texts inside a JSON value."""
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for member in template.values():
            yield from texts(member)
    elif isinstance(template, list | tuple):
        for item in template:
            yield from texts(item)


def for_url(value: str) -> str:
    """A value inside a URL: every sign but letters, digits and ``_.-~`` encoded, and no step of a path."""
    if value.strip(".") == "":
        raise UnfitValueError("a value in the URL is empty or only dots")
    return quote(value, safe="")


def for_header(value: str) -> str:
    """A value inside a header field: printable ASCII only (RFC 9110 §5.5)."""
    if not value.isascii() or not value.isprintable():
        raise UnfitValueError("a header field takes printable ASCII only")
    return value


def for_xml(value: str) -> str:
    """A value inside XML text or a quoted attribute."""
    return escape(value, {'"': "&quot;", "'": "&apos;"})


def _absent(template: str, values: Values) -> bool:
    alone = _ONE.fullmatch(template)
    return alone is not None and values[alone[1]] is None
