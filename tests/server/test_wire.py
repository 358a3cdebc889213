"""The fast reading of JSON accepts nothing that the careful one refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet_protocol.errors import MalformedError
from placet_protocol.strictjson import loads
from placet_server.domain.refusals import RefusedError
from placet_server.web.wire import decode

NAMES = st.sampled_from(['"a"', '"b"', '":x"', '","', '", "', '"}"', '"a:"', '"é"', '"\\u0061"', '"\\""'])
SPACE = st.sampled_from(["", " ", "\n", "\t "])
SCALARS = st.sampled_from(
    ['"v"', '":x"', '""', '","', "1", "-2.5e3", "true", "null", "1" * 18, "1" * 19, '"' + "9" * 30 + '"']
)


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """JSON objects as text, in which names may stand twice."""
    members = st.lists(
        st.tuples(NAMES, SPACE, SPACE, values).map(lambda m: f"{m[1]}{m[0]}{m[2]}:{m[1]}{m[3]}"), max_size=5
    )
    return members.map(lambda each: "{" + ",".join(each) + "}")


VALUES = st.recursive(
    SCALARS,
    lambda inner: objects(inner) | st.lists(inner, max_size=3).map(lambda v: f"[{','.join(v)}]"),
    max_leaves=12,
)


@given(objects(VALUES))
def test_api_10_a_repeated_member_is_refused_wherever_it_hides(text: str) -> None:
    """Both readings agree on every text: repeated members, long numbers and escapes included."""
    try:
        expected: dict[str, Any] | None = loads(text.encode())
    except MalformedError:
        expected = None
    try:
        got = decode(text.encode(), dict[str, Any])
    except RefusedError:
        got = None
    assert got == expected


@pytest.mark.parametrize("depth", [32, 33, 5000])
def test_depth_is_bounded(depth: int) -> None:
    """Thirty-two levels are read, more are refused, however many."""
    text = b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)
    if depth <= 32:
        assert decode(text, dict[str, Any]) == json.loads(text)
    else:
        with pytest.raises(RefusedError):
            decode(text, dict[str, Any])
