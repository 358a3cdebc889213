"""Callbacks are signed as Authy signs them: published rule, vectors, and a client's own verifier."""

from __future__ import annotations

import json
from typing import Any

import pytest
from authy.api import AuthyApiClient

from placet_server.faces.authysign import canonical, signature, without_query

KEY = "foobar123"
BODY = (
    '{"uuid":"u-1","status":"approved","authy_id":7,"flag":false,"empty":{},"nothing":null,'
    '"device":{"modes":["pin","face"]},"device_uuid":"11","approval_request":{"logos":'
    '[{"res":"low","url":"https://e.com/a b.png"},{"res":"high","url":"https://e.com/c.png"}],'
    '"details":{"Process ID":"Bogot\\u00e1 1/2"}}}'
)
CANON = (
    "approval_request%5Bdetails%5D%5BProcess+ID%5D=Bogot%C3%A1+1%2F2&"
    "approval_request%5Blogos%5D%5B%5D%5Bres%5D=low&"
    "approval_request%5Blogos%5D%5B%5D%5Burl%5D=https%3A%2F%2Fe.com%2Fa+b.png&"
    "approval_request%5Blogos%5D%5B%5D%5Bres%5D=high&"
    "approval_request%5Blogos%5D%5B%5D%5Burl%5D=https%3A%2F%2Fe.com%2Fc.png&"
    "authy_id=7&device%5Bmodes%5D%5B%5D=pin&device%5Bmodes%5D%5B%5D=face&device_uuid=11&flag=false&nothing=&"
    "status=approved&uuid=u-1"
)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("POST", "4f9676D/+BzsEq8NzF0fXpv7qETnzJUW/4YGe7p0EPM="),
        ("GET", "W+RlOV+lGi1EA9jaT1X5hL1aJFAuTRwnHuQhCp2tAxI="),
    ],
)
def test_the_flat_vector_is_reproduced(method: str, expected: str) -> None:
    """Separators inside of values are escaped, and the method takes part."""
    params = {"b": "val|ue&2", "a": "value1"}
    assert canonical(params) == "a=value1&b=val%7Cue%262"
    url = "https://api.authy.com/dashboard/json/application/webhooks"
    assert signature(KEY, "1427849783.886085", method, url, canonical(params)) == expected


def test_the_nested_vector_is_reproduced() -> None:
    """Hashes, lists of hashes, null, false, empty hashes, spaces and accents are spelled as Rails spells them."""
    params = json.loads(BODY)
    assert canonical(params) == CANON
    expected = "QwqYqNM3VAWejN02HGEcCBuMPxJqzdxgEQ1qL15IBSo="
    assert signature(KEY, "1700000000", "POST", "http://127.0.0.1:8080/cb", canonical(params)) == expected


def test_the_url_is_the_one_that_a_receiver_rebuilds() -> None:
    """Explicit path, lower-case host, port as given, no query."""
    assert without_query("https://Example.COM?x=1") == "https://example.com/"
    assert without_query("http://127.0.0.1:8080/Cb/?a=b#c") == "http://127.0.0.1:8080/Cb/"


@pytest.mark.parametrize(
    "params",
    [
        {"a": "1", "b": {"c": "2", "d": None}, "e": ["x", "y"], "f": "Ünïcødé ~*()'\"", "g": ""},
        {"approval_request": {"transaction": {"details": {"Amount": "10 EUR", "To": "Zoé"}}}, "authy_id": 7},
        json.loads(BODY),
    ],
)
def test_the_python_client_accepts_what_we_sign(params: dict[str, Any]) -> None:
    """The PyPI client's own verifier says yes, and no when one value is another."""
    verify = AuthyApiClient(KEY, "http://127.0.0.1:9").one_touch.validate_one_touch_signature
    url, nonce = "http://127.0.0.1:8080/cb", "1700000000"
    signed = signature(KEY, nonce, "POST", url, canonical(params))
    assert verify(signed, nonce, "POST", url, params)
    assert not verify(signed, nonce, "POST", url, {**params, "authy_id": 8})
    assert not verify(signed, nonce, "GET", url, params)
