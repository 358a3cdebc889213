"""What the Afilnet face says: its error codes, every refusal and every outcome of a check, as JSON or XML.

{"status":"SUCCESS","result":{…}}      <response><status>SUCCESS</status><result>…</result></response>
{"status":"ERROR","error":"CODE"}      <response><status>ERROR</status><error>CODE</error></response>
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from aiohttp import web
from multidict import CIMultiDict

from placet_server.domain.codes import Outcome
from placet_server.domain.refusals import Code, RefusedError
from placet_server.faces.hashxml import xml_text
from placet_server.web.problems import HEADERS

Error = Literal[
    "MISSING_USER",
    "MISSING_PASSWORD",
    "MISSING_CLASS",
    "MISSING_METHOD",
    "INCORRECT_USER_PASSWORD",
    "INCORRECT_CLASS",
    "INCORRECT_METHOD",
    "MISSING_COMPULSORY_PARAM",
    "INCORRECT_TYPE",
    "INCORRECT_FORMAT",
    "INCORRECT_OTP_FORMAT",
    "INCORRECT_TIME_TYPE",
    "CODE_NOT_FOUND",
    "NO_ROUTE_AVAILABLE",
    "NO_CREDITS",
    "NOT_ACCESS_TO_TEMPLATE",
]
Result = str | Mapping[str, str | int] | list[dict[str, str]]
"""What a success carries: a bare value, members, or a list of members."""

_DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>'
_XML_HEADERS: Final = CIMultiDict(HEADERS)
_XML_HEADERS["Content-Type"] = "application/xml; charset=utf-8"


class Reply(NamedTuple):
    """How a refusal is said. The HTTP status is 200 for whatever a client decides by its error code."""

    error: Error
    status: int = 200


class SaidError(RefusedError):
    """A refusal in Afilnet's own words; ``code`` is what the API log shows."""

    def __init__(self, error: Error) -> None:
        super().__init__("unauthorized" if error in _CREDENTIALS else "invalid_request", error)
        self.error: Final = error


_CREDENTIALS: Final[frozenset[Error]] = frozenset(
    {"MISSING_USER", "MISSING_PASSWORD", "INCORRECT_USER_PASSWORD"}
)
_STRANGER: Final = Reply("INCORRECT_USER_PASSWORD")
_FORMAT: Final = Reply("INCORRECT_FORMAT")
_NO_ROUTE: Final = Reply("NO_ROUTE_AVAILABLE")
_NO_CREDITS: Final = Reply("NO_CREDITS")
_NOT_FOUND: Final = Reply("CODE_NOT_FOUND")

REFUSALS: Final[dict[Code, Reply]] = {
    "invalid_request": _FORMAT,
    "invalid_text": _FORMAT,
    "unauthorized": _STRANGER,
    "forbidden": _STRANGER,
    "not_found": Reply("INCORRECT_METHOD", 404),
    "user_not_found": _NOT_FOUND,
    "user_conflict": _NOT_FOUND,
    "name_taken": _FORMAT,
    "enrollment_ended": _NOT_FOUND,
    "enrollment_refused": _NOT_FOUND,
    "wrong_check": _NOT_FOUND,
    "reason_required": _FORMAT,
    "invalid_decision": _NOT_FOUND,
    "already_decided": _NOT_FOUND,
    "not_pending": _NOT_FOUND,
    "not_decided": _NOT_FOUND,
    "invalid_proof": _STRANGER,
    "use_nonce": _STRANGER,
    "device_revoked": _STRANGER,
    "device_pending": _STRANGER,
    "on_hold": _NO_CREDITS,
    "too_many_pending": _NO_CREDITS,
    "throttled": _NOT_FOUND,
    "rate_limited": Reply("NO_CREDITS", 429),
    "ip_not_allowed": _STRANGER,
    "invalid_destination": _FORMAT,
    "country_not_allowed": _NO_ROUTE,
    "channel_not_allowed": _NO_ROUTE,
    "not_a_mobile": _NO_ROUTE,
    "no_route": _NO_ROUTE,
    "no_credit": _NO_CREDITS,
    "too_many_codes": _NO_CREDITS,
    "idempotency_conflict": _FORMAT,
    "too_large": Reply("INCORRECT_FORMAT", 413),
    "unsupported_media_type": Reply("INCORRECT_FORMAT", 415),
    "method_not_allowed": Reply("INCORRECT_METHOD", 405),
    "timeout": Reply("MISSING_COMPULSORY_PARAM", 408),
    "unavailable": Reply("NO_ROUTE_AVAILABLE", 503),
    "internal": Reply("NO_ROUTE_AVAILABLE", 503),
}

OUTCOMES: Final[dict[Outcome, Error | None]] = {
    "matched": None,
    "mismatch": "CODE_NOT_FOUND",
    "expired": "CODE_NOT_FOUND",
    "used": "CODE_NOT_FOUND",
    "unknown": "CODE_NOT_FOUND",
    "exhausted": "CODE_NOT_FOUND",
    "throttled": "CODE_NOT_FOUND",
}
"""None is the success: wrong, expired and unknown share one code, so that nobody learns which it was."""


def said(refused: RefusedError) -> Reply:
    """The reply to a refusal of the core or of this face."""
    return Reply(refused.error) if isinstance(refused, SaidError) else REFUSALS[refused.code]


def success(result: Result) -> dict[str, Any]:
    """The envelope of a success."""
    return {"status": "SUCCESS", "result": result}


def failure(error: str) -> dict[str, Any]:
    """The envelope of an error."""
    return {"status": "ERROR", "error": error}


def answer(envelope: dict[str, Any], *, xml: bool, status: int = 200) -> web.Response:
    """An envelope as the client asked for it."""
    if xml:
        return web.Response(status=status, body=to_xml(envelope), headers=_XML_HEADERS)
    data = json.dumps(envelope, separators=(",", ":")).encode()
    return web.Response(status=status, body=data, headers=HEADERS)


def to_xml(envelope: dict[str, Any]) -> bytes:
    """The envelope as a UTF-8 document."""
    root = Element("response")
    add(root, envelope)
    return document(root)


def document(root: Element) -> bytes:
    """A whole UTF-8 document; a carriage return is written so that readers keep it (XML 1.0 §2.11)."""
    return _DECLARATION + tostring(root, encoding="unicode").replace("\r", "&#13;").encode()


def add(parent: Element, value: Any) -> None:  # noqa: ANN401 - an envelope or a part of it
    """Members become elements of their names, items of a list elements ``item``."""
    match value:
        case dict():
            for name, member in value.items():
                add(SubElement(parent, name), member)
        case list():
            for item in value:
                add(SubElement(parent, "item"), item)
        case _:
            parent.text = xml_text(str(value))
