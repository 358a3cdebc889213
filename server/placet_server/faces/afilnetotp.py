"""The two methods of Afilnet's class ``otp``: a code for somebody, and whether this is it.

generateotp   MISSING_COMPULSORY_PARAM > INCORRECT_TYPE > _FORMAT > _OTP_FORMAT > _TIME_TYPE > code
verifyotp     MISSING_COMPULSORY_PARAM > CODE_NOT_FOUND, whatever the reason > {}
"""

from __future__ import annotations

from typing import Final

from placet_server.domain import destinations
from placet_server.domain.codes import Checked, CodeDraft, Codes
from placet_server.domain.destinations import Destination
from placet_server.domain.refusals import RefusedError
from placet_server.domain.shapes import Shape
from placet_server.faces.afilnetparams import Sent
from placet_server.faces.afilnetreplies import OUTCOMES, Result, SaidError
from placet_server.faces.switches import switch
from placet_server.ports import Channel
from placet_server.web.gate import Call

LENGTHS: Final = (4, 32)
YEARS_MAX: Final = 10
LIVE_MAX: Final = 3
"""Live codes of a destination that are tried where codes do not replace each other."""
_DAY: Final = 86_400
UNITS: Final = {
    "minutes": 60,
    "hours": 3600,
    "days": _DAY,
    "weeks": 7 * _DAY,
    "months": 30 * _DAY,
    "years": 365 * _DAY,
}
"""Seconds of each ``timetype``."""

_SECONDS_MAX: Final = YEARS_MAX * UNITS["years"]
_TYPES: Final = {"email": "email", "mobile": "phone", "number": "phone"}  # their own example says number
_CHANNELS: Final[dict[str, Channel]] = {"phone": "sms", "email": "email"}
_FORMATS: Final = {
    "all": (True, True),
    "numbers": (True, False),
    "letters": (False, True),
}


async def generate(codes: Codes, sent: Sent, call: Call) -> Result:
    """A new code: told to the caller, who carries it, unless the credential has it sent instead."""
    by = call.by
    if not (kind := sent.get("type").lower()) or not sent.get("destination"):
        raise SaidError("MISSING_COMPULSORY_PARAM")
    if kind not in _TYPES:
        raise SaidError("INCORRECT_TYPE")
    destination = _destination(sent, _TYPES[kind])
    if destination is None:
        raise SaidError("INCORRECT_FORMAT")
    form = _FORMATS.get(sent.get("otpformat").lower() or switch(by, "otpformat"))
    if form is None:
        raise SaidError("INCORRECT_OTP_FORMAT")
    unit = UNITS.get(sent.get("timetype").lower() or switch(by, "timetype"))
    if unit is None:
        raise SaidError("INCORRECT_TIME_TYPE")
    told = switch(by, "returns_code")
    length = _whole(sent.get("length")) or switch(by, "length")
    draft = CodeDraft(
        destination=destination,
        shape=Shape(length=min(max(length, LENGTHS[0]), LENGTHS[1]), digits=form[0], upper=form[1]),
        seconds=min((_whole(sent.get("time")) or switch(by, "time")) * unit, _SECONDS_MAX),
        tries=switch(by, "tries"),
        channels=() if told else (_CHANNELS[destination.kind],),
        replaces=switch(by, "replaces"),
    )
    issued = await codes.issue(by, draft, call.now, ip=call.ip)
    call.note(
        destination=destination.address,
        seconds=issued.seconds,
        tries=issued.tries,
        length=len(issued.value),
        subject=issued.id,
    )
    status = {"status": switch(by, "inner_status")}
    return {**status, "code": issued.value} if told else status


async def verify(codes: Codes, sent: Sent, call: Call) -> Result:
    """Whether this is the code of this destination; it is, once."""
    by = call.by
    if not sent.get("destination"):
        raise SaidError("MISSING_COMPULSORY_PARAM")
    code = sent.get("code")
    destination = _destination(sent, "email" if "@" in sent.get("destination") else "phone")
    if not code or destination is None:
        raise SaidError("CODE_NOT_FOUND")
    checked = await _check(codes, code, destination, call)
    call.note(destination=destination.address, outcome=checked.outcome)
    if (error := OUTCOMES[checked.outcome]) is not None:
        raise SaidError(error)
    return {} if switch(by, "empty_result") == "object" else []


async def _check(codes: Codes, code: str, destination: Destination, call: Call) -> Checked:
    """The code against the live one of its destination; against several where codes do not replace each other.

    Each is tried on the record, so several live codes give a guesser no more tries in all.
    """
    at_most = 1 if switch(call.by, "replaces") else LIVE_MAX
    checked = Checked("unknown")
    for code_id in await codes.live(call.by, destination, call.now, at_most):
        checked = await codes.check(call.by, code, call.now, code_id=code_id, destination=destination)
        if checked.outcome != "mismatch":
            break
    if checked.code_id is None:  # none is live: how the newest one ended
        checked = await codes.check(call.by, code, call.now, destination=destination)
    return checked


def _destination(sent: Sent, kind: str) -> Destination | None:
    """The destination in its one spelling; None for a malformed one, or for two different ones."""
    if "destination" in sent.conflicts:
        return None
    text = sent.get("destination")
    try:
        return destinations.email(text) if kind == "email" else destinations.phone(text)
    except RefusedError:
        return None


def _whole(text: str) -> int:
    """A positive integer, or 0."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
