"""Reading what arrives and writing what leaves: bodies with a size and a deadline, strict JSON, strict queries."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_exceptions import HTTPException

from placet_server.domain.refusals import RefusedError
from placet_server.web.problems import HEADERS

BODY_MAX: Final = 65_536
BODY_SECONDS: Final = 30.0
JSON_DEPTH_MAX: Final = 32
INTEGER_DIGITS_MAX: Final = 18
QUERY_MAX: Final = 20
_PARTIAL: Final = (ClientPayloadError, HttpProcessingError, HTTPException, EOFError, ValueError)

T = TypeVar("T")
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_encode: Final = msgspec.json.Encoder().encode


async def body(request: web.Request, *, limit: int = BODY_MAX, seconds: float = BODY_SECONDS) -> bytes:
    """The whole body; raises ``too_large``, ``timeout``, and ``invalid_request`` for broken framing.

    ``Content-Encoding`` is refused rather than decoded, so that no small body grows.
    """
    if "Content-Encoding" in request.headers and request.headers["Content-Encoding"].lower() != "identity":
        raise RefusedError("unsupported_media_type", "Send the body without Content-Encoding.")
    content = request.content
    try:
        data = content.read_nowait()
        if not content.at_eof():
            async with asyncio.timeout(seconds):
                while len(data) <= limit and not content.at_eof():
                    data += await content.readany()
    except TimeoutError:
        raise RefusedError("timeout", f"The body did not arrive within {seconds:.0f} seconds.") from None
    except _PARTIAL:
        raise RefusedError("invalid_request", "The body is not framed as HTTP says.") from None
    if len(data) > limit:
        raise RefusedError("too_large", f"The body has more than {limit} bytes.")
    return data


async def json_body(request: web.Request, kind: type[T], *, optional: bool = False) -> T:
    """The JSON body as a value of this type; an absent body reads as ``{}`` where it is optional."""
    data = await body(request)
    if not data and optional:
        data = b"{}"
    elif (media := request.headers.get("Content-Type", "")) != "application/json":
        _json_type(media)
    return decode(data, kind)


def decode(data: bytes, kind: type[T]) -> T:
    """Strict JSON as a value of this type.

    Raises ``invalid_request`` naming the place for a wrong type, an unknown or repeated member, more than 32 levels,
    integers of more than 18 digits, or what is no JSON at all.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        value: T = decoder.decode(data)
        # A repeated member needs two colons; most small bodies have one and skip the second look.
        if data.count(b":") > 1:
            _look_again(data)
    except msgspec.ValidationError as error:
        raise RefusedError("invalid_request", _sentence(str(error))) from None
    except (ValueError, RecursionError):  # DecodeError and UnicodeDecodeError are ValueErrors
        raise RefusedError("invalid_request", "The body is no well-formed JSON in UTF-8.") from None
    return value


def query(request: web.Request, kind: type[T]) -> T:
    """The query as a value of this type; raises ``invalid_request`` for a repeated or unknown parameter."""
    raw = request.rel_url.raw_query_string
    try:
        pairs = (
            parse_qsl(
                raw, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=QUERY_MAX
            )
            if raw
            else []
        )
        values = dict(pairs)
        if len(values) < len(pairs):
            raise RefusedError("invalid_request", "A query parameter is given more than once.")
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise RefusedError("invalid_request", _sentence(str(error))) from None
    except ValueError:
        raise RefusedError("invalid_request", "The query is not well-formed.") from None


def reply(status: int, value: object) -> web.Response:
    """A JSON answer."""
    return web.Response(status=status, body=_encode(value), headers=HEADERS)


def encode(value: object) -> bytes:
    """A value as JSON."""
    return _encode(value)


def rfc3339(ms: int) -> str:
    """A time in ms UTC as RFC 3339 text with milliseconds."""
    at = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def _json_type(media: str) -> None:
    kind, _, parameters = media.partition(";")
    charset = parameters.strip().lower().replace('"', "").replace(" ", "")
    if kind.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise RefusedError("unsupported_media_type", "Send Content-Type: application/json in UTF-8.")


def _sentence(message: str) -> str:
    text, _, place = message.partition(" - at `$")
    named = place.rstrip("`").removeprefix(".")
    return f"{named}: {text.replace('`', '')}." if named else f"{text.replace('`', '')}."


def _look_again(data: bytes) -> None:
    if data.count(b"{") + data.count(b"[") > JSON_DEPTH_MAX:
        _check_depth(data)
    _STRICT.decode(data.decode())


def _check_depth(data: bytes) -> None:
    depth = 0
    quoted = escaped = False
    for byte in data:
        if quoted:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                quoted = False
        elif byte == 0x22:
            quoted = True
        elif byte in b"{[":
            depth += 1
            if depth > JSON_DEPTH_MAX:
                raise RefusedError("invalid_request", f"The JSON has more than {JSON_DEPTH_MAX} levels.")
        elif byte in b"}]":
            depth -= 1


def _members(pairs: list[tuple[str, Any]]) -> None:
    names = {name for name, _ in pairs}
    if len(names) < len(pairs):
        raise RefusedError("invalid_request", "A member of a JSON object is given more than once.")


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > INTEGER_DIGITS_MAX:
        raise RefusedError("invalid_request", f"An integer has more than {INTEGER_DIGITS_MAX} digits.")
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise RefusedError("invalid_request", f"{name} is no JSON.")


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_members, parse_int=_integer, parse_constant=_constant)
