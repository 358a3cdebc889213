"""Forms as curl and browsers send them with files in mind: ``multipart/form-data`` (RFC 7578)."""

from __future__ import annotations

from email.errors import HeaderParseError
from email.message import Message
from email.parser import BytesParser
from typing import Final

PARTS_MAX: Final = 200


def is_multipart(media: str) -> bool:
    """Whether a ``Content-Type`` says so."""
    return media.strip().lower().startswith("multipart/form-data")


def fields(data: bytes, media: str) -> list[tuple[str, str]]:
    """Names (in ASCII) and values in their order; parts without a name are left out.

    Bytes of a value that are no UTF-8, and of a name that are no ASCII, become U+FFFD.
    ``media`` is the ``Content-Type`` with its boundary. Raises ``ValueError`` for what has no parts or too many.
    """
    if "\r" in media or "\n" in media:
        raise ValueError(media)
    head = b"Content-Type: " + media.encode("utf-8", "replace") + b"\r\n\r\n"
    try:
        whole = BytesParser().parsebytes(head + data)
    except HeaderParseError as error:
        raise ValueError(media) from error
    parts = whole.get_payload()
    if not isinstance(parts, list) or len(parts) > PARTS_MAX:
        raise ValueError(media)
    found = []
    for part in parts:
        if isinstance(part, Message):
            name = part.get_param("name", header="content-disposition")
            value = part.get_payload(decode=True)
            if isinstance(name, str) and isinstance(value, bytes):
                found.append((name, value.decode("utf-8", "replace")))
    return found
