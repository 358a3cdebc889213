"""Dictionaries as the XML that Rails writes for them, and small documents as dictionaries.

    {"user": {"id": 7}, "success": True, "device": None}

    <hash><user><id type="integer">7</id></user><success type="boolean">true</success><device nil="true"/></hash>

Keys are dasherised; ``<errors>`` is the root of every error; list items take the singular of their list's name.
"""

from __future__ import annotations

import re
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring
from xml.parsers.expat import ExpatError, ParserCreate, XMLParserType

_DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DEPTH_MAX: Final = 5
_ELEMENTS_MAX: Final = 200
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def to_xml(body: dict[str, Any], *, root: str) -> bytes:
    """A UTF-8 document; characters that XML cannot carry become U+FFFD."""
    element = Element(root)
    for key, value in body.items():
        _add(element, key, value)
    # Texts and attributes hold no bare ">", so this is the end of an empty element, which Rails writes without a space.
    document: bytes = tostring(element, encoding="utf-8").replace(b" />", b"/>")
    return _DECLARATION + document


def from_xml(data: bytes) -> dict[str, Any]:
    """The dictionary that a document of nested elements spells, its root's name included; attributes do not count.

    Raises ``ValueError`` for what is not well-formed, for a document type or entities of its own, and beyond five levels
    or 200 elements.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(data, True)
    except ExpatError as error:
        raise ValueError(str(error)) from None
    return reader.root


def xml_text(text: str) -> str:
    """The text with U+FFFD in place of what XML cannot carry."""
    return _FORBIDDEN.sub("\ufffd", text)


def _add(parent: Element, key: str, value: object) -> None:
    name = key.replace("_", "-")
    if _NAME.fullmatch(name):
        child = SubElement(parent, name)
    else:  # a detail's label may be any text, an element's name may not
        child = SubElement(parent, "entry", {"key": xml_text(key)})
    match value:
        case None:
            child.set("nil", "true")
        case bool():
            child.set("type", "boolean")
            child.text = "true" if value else "false"
        case int():
            child.set("type", "integer")
            child.text = str(value)
        case dict():
            for inner, item in value.items():
                _add(child, str(inner), item)
        case list() | tuple():
            child.set("type", "array")
            for item in value:
                _add(child, key.removesuffix("s") if key.endswith("s") else "item", item)
        case _:
            child.text = xml_text(str(value))


class _Reader:
    """Builds the dictionary while the parser reads."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self.parser: XMLParserType = ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = _refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._open: list[tuple[str, dict[str, Any], list[str]]] = [("", self.root, [])]
        self._count = 0

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) > _DEPTH_MAX or self._count > _ELEMENTS_MAX:
            raise ValueError(name[:40])
        self._open.append((name.replace("-", "_"), {}, []))

    def _end(self, _name: str) -> None:
        name, children, texts = self._open.pop()
        value = children or "".join(texts).strip()
        if self._open[-1][1].setdefault(name, value) != value:
            raise ValueError(name[:40])

    def _text(self, text: str) -> None:
        self._open[-1][2].append(text)


def _refuse(*_declaration: object) -> None:
    raise ValueError("DOCTYPE")
