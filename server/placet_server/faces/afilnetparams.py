"""What Afilnet's clients send: one flat set of names and texts, however it travels.

GET  ?class=otp&method=…&user=a@b.c&password=p%20w&     raw @, a trailing &, empty values
POST form, multipart or JSON body, or an empty body behind a query; body values win over those of the query
GET  /api/http/class=sms&method=…                       a plug-in that forgets the question mark
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web
from msgspec import Struct

from placet_server.domain.refusals import RefusedError
from placet_server.faces import multipart
from placet_server.web.wire import body

PAIRS_MAX: Final = 200
FORGETFUL: Final = "/api/http/class="
"""How a path begins that is a query without its question mark."""

_WHOLE_MAX: Final = 10**15
_UNIQUE: Final = frozenset({"user", "password", "destination", "to"})


class Sent(Struct, frozen=True):
    """Parameters by name, trimmed; ``conflicts`` are those of credential and destination that were given two values."""

    values: Mapping[str, str]
    conflicts: frozenset[str] = frozenset()

    def get(self, name: str) -> str:
        """The value; an absent one is as good as an empty one."""
        return self.values.get(name, "")

    def with_values(self, **values: str) -> Sent:
        """The same with other values of some names."""
        return Sent({**self.values, **values}, self.conflicts)


async def read(request: web.Request) -> Sent:
    """Query and body as one set; what is neither form nor JSON reads as nothing.

    Raises ``too_large``, ``timeout``, ``unsupported_media_type`` and ``invalid_request`` as the body's reader does.
    """
    pairs = _pairs(request.rel_url.raw_query_string)
    path = request.rel_url.raw_path
    if path.lower().startswith(FORGETFUL):
        pairs = _pairs(path[len(FORGETFUL) - len("class=") :]) + pairs
    if request.body_exists and (data := await body(request)):
        pairs += _body(data, request.headers.get("Content-Type", ""))
    return gathered(pairs)


def gathered(pairs: Iterable[tuple[str, str]]) -> Sent:
    """One set of these; the last of a name wins."""
    values: dict[str, str] = {}
    conflicts = set()
    for name, text in pairs:
        # Half surrogates, from odd bytes or JSON escapes, can be neither hashed nor stored.
        value = text.encode("utf-8", "replace").decode().strip()
        if name in _UNIQUE and values.get(name, value) != value:
            conflicts.add(name)
        values[name] = value
    return Sent(values, frozenset(conflicts))


def basic(request: web.Request) -> tuple[str, str] | None:
    """User and password of ``Authorization: Basic`` (RFC 7617), in UTF-8 or else Latin-1; None without one."""
    scheme, _, encoded = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        raw = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    user, colon, password = text.partition(":")
    return (user.strip(), password.strip()) if colon else None


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=PAIRS_MAX)
    except ValueError:
        raise RefusedError("invalid_request", f"There are more than {PAIRS_MAX} parameters.") from None


def _body(data: bytes, media: str) -> list[tuple[str, str]]:
    try:
        if multipart.is_multipart(media):
            return multipart.fields(data, media)
        text = data.decode("utf-8", "replace")
        if text.lstrip()[:1] != "{":
            return _pairs(text)
        members = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [(name, _text(value)) for name, value in members.items()]


def _text(value: Any) -> str:  # noqa: ANN401 - what JSON can hold
    """A JSON value as a form would carry it; lists and objects say nothing here."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case float():  # a whole one has no digit more behind its point
            return str(int(value)) if value.is_integer() and abs(value) < _WHOLE_MAX else str(value)
        case _:
            return ""
