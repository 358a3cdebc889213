"""Dictionaries as the XML that Rails writes for them.

    {"user": {"id": 7}, "success": True, "device": None}

    <hash><user><id type="integer">7</id></user><success type="boolean">true</success><device nil="true"/></hash>

Keys are dasherised; ``<errors>`` is the root of every error; list items take the singular of their list's name.
"""

from __future__ import annotations

import re
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def to_xml(body: dict[str, Any], *, root: str) -> bytes:
    """A UTF-8 document; characters that XML cannot carry become U+FFFD."""
    element = Element(root)
    for key, value in body.items():
        _add(element, key, value)
    document: bytes = tostring(element, encoding="utf-8", xml_declaration=True)
    return document


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
