"""What the Octopush face says: every refusal and every outcome of a validation by number, words and HTTP status."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from aiohttp import web

from placet_server.domain.codes import Outcome
from placet_server.domain.refusals import Code
from placet_server.domain.values import Caller
from placet_server.faces.switches import switch
from placet_server.web.gate import Call
from placet_server.web.problems import HEADERS


class Reply(NamedTuple):
    """How one outcome is said: HTTP status, Octopush's number and words; ``switch`` names what may replace the number."""

    status: int
    code: int
    message: str
    switch: str | None = None


SUCCESS: Final = Reply(200, 0, "success")
MISSING_BOTH: Final = Reply(400, 194, "At least phone number or request token is mandatory.")
MISSING_CODE: Final = Reply(400, 195, "The code field is mandatory.")
NOT_FOUND: Final = Reply(400, 198, "OTP Request not found.")
FORBIDDEN: Final = Reply(403, 207, "Forbidden.")
NO_BODY: Final = Reply(400, 100, "Request body is missing or is not valid JSON.", "error_no_body")
NO_PHONE: Final = Reply(400, 110, "The phone_number field is mandatory.", "error_no_phone")
NO_TEXT: Final = Reply(400, 110, "The text field is mandatory.")
BAD_PHONE: Final = Reply(400, 117, "The phone_number is not valid.", "error_bad_phone")
TOO_LONG: Final = Reply(400, 100, "There are more than 100 recipients.")
BAD_TIME: Final = Reply(400, 100, "The send_at is no time in the next 90 days.")
UNAUTHORIZED: Final = Reply(401, 101, "Unauthorized.")
TOO_MANY: Final = Reply(429, 125, "Too many requests.")
FAILED: Final = Reply(500, 125, "Undefined error.", "error_failed")

OUTCOMES: Final[dict[Outcome, Reply]] = {
    "matched": SUCCESS,
    "mismatch": Reply(400, 199, "Wrong OTP code."),
    "expired": Reply(400, 197, "OTP Request expired."),
    "exhausted": Reply(400, 196, "Maximum amount of wrong attempts has been reached."),
    "used": NOT_FOUND,
    "unknown": NOT_FOUND,
    "throttled": TOO_MANY,
}

BY_NUMBER: Final = {said.code: said for said in OUTCOMES.values()}

REFUSALS: Final[dict[Code, Reply]] = {
    "invalid_request": NO_BODY,
    "invalid_text": Reply(400, 100, "The text holds characters that cannot be sent."),
    "unauthorized": UNAUTHORIZED,
    "forbidden": FORBIDDEN,
    "not_found": Reply(404, 100, "There is nothing at this path."),
    "user_not_found": NOT_FOUND,
    "user_conflict": FORBIDDEN,
    "name_taken": FORBIDDEN,
    "enrollment_ended": FORBIDDEN,
    "enrollment_refused": FORBIDDEN,
    "wrong_check": FORBIDDEN,
    "reason_required": FORBIDDEN,
    "invalid_decision": FORBIDDEN,
    "already_decided": FORBIDDEN,
    "not_pending": FORBIDDEN,
    "not_decided": FORBIDDEN,
    "invalid_proof": FORBIDDEN,
    "use_nonce": FORBIDDEN,
    "device_revoked": FORBIDDEN,
    "device_pending": FORBIDDEN,
    "on_hold": TOO_MANY,
    "too_many_pending": TOO_MANY,
    "throttled": TOO_MANY,
    "rate_limited": TOO_MANY,
    "ip_not_allowed": FORBIDDEN,
    "invalid_destination": BAD_PHONE,
    "country_not_allowed": FORBIDDEN,
    "channel_not_allowed": FORBIDDEN,
    "not_a_mobile": BAD_PHONE,
    "no_route": FAILED,
    "no_credit": Reply(402, 104, "Not enough credit.", "error_no_credit"),
    "too_many_codes": TOO_MANY,
    "idempotency_conflict": FORBIDDEN,
    "too_large": Reply(413, 100, "Request body is too large."),
    "unsupported_media_type": NO_BODY,
    "method_not_allowed": Reply(405, 100, "Method not allowed."),
    "timeout": NO_BODY,
    "unavailable": Reply(503, 125, "Undefined error."),
    "internal": FAILED,
}


def answer(call: Call, said: Reply, **more: object) -> web.Response:
    """One reply to a known caller, with further members, told to the log."""
    code = number_of(call.by, said)
    call.note(code=str(code))
    return plain({"code": code, "message": said.message, **more}, said.status)


def number_of(by: Caller | None, said: Reply) -> int:
    """Octopush's number for a reply, as the caller's credential wants it; without a caller the usual one."""
    chosen: int = said.code if by is None or said.switch is None else switch(by, said.switch)
    return chosen


def plain(told: dict[str, Any], status: int = 200) -> web.Response:
    """Compact JSON."""
    return web.Response(status=status, body=json.dumps(told, separators=(",", ":")).encode(), headers=HEADERS)
