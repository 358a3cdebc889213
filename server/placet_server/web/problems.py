"""Every refusal as an RFC 9457 problem: one table from stable code to status and title.

The table is the source of docs/errors.md and of ``GET /errors``, to which each problem's ``type`` points.
"""

from __future__ import annotations

import logging
import secrets
from html import escape
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from placet_server.domain.refusals import Code, RefusedError
from placet_server.web.logging import event


class Problem(NamedTuple):
    """How one code is answered, and what its reader can do."""

    status: int
    title: str
    advice: str


TABLE: Final[dict[Code, Problem]] = {
    "invalid_request": Problem(
        400, "The request does not have the documented form.", "Correct what `detail` names."
    ),
    "invalid_text": Problem(
        422,
        "A text holds a character that may not be shown to a person.",
        "Remove the character that `detail` names.",
    ),
    "unauthorized": Problem(
        401, "There is no valid credential with this request.", "Send a current key of this installation."
    ),
    "forbidden": Problem(
        403, "The credential may not do this.", "Use a key that has the scope that `detail` names."
    ),
    "not_found": Problem(
        404, "There is no such thing for this caller.", "Check path and id; ids of others do not exist."
    ),
    "user_not_found": Problem(404, "There is no such user.", "Create the user first."),
    "user_conflict": Problem(
        409,
        "Phone, e-mail or tfa id belong to another user.",
        "Decide which of the two users is meant.",
    ),
    "name_taken": Problem(409, "The name is in use.", "Choose another name."),
    "enrollment_ended": Problem(
        410, "The enrolment was used, has expired or is void.", "Create a new enrolment."
    ),
    "enrollment_refused": Problem(
        400, "The device's document or token is not good.", "Scan the enrolment's QR code again."
    ),
    "wrong_check": Problem(
        422,
        "The six digits are not those of the device.",
        "Read them again from the device; three wrong ones void the enrolment.",
    ),
    "reason_required": Problem(
        422,
        "A further device needs scope devices:admin and a reason.",
        "Send `reason` with a key of that scope, or let an active device approve.",
    ),
    "invalid_decision": Problem(
        400, "The decision is not good.", "Fetch the request again and sign exactly what it says."
    ),
    "already_decided": Problem(409, "The request was answered before.", "`state` is its final state."),
    "not_pending": Problem(409, "The request has ended.", "`state` is its final state."),
    "not_decided": Problem(409, "Nobody decided this request.", "A receipt exists once a device answered."),
    "invalid_proof": Problem(
        401,
        "The proof of the device's key is missing or wrong.",
        "Sign method, URL, body and nonce of this very call.",
    ),
    "use_nonce": Problem(
        401, "The proof needs the current nonce.", "Repeat with the nonce of the header `Placet-Nonce`."
    ),
    "device_revoked": Problem(401, "The device was revoked.", "Enrol the device anew."),
    "device_pending": Problem(
        403, "The device is not confirmed yet.", "Confirm the six digits that it shows."
    ),
    "on_hold": Problem(
        429,
        "Too many requests to this user were unanswered or denied.",
        "Wait `retry_after` seconds; codes stay usable.",
    ),
    "too_many_pending": Problem(
        429,
        "Too many requests of this user are open.",
        "Wait for an answer, or cancel one.",
    ),
    "throttled": Problem(429, "Too many wrong codes for this subject.", "Wait `retry_after` seconds."),
    "rate_limited": Problem(429, "Too many calls.", "Wait `retry_after` seconds."),
    "ip_not_allowed": Problem(
        403, "The credential may not be used from this address.", "Call from an address of its list."
    ),
    "invalid_destination": Problem(
        422,
        "This is no telephone number or e-mail address to which a code could go.",
        "Send a number with its country code, such as +447700900123, or an e-mail address.",
    ),
    "country_not_allowed": Problem(
        403, "The application sends nothing to this country.", "Ask the operator to add it to code.countries."
    ),
    "channel_not_allowed": Problem(
        403,
        "The application does not use this channel.",
        "Use another channel, or ask the operator to allow it.",
    ),
    "not_a_mobile": Problem(
        422, "This line takes no text messages.", "Use the voice channel or another number."
    ),
    "no_route": Problem(422, "No gateway carries this.", "Ask the operator for a gateway of this channel."),
    "no_credit": Problem(402, "The credential's balance is used up.", "Ask the operator to top it up."),
    "too_many_codes": Problem(
        429, "Too many messages went there of late.", "Wait as long as Retry-After says."
    ),
    "idempotency_conflict": Problem(
        422, "The Idempotency-Key was used with another request.", "Use a new key for a new request."
    ),
    "too_large": Problem(413, "The request is too large.", "Bodies have at most 65,536 bytes."),
    "unsupported_media_type": Problem(
        415, "The body is of a type that is not understood here.", "Send what `detail` names."
    ),
    "method_not_allowed": Problem(
        405, "The path does not know this method.", "The header `Allow` names those that it knows."
    ),
    "timeout": Problem(408, "The body did not arrive in time.", "Send the whole body within 30 seconds."),
    "unavailable": Problem(
        503, "The server cannot take this now; nothing was written.", "Repeat after `retry_after` seconds."
    ),
    "internal": Problem(
        500,
        "The server failed; nothing was approved or verified.",
        "Give the operator the `request_id`.",
    ),
}

