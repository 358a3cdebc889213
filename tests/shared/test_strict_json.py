from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet_protocol.errors import MalformedError
from placet_protocol.strictjson import loads

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), VALUES, max_size=4),
    st.booleans(),
)
def test_what_json_says_is_read(value: dict[str, object], ascii_only: bool) -> None:  # noqa: FBT001 - drawn
    """Every object that a strict writer makes is read as it is."""
    assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"1",
        b"null",
        b'"a"',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":[{"b":1,"\\u0062":2}]}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":-1e999}',
        b'{"a":1234567890123456789}',
        b'{"a":-1234567890123456789}',
        b'{"a":0.' + b"1" * 50 + b"}",
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":"\x00"}',
        b'{"a":"\n"}',
        b"{'a':1}",
        b"{a:1}",
        b'{"a":1,}',
        b'{"a":1}{}',
        b'{"a":1}//',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-32"),
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"[" * 32 + b"]" * 32 + b"}",
    ],
)
def test_ambiguous_or_costly_json_is_refused(data: bytes) -> None:
    """Whatever two readers could understand differently, or could make one work without bound, is malformed."""
    with pytest.raises(MalformedError):
        loads(data, limit=200_000)


def test_the_bounds_themselves_are_allowed() -> None:
    """18 digits, 32 levels and the size limit are inside."""
    assert loads(b'{"a":-123456789012345678}') == {"a": -123456789012345678}
    assert loads(b'{"a":' + b"[" * 31 + b"]" * 31 + b"}")
    wide = b'{"a":[' + b"{}," * 500 + b"{}]}"
    assert loads(wide, limit=len(wide))
    with pytest.raises(MalformedError):
        loads(wide, limit=len(wide) - 1)


def test_escapes_of_whole_pairs_are_read() -> None:
    """An emoji may be written as its two escapes."""
    assert loads(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}
