"""The tables of docs/gateways.md as the code would write them: ``python -m support.gateway_tables`` prints them."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from placet_server.carriers import GROUP, Common, _fields

_WORDS = {
    str: "text",
    int: "integer",
    float: "seconds",
    bool: "true or false",
    frozenset: "list",
    dict: "table",
}


def rows(kind: type[Struct]) -> list[str]:
    """One Markdown row for each key of a gateway's table."""
    described = get_type_hints(kind, include_extras=True)
    by_name = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    found = []
    for key, given in _fields(kind).items():
        field = by_name[given.field]
        hint = described[field.name]
        word = {"secret": "file", "secrets": "table of files"}.get(given.kind) or _word(hint)
        found.append(f"| `{key}` | {word} | {_default(field)} | {_meaning(hint)} |")
    return found


def plugins() -> dict[str, list[str]]:
    """The rows of every built-in type."""
    points = [point for point in entry_points(group=GROUP) if point.value.startswith("placet_server.")]
    return {point.name: rows(point.load().settings) for point in sorted(points, key=lambda each: each.name)}


def common() -> list[str]:
    """The rows of what every table may hold."""
    return rows(Common)


def _word(hint: Any) -> str:
    for each in (hint, *get_args(hint)):
        if get_origin(each) is not None and each is not hint and (inner := _word(each)) != "table":
            return inner
        plain = get_origin(each) or each
        if plain in _WORDS:
            return _WORDS[plain]
        if str(plain) == "typing.Literal":
            return " or ".join(f"`{value}`" for value in get_args(each))
        if getattr(plain, "__name__", "") == "Path":
            return "file"
        if isinstance(plain, type) and issubclass(plain, Struct):
            return "table"
    return "table"


def _default(field: Any) -> str:
    if field.required:
        return "(must be set)"
    if field.default in {None, msgspec.NODEFAULT} or field.default is msgspec.NODEFAULT:
        return ""
    default = str(field.default).lower() if isinstance(field.default, bool) else f"{field.default}"
    return f"`{default}`" if default else ""


def _meaning(hint: Any) -> str:
    return next(
        (
            each.description
            for each in getattr(hint, "__metadata__", ())
            if isinstance(each, Meta) and each.description
        ),
        "",
    )


if __name__ == "__main__":
    print("\n".join(common()))
    for name, lines in plugins().items():
        print(f"\n{name}", *lines, sep="\n")
