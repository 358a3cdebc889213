"""Parameters of foreign clients, wherever they put them: query, form (also multipart), JSON, XML, even behind a GET."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from placet_server.domain.refusals import RefusedError
from placet_server.faces.hashxml import from_xml
from placet_server.faces.multipart import fields, is_multipart
from placet_server.faces.rack import PAIRS_MAX, NestingError, nested
from placet_server.web.apilog import SENT
from placet_server.web.wire import body

_KEPT: Final = web.RequestKey("params", dict[str, Any])


class NotTextError(RefusedError):
    """Parameters whose bytes are no UTF-8; some dialects have a code of their own for that."""

    def __init__(self) -> None:
        super().__init__("invalid_request", "body - is not in UTF-8.")


async def read(request: web.Request) -> dict[str, Any]:
    """Query and body in one dictionary, read once a request; JSON ``null`` is as good as absent.

    Equal duplicates pass. Raises ``invalid_request`` where a name is given two values, be it in one place or in query
    and body, where names do not nest, or the body is neither form, JSON nor XML; ``NotTextError`` says it is no UTF-8.
    """
    if _KEPT in request:
        return request[_KEPT]
    try:
        params = nested(pairs(request.rel_url.raw_query_string))
        if request.body_exists and (data := await body(request)):
            for name, value in _body(data, request.headers.get("Content-Type", "")).items():
                if params.setdefault(name, value) != value:
                    raise RefusedError(
                        "invalid_request", f"{_shown(name)} - is given twice, with two values."
                    )
    except NestingError as error:
        raise RefusedError("invalid_request", f"{_shown(str(error))} - does not nest.") from None
    except UnicodeDecodeError:
        raise NotTextError from None
    except (ValueError, RecursionError):
        raise RefusedError("invalid_request", "body - is neither a form nor JSON nor XML in UTF-8.") from None
    request[_KEPT] = request[SENT] = params
    return params


def pairs(text: str) -> list[tuple[str, str]]:
    """The fields of a query or form in their order; raises ``ValueError``."""
    return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=PAIRS_MAX) if text else []


def _body(data: bytes, media: str) -> dict[str, Any]:
    if is_multipart(media):
        return nested(fields(data, media))
    text = data.decode()
    # The label is not to be trusted: some clients call every body a form, others call every body JSON.
    if text.lstrip()[:1] in {"{", "["}:
        value = _decode(text)
        if not isinstance(value, dict):
            raise ValueError(media)
        return {name: item for name, item in value.items() if item is not None}
    if "xml" in media.lower():
        return from_xml(data) if text.strip() else {}
    return nested(pairs(text))


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= 18 else digits


def _fraction(digits: str) -> int | float:
    """A number with a point or exponent; a whole one is an integer, so that 33611223344.0 has no digit more."""
    value = float(digits)
    return int(value) if value.is_integer() and abs(value) < 10**15 else value


def _nothing(_name: str) -> None:
    """``NaN`` and ``Infinity``, which JSON does not have, are as good as absent."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these members; raises ``ValueError`` where one is given twice, with two values."""
    members: dict[str, Any] = {}
    for name, value in pairs:
        if members.setdefault(name, value) != value:
            raise ValueError(name)
    return members


def _shown(name: str) -> str:
    return "".join(char for char in name[:40] if char.isascii() and char.isprintable())


_decode: Final = json.JSONDecoder(
    parse_int=_integer, parse_float=_fraction, parse_constant=_nothing, object_pairs_hook=_object
).decode
