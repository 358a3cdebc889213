"""Parameters of foreign clients, wherever they put them: query, form (also multipart), JSON, XML, even behind a GET."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from placet_server.domain.refusals import RefusedError
from placet_server.faces.hashxml import from_xml
from placet_server.faces.multipart import fields, is_multipart
from placet_server.faces.rack import PAIRS_MAX, NestingError, nested, repaired
from placet_server.web.apilog import SENT
from placet_server.web.wire import body

_Form = Callable[[list[tuple[str, str]]], dict[str, Any]]
_Hook = Callable[[list[tuple[str, Any]]], dict[str, Any]]
_KEPT: Final = web.RequestKey("params", dict[str, Any])


class NotTextError(RefusedError):
    """Parameters whose bytes are no UTF-8; some dialects have a code of their own for that."""

    def __init__(self) -> None:
        super().__init__("invalid_request", "body - is not in UTF-8.")


async def read(request: web.Request, *, single: frozenset[str] | None = None) -> dict[str, Any]:
    """Query and body in one dictionary, read once a request; JSON ``null`` is as good as absent.

    Equal duplicates pass. Raises ``invalid_request`` where a name is given two values, be it in one place or in query
    and body, where names do not nest, or the body is neither form, JSON nor XML; ``NotTextError`` says it is no UTF-8.

    For a tolerant dialect the last of two values counts, the body's after the query's, and what does not nest is left
    out; only the names of ``single`` must not have two: then it raises ``invalid_destination``.
    """
    if _KEPT in request:
        return request[_KEPT]
    form, decode = _STRICT if single is None else (partial(_repaired, single), _decoder(_last(single)))
    try:
        params = form(pairs(request.rel_url.raw_query_string))
        if request.body_exists and (data := await body(request)):
            for name, value in _body(data, request.headers.get("Content-Type", ""), form, decode).items():
                if params.get(name, value) != value:
                    if single is None:
                        raise RefusedError(
                            "invalid_request", f"{_shown(name)} - is given twice, with two values."
                        )
                    _one_value(single, name)
                params[name] = value
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


def _body(data: bytes, media: str, form: _Form, decode: Callable[[str], Any]) -> dict[str, Any]:
    if is_multipart(media):
        return form(fields(data, media))
    text = data.decode()
    # The label is not to be trusted: some clients call every body a form, others call every body JSON.
    if text.lstrip()[:1] in {"{", "["}:
        value = decode(text)
        if not isinstance(value, dict):
            raise ValueError(media)
        return {name: item for name, item in value.items() if item is not None}
    if "xml" in media.lower():
        return from_xml(data) if text.strip() else {}
    return form(pairs(text))


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


def _last(single: frozenset[str]) -> _Hook:
    """As ``_object``, but the last of a name counts, unless it is one of these."""

    def gathered(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for name, value in pairs:
            if members.get(name, value) != value:
                _one_value(single, name)
            if value is not None:
                members[name] = value
        return members

    return gathered


def _repaired(single: frozenset[str], pairs: list[tuple[str, str]]) -> dict[str, Any]:
    known: dict[str, str] = {}
    for key, value in pairs:
        if known.setdefault(key, value) != value and "[]" not in key:
            _one_value(single, key.rstrip("]").rpartition("[")[2])
    return repaired(pairs)


def _one_value(single: frozenset[str], name: str) -> None:
    """Raise ``invalid_destination`` where a name with two values is one of these."""
    if name in single:
        raise RefusedError("invalid_destination", f"{_shown(name)} - is given twice, with two values.")


def _shown(name: str) -> str:
    return "".join(char for char in name[:40] if char.isascii() and char.isprintable())


def _decoder(gather: _Hook) -> Callable[[str], Any]:
    return json.JSONDecoder(
        parse_int=_integer, parse_float=_fraction, parse_constant=_nothing, object_pairs_hook=gather
    ).decode


_STRICT: Final = (nested, _decoder(_object))
