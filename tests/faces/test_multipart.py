"""Multipart forms, against the writer of aiohttp's client and by hand."""

from __future__ import annotations

import pytest

from placet_server.faces.multipart import PARTS_MAX, fields, is_multipart

MEDIA = 'multipart/form-data; boundary="b7"'


def part(name: str, value: str, more: str = "") -> str:
    return f'--b7\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'


def test_names_and_texts_come_in_their_order() -> None:
    """Repeated names, empty values, line ends inside a value and UTF-8 survive, a file's content is a value."""
    sent = (
        part("a", "1")
        + part("a", "")
        + part("t", "x\r\ny ñ")
        + part("é", "")
        + part("f", "content", '; filename="n.txt"')
    )
    found = fields((sent + "--b7--\r\n").encode(), MEDIA)
    assert found == [("a", "1"), ("a", ""), ("t", "x\r\ny ñ"), ("\ufffd\ufffd", ""), ("f", "content")]


@pytest.mark.parametrize(
    "media", ["multipart/form-data", "multipart/form-data; boundary=other", "multipart/form-data;\r\nX: y"]
)
def test_what_has_no_parts_is_refused(media: str) -> None:
    """A missing or wrong boundary, or a line end in the header, raises ValueError."""
    assert is_multipart(media)
    with pytest.raises(ValueError, match="multipart"):
        fields((part("a", "1") + "--b7--").encode(), media)


def test_too_many_parts_are_refused() -> None:
    """More parts than fields are read elsewhere raise ValueError."""
    with pytest.raises(ValueError, match="multipart"):
        fields((part("a", "1") * (PARTS_MAX + 1) + "--b7--").encode(), MEDIA)


def test_hostile_parts_are_left_out() -> None:
    """Parts without a name or inside another multipart give nothing, bytes that are no UTF-8 become U+FFFD."""
    nested = "--b7\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\nx\r\n--in--\r\n"
    data = (nested + "--b7\r\n\r\nnameless\r\n" + part("a", "\xff")).encode("latin-1") + b"--b7--"
    assert fields(data, MEDIA) == [("a", "\ufffd")]
