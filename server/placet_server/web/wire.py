"""Reading what arrives and writing what leaves: bodies with a size and a deadline, strict JSON, strict queries."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_exceptions import HTTPException
from msgspec import Meta, Struct
from multidict import CIMultiDict

from placet_protocol.errors import MalformedError, TextError
from placet_protocol.strictjson import loads
from placet_protocol.text import clean
from placet_server.domain.refusals import RefusedError
from placet_server.web.answer import Answer
from placet_server.web.problems import HEADERS

BODY_MAX: Final = 65_536
BODY_SECONDS: Final = 30.0
JSON_DEPTH_MAX: Final = 32
QUERY_MAX: Final = 20
_NO_CONTENT: Final = CIMultiDict((name, value) for name, value in HEADERS.items() if name != "Content-Type")
_PARTIAL: Final = (
    ClientPayloadError,
    HttpProcessingError,
    HTTPException,
    EOFError,
    ConnectionError,
    ValueError,
)

UUID: Final = "{id:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}}"
"""A path variable that is an id."""

Limit = Annotated[int, Meta(ge=1, le=200, description="Items a page.")]
After = Annotated[
    str, Meta(max_length=64, pattern="^[0-9a-zA-Z-]+$", description="`next` of the page before.")
]
Wait = Annotated[int, Meta(ge=0, le=60, description="Seconds to wait for a change.")]

# Strings follow each other without overlap, so a string with a colon behind it is a name and nothing else.
_STRING: Final = re.compile(rb'"([^"]*)"(?:[ \t\r\n]*(:))?')
_LONG_NUMBER: Final = re.compile(rb"[0-9.eE+-]{19}")

T = TypeVar("T")
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


class WaitQuery(Struct, forbid_unknown_fields=True):
    """How long the answer may wait for a change."""

    wait: Wait = 0


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
        if not _plain(data):  # msgspec lets the last of repeated members win, and knows no bounds
            loads(data)
    except msgspec.ValidationError as error:
        raise RefusedError("invalid_request", _sentence(str(error))) from None
    except MalformedError as error:
        raise RefusedError("invalid_request", f"The body: {error.detail}.") from None
    except (ValueError, RecursionError):  # DecodeError and UnicodeDecodeError are ValueErrors
        raise RefusedError("invalid_request", "The body is no well-formed JSON in UTF-8.") from None
    return value


def _plain(data: bytes) -> bool:
    """Whether one reading is enough: no escapes, few brackets, no long number, no name twice in the whole text."""
    if b"\\" in data or data.count(b"{") + data.count(b"[") > JSON_DEPTH_MAX or _LONG_NUMBER.search(data):
        return False
    names = [name for name, colon in _STRING.findall(data) if colon]
    return len(set(names)) == len(names)


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
    return Answer(status, _encode(value))


def reply_bytes(status: int, body: bytes) -> web.Response:
    """A JSON answer that is encoded already."""
    return Answer(status, body)


def no_content() -> web.Response:
    """204: done, nothing to say."""
    return web.Response(status=204, headers=_NO_CONTENT)


def encode(value: object) -> bytes:
    """A value as JSON."""
    return _encode(value)


def shown(place: str, text: str, limit: int, *, newline: bool = False) -> str:
    """A text that a person will be shown, in its NFC form; raises ``invalid_text`` naming place and character."""
    try:
        result = clean(text, newline=newline)
    except TextError as error:
        raise RefusedError("invalid_text", f"{place}: {error.detail}.") from None
    if len(result) > limit or not result.strip():
        raise RefusedError("invalid_request", f"{place} has 1 to {limit} characters and is not blank.")
    return result


def rfc3339(ms: int) -> str:
    """A time in ms UTC as RFC 3339 text with milliseconds."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


def milliseconds(at: datetime) -> int:
    """A time with its zone as ms UTC."""
    return int(at.timestamp() * 1000)


@lru_cache(4096)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _json_type(media: str) -> None:
    kind, _, parameters = media.partition(";")
    charset = parameters.strip().lower().replace('"', "").replace(" ", "")
    if kind.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise RefusedError("unsupported_media_type", "Send Content-Type: application/json in UTF-8.")


def _sentence(message: str) -> str:
    text, _, place = message.partition(" - at `$")
    named = place.rstrip("`").removeprefix(".")
    return f"{named}: {text.replace('`', '')}." if named else f"{text.replace('`', '')}."
