"""What the Authy face says: every refusal and every outcome of a token check in Authy's words, as JSON or XML."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from aiohttp import web

from placet_server.domain.onecode import Outcome
from placet_server.domain.refusals import Code, RefusedError
from placet_server.domain.values import Caller, Verification
from placet_server.faces.authyparts import wants_xml
from placet_server.faces.hashxml import to_xml
from placet_server.faces.params import NotTextError
from placet_server.faces.switches import switch
from placet_server.web.answer import Answer

CODE: Final = web.RequestKey("authy code", str)
"""The error code of the answer, for the log."""
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


# Statuses that Authy has changed, or that its references do not tell: a switch chooses.
_CHOSEN: Final = {429: "limit_status", 503: "disabled_status"}


class Reply(NamedTuple):
    """How one refusal is said: HTTP status, Authy's code, Authy's words (None: the refusal's own)."""

    status: int
    code: str
    message: str | None


NOT_TEXT: Final = Reply(400, "60005", "Invalid UTF-8")
FAILED: Final = Reply(503, "60000", "An error occurred; try again.")
REFUSALS: Final[dict[Code, Reply]] = {
    "invalid_request": Reply(400, "60004", None),
    "invalid_text": Reply(400, "60004", None),
    "unauthorized": Reply(401, "60001", "Invalid API key"),
    "forbidden": Reply(401, "60031", "Action not authorized."),
    "not_found": Reply(404, "60002", "The requested URL was not found."),
    "user_not_found": Reply(404, "60026", "User not found."),
    "user_conflict": Reply(400, "60027", "User was not valid"),
    "name_taken": Reply(400, "60002", None),
    "enrollment_ended": Reply(400, "60037", None),
    "enrollment_refused": Reply(400, "60034", None),
    "wrong_check": Reply(400, "60036", None),
    "reason_required": Reply(400, "60004", None),
    "invalid_decision": Reply(400, "60080", None),
    "already_decided": Reply(400, "60079", None),
    "not_pending": Reply(400, "60079", None),
    "not_decided": Reply(400, "60079", None),
    "invalid_proof": Reply(401, "60087", None),
    "use_nonce": Reply(401, "60087", None),
    "device_revoked": Reply(401, "60092", None),
    "device_pending": Reply(401, "60092", None),
    "on_hold": Reply(429, "60003", "DoS protection: User has too many unanswered requests."),
    "too_many_pending": Reply(429, "60003", "DoS protection: User has too many unanswered requests."),
    "throttled": Reply(429, "60003", "DoS protection: User has tried too many tokens."),
    "rate_limited": Reply(429, "60003", "DoS protection: Too many requests."),
    "ip_not_allowed": Reply(401, "60063", "Requests from this IP address are not allowed."),
    "invalid_destination": Reply(400, "60033", "Phone number is invalid"),
    "country_not_allowed": Reply(400, "60013", "Messages to this country are not enabled."),
    "channel_not_allowed": Reply(503, "60007", "SMS is not enabled"),
    "not_a_mobile": Reply(400, "60082", "Cannot send SMS to landline phone numbers"),
    "no_route": Reply(503, "60007", "SMS is not enabled"),
    "no_credit": Reply(503, "60060", "The account is suspended."),
    "too_many_codes": Reply(
        429, "60003", "DoS protection: User has requested too many tokens in the last hour."
    ),
    "idempotency_conflict": Reply(400, "60002", None),
    "too_large": Reply(400, "60002", None),
    "unsupported_media_type": Reply(400, "60002", None),
    "method_not_allowed": Reply(405, "60002", None),
    "timeout": Reply(400, "60002", None),
    "unavailable": FAILED,
    "internal": FAILED,
}

VERIFICATIONS: Final[dict[Verification, Reply]] = {
    "matched": Reply(200, "", "Token is valid."),
    "mismatch": Reply(401, "60020", "Token is invalid"),
    "no_token": Reply(401, "60020", "Token is invalid"),
    "used": Reply(401, "60019", "Token is invalid. Token was used recently."),
    "throttled": Reply(429, "60003", "DoS protection: User has tried too many tokens."),
}

CHECKS: Final[dict[Outcome, Reply]] = {
    "matched": VERIFICATIONS["matched"],
    "mismatch": VERIFICATIONS["mismatch"],
    "expired": VERIFICATIONS["mismatch"],
    "used": VERIFICATIONS["used"],
    "unknown": VERIFICATIONS["mismatch"],
    "exhausted": VERIFICATIONS["mismatch"],
    "throttled": VERIFICATIONS["throttled"],
}
_NO_PENDING: Final = Reply(404, "60023", None)
PHONE_CHECKS: Final[dict[Outcome, Reply]] = {
    "matched": Reply(200, "", "Verification code is correct."),
    "mismatch": Reply(401, "60022", "Verification code is incorrect"),
    "expired": _NO_PENDING,
    "used": _NO_PENDING,
    "unknown": _NO_PENDING,
    "exhausted": _NO_PENDING,
    "throttled": VERIFICATIONS["throttled"],
}
UNKNOWN_USER: Final = Reply(404, "60016", "User doesn't exist")
UNKNOWN_LOCALE: Final = Reply(404, "60004", "Invalid parameter: locale - there are no texts for it")


def refused(request: web.Request, caller: Caller | None, why: RefusedError) -> web.Response:
    """The error body of a refusal; ``caller`` None: nobody was recognized."""
    said = NOT_TEXT if isinstance(why, NotTextError) else REFUSALS[why.code]
    message = said.message or why.detail
    if why.code == "invalid_request" and said.message is None:
        message = f"Invalid parameter: {message}"
    status = said.status
    if caller is not None and said is not FAILED and status in _CHOSEN:
        status = int(switch(caller, _CHOSEN[status]))
    response = error(request, said._replace(message=message, status=status))
    if why.retry_after is not None:
        response.headers["Retry-After"] = str(why.retry_after)
    return response


def disabled(request: web.Request, caller: Caller, code: str, message: str) -> web.Response:
    """What is said of a feature that the credential does not have."""
    return error(request, Reply(int(switch(caller, "disabled_status")), code, message))


def unverified(request: web.Request, caller: Caller, said: Reply) -> web.Response:
    """A token check that did not succeed."""
    if said.status == 429:
        said = said._replace(status=int(switch(caller, "limit_status")))
    return error(request, said, token="is invalid")  # noqa: S106 - the wire's words, no secret


def ok(request: web.Request, **answer: Any) -> web.Response:  # noqa: ANN401 - what JSON can say
    """A success: exactly 200."""
    return _answer(request, 200, answer, "hash")


def error(
    request: web.Request, said: Reply, errors: dict[str, str] | None = None, **more: str
) -> web.Response:
    """An error body; with ``errors``, those fields instead of the message, also at the top where they are of a user."""
    told = {"message": said.message} if errors is None else errors
    answer = {"message": said.message, "success": False, **more, "errors": told, "error_code": said.code}
    request[CODE] = said.code
    return _answer(request, said.status, {**(errors or {}), **answer}, "errors")


def _answer(request: web.Request, status: int, answer: dict[str, Any], root: str) -> web.Response:
    if wants_xml(request):
        data = to_xml(answer, root=root)
        return web.Response(
            status=status, body=data, content_type="application/xml", charset="utf-8", headers=_HEADERS
        )
    return Answer(status, _encode(answer).encode())


_encode: Final = json.JSONEncoder(separators=(",", ":")).encode  # compact and ASCII, as some clients need it
