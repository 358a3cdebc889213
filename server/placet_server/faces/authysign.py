"""How Authy signs its callbacks, as its clients check them.

    canon = Rails' to_query of the parameters
    data  = nonce | METHOD | url without query | canon
    X-Authy-Signature = base64(HMAC-SHA256(key = the application's API key, data))

A hash's children are each spelled, empty hashes dropped, the spellings sorted bytewise and joined by ``&``; a list keeps
its order; null is ``key=``. Everything but ``A-Z a-z 0-9 - _ . ~`` is percent-encoded, a space is ``+``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus, urlsplit, urlunsplit


def canonical(params: dict[str, Any], *, tilde: bool = True) -> str:
    """The parameters as a query, in the one order that sender and receiver agree on; ``tilde``: it is left as it is."""
    query = "&".join(sorted(_children(params)))
    return query if tilde else query.replace("~", "%7E")


def signature(key: str, nonce: str, method: str, url: str, canon: str) -> str:
    """What ``X-Authy-Signature`` carries; a query of ``url`` is left out here and belongs into the parameters."""
    data = "|".join((nonce, method.upper(), without_query(url), canon))
    return base64.b64encode(hmac.digest(key.encode(), data.encode(), hashlib.sha256)).decode()


def without_query(url: str) -> str:
    """The URL with an explicit path, a lower-case host and no query: what a receiver rebuilds from its request."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path or "/", "", ""))


def _children(params: dict[str, Any], namespace: str = "") -> Iterator[str]:
    for key, value in params.items():
        spelled = _spelled(f"{namespace}[{key}]" if namespace else str(key), value)
        if spelled is not None:
            yield spelled


def _spelled(name: str, value: object) -> str | None:
    match value:
        case dict():
            return "&".join(sorted(_children(value, name))) or None
        case list() | tuple():
            if not value:
                return _pair(f"{name}[]", "")
            return "&".join(filter(None, (_spelled(f"{name}[]", item) for item in value)))
        case None:
            return _pair(name, "")
        case bool():
            return _pair(name, "true" if value else "false")
        case _:
            return _pair(name, str(value))


def _pair(name: str, value: str) -> str:
    return f"{_escaped(name)}={_escaped(value)}"


def _escaped(text: str) -> str:
    return quote_plus(text, safe="", encoding="utf-8", errors="replace")