HEADERS: Final = CIMultiDict(
    {
        "Content-Type": "application/json; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Server": "placet",
    }
)
"""What every JSON answer carries beside its request id."""

_PROBLEM_HEADERS: Final = CIMultiDict(HEADERS)
_PROBLEM_HEADERS["Content-Type"] = "application/problem+json; charset=utf-8"
_DETAIL_MAX: Final = 400
_encode: Final = msgspec.json.Encoder().encode


def problem(error: RefusedError, request_id: str) -> web.Response:
    """The answer to a refusal (RFC 9457).

    Members: ``type, title, status, detail, code, request_id`` and, where they exist, ``state`` and ``retry_after``
    (seconds, also as header).
    """
    entry = TABLE[error.code]
    members: dict[str, Any] = {
        "type": f"/errors#{error.code}",
        "title": entry.title,
        "status": entry.status,
        "detail": _sendable(error.detail),
        "code": error.code,
        "request_id": request_id,
    }
    if error.state is not None:
        members["state"] = error.state
    if error.retry_after is not None:
        members["retry_after"] = error.retry_after
    response = web.Response(status=entry.status, body=_encode(members), headers=_PROBLEM_HEADERS)
    response.headers["X-Request-Id"] = request_id
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if entry.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if entry.status in {408, 413}:
        response.force_close()  # what is left of the body is not read
    return response


def broken(status: int, error: BaseException | None) -> web.Response:
    """The answer to what could not be read as an HTTP request, or failed outside of every route."""
    request_id = secrets.token_hex(14)
    if status == 404:
        refusal = RefusedError("not_found", "There is nothing at this path.")
    elif status < 500:
        refusal = RefusedError("invalid_request", "This is no well-formed HTTP request.")
        event("malformed_request", error=error, request_id=request_id)
    else:
        refusal = RefusedError("internal", "The server failed; the operator finds why under this request id.")
        event("request_failed", level=logging.ERROR, error=error, request_id=request_id)
    response = problem(refusal, request_id)
    response.force_close()
    return response


def page() -> web.Response:
    """The table for people, with an anchor for each code."""
    rows = "".join(
        f'<tr id="{code}"><td><code>{code}</code><td>{entry.status}<td>{escape(entry.title)}<td>{escape(entry.advice)}'
        for code, entry in TABLE.items()
    )
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Placet error codes</title>'
        f"<h1>Error codes</h1><table><tr><th>Code<th>Status<th>Meaning<th>What to do{rows}</table></html>"
    )
    headers = CIMultiDict(HEADERS)
    headers["Content-Type"] = "text/html; charset=utf-8"
    headers["Content-Security-Policy"] = "default-src 'none'"
    return web.Response(text=text, headers=headers)


def _sendable(detail: str) -> str:
    """The detail without half surrogates, which no encoding carries, and of bounded length."""
    if len(detail) > _DETAIL_MAX:
        detail = detail[: _DETAIL_MAX - 1] + "…"
    return detail.encode("utf-8", "backslashreplace").decode()
