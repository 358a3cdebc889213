from __future__ import annotations

import hashlib
import struct

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from placet_protocol.canonical import canonical, hidden_hash, joined
from placet_protocol.errors import MalformedError

SAFE = st.integers(-(2**53) + 1, 2**53 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | SAFE | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)
# RFC 8785 appendix B: IEEE 754 bits and the text of the number.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_numbers_are_written_as_rfc_8785_says(bits: str, text: str) -> None:
    """The RFC's samples of doubles have the RFC's texts."""
    assert canonical(struct.unpack(">d", bytes.fromhex(bits))[0]).decode() == text


def test_members_are_sorted_by_utf_16() -> None:
    """RFC 8785 section 3.2.3: names sort by code units, so an emoji comes before U+FB33."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    said = canonical(dict.fromkeys(names, 0)).decode()
    assert said == '{"\\r":0,"1":0,"\u0080":0,"\u00f6":0,"\u20ac":0,"\U0001f600":0,"\ufb33":0}'


def test_texts_are_escaped_as_rfc_8785_says() -> None:
    """RFC 8785 section 3.2.2: the fewest escapes, hexadecimal in lower case."""
    value = {"string": "\u20ac$\u000f\nA'\u0042\u0022\u005c\\\"/", "literals": [None, True, False]}
    assert (
        canonical(value).decode()
        == '{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@settings(max_examples=300)
@given(VALUES)
def test_an_independent_implementation_agrees(value: object) -> None:
    """Every JSON value has the same bytes as by the package rfc8785."""
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 2**53, -(2**53), "\ud800", {"\udc00": 1}, {1: 2}, b"x", {1, 2}, object()],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_say_exactly_is_refused(value: object) -> None:
    """Values without one exact JSON form have no canonical bytes."""
    with pytest.raises(MalformedError):
        canonical(value)


def test_endless_nesting_is_refused() -> None:
    """A value that contains itself ends in an error, not in an exhausted stack."""
    value: list[object] = []
    value.append(value)
    with pytest.raises(MalformedError):
        canonical(value)


def test_hidden_details_are_committed_to() -> None:
    """The commitment is SHA-256 of salt and canonical bytes: order does not matter, salt and values do."""
    salt = bytes(range(16))
    assert hidden_hash(salt, {"b": 1, "a": "x"}) == hashlib.sha256(salt + b'{"a":"x","b":1}').digest()
    assert hidden_hash(salt, {"a": "x", "b": 1}) == hidden_hash(salt, {"b": 1, "a": "x"})
    assert hidden_hash(bytes(16), {"a": 1}) != hidden_hash(salt, {"a": 1}) != hidden_hash(salt, {"a": 2})


@given(st.lists(st.binary(max_size=5), max_size=4), st.lists(st.binary(max_size=5), max_size=4))
def test_joined_parts_keep_their_borders(one: list[bytes], other: list[bytes]) -> None:
    """Two lists give the same bytes only if they are equal."""
    assert (joined(one) == joined(other)) == (one == other)
