"""What an answer of each face looks like, and what it claims: that something was sent, or that a code was right."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree.ElementTree import Element, fromstring

from placet_server.domain.refusals import CODES
from placet_server.faces.afilnetsoap import ENVELOPE
from support.http import Answer

_TEXT = "application/json; charset=utf-8"
_SENDS = re.compile(r"/(sms|call|email)/\{|verification/start")


class ShapeError(AssertionError):
    """An answer that no client of its face could read."""


def read(face: str, answer: Answer) -> Any:
    """What an answer says, as JSON or an XML element; raises ``ShapeError`` for what is not of the face's form."""
    try:
        said = _read(face, answer)
    except (ValueError, KeyError, SyntaxError, AssertionError) as error:
        raise ShapeError(f"{face} {answer.status} {answer.headers} {answer.body[:300]!r}: {error}") from error
    return said


def _read(face: str, answer: Answer) -> Any:
    headers, body = answer.headers, answer.body
    media = headers.get("content-type", "")
    assert re.fullmatch(r"[0-9a-f]{28}", headers["x-request-id"])
    if answer.status == 204:
        assert not body
        return None
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["server"] == "placet"
    assert "charset=utf-8" in media or media == "image/png"
    if not body:  # the answer to HEAD
        return None
    if face in {"native", "device", "gateway"}:
        return _native(answer, media)
    assert headers["cache-control"] == "no-store"
    said = json.loads(body) if media == _TEXT else fromstring(body)
    check = {"authy": _authy, "afilnet": _afilnet, "unityvox": _unityvox, "octopush": _octopush}[face]
    check(answer.status, said)
    return said


def _native(answer: Answer, media: str) -> Any:
    if media.startswith("text/html"):
        return None
    said = json.loads(answer.body)
    if answer.status >= 400:
        assert media == "application/problem+json; charset=utf-8"
        assert said["code"] in CODES
        assert said["status"] == answer.status
        assert said["request_id"] == answer.headers["x-request-id"]
        assert said["title"]
        assert said["detail"]
    else:
        assert media == _TEXT
    return said


def _authy(status: int, said: Any) -> None:
    told = (
        {each.tag.replace("-", "_"): each.text or "" for each in said} if isinstance(said, Element) else said
    )
    good = str(told["success"]).lower() == "true"
    assert good == (status == 200)
    if not good:
        assert str(told["error_code"]).isdigit()
        assert "message" in told


def _afilnet(status: int, said: Any) -> None:
    if isinstance(said, Element):
        if said.tag == f"{{{ENVELOPE}}}Envelope":
            (inner,) = said[0]
            if inner.tag.endswith("Fault"):
                assert status >= 400
                return
            said = inner
        elif said.tag == "{http://schemas.xmlsoap.org/wsdl/}definitions":
            return
        said = {each.tag: each.text for each in said}
    assert said["status"] in {"SUCCESS", "ERROR"}
    if said["status"] == "ERROR":
        assert said["error"].replace("_", "").isupper()
    else:
        assert status == 200


def _unityvox(_status: int, said: Any) -> None:
    assert said["version"] == "1.00"
    assert said["code"] in {f"{number:03}" for number in range(20, 30)}
    assert (said["code"] in {"022", "027"}) == (said["status"] == "success")
    assert said["statusmessage"]


def _octopush(status: int, said: Any) -> None:
    if status >= 400 or "code" in said:
        assert isinstance(said["code"], int)
        assert (said["code"] == 0) == (said["message"] == "success") == (status < 400)


def sent(face: str, route: str, answer: Answer) -> int:
    """How many messages an answer claims to have sent."""
    said = read(face, answer) if answer.status < 300 else None
    if said is None:
        return 0
    match face:
        case "native":
            creates = ("/v1/codes", "/v1/messages", "/v1/phone_verifications")
            resends = route.endswith("/resend")
            return int(answer.status == 201 and (route.startswith(creates) or resends) and "code" not in said)
        case "authy":
            ignored = b"ignored" in answer.body
            return int(_SENDS.search(route) is not None and not ignored)
        case "afilnet":
            return int(
                b"messageid" in answer.body and "getdeliverystatus" not in route and b"SUCCESS" in answer.body
            )
        case "unityvox":
            return int(said["code"] == "022")
        case "octopush":
            return int(said.get("number_of_contacts", 1 if "otp_request_token" in said else 0))
    return 0


def verified(face: str, route: str, answer: Answer) -> bool:
    """Whether an answer claims that a code was right, or a request approved."""
    if answer.status >= 300 or not answer.body:
        return False
    said = read(face, answer)
    match face:
        case "native" | "device":
            return isinstance(said, dict) and (
                said.get("matched") is True
                or said.get("verified") is True
                or said.get("status") in {"approved", "verified"}
            )
        case "authy":
            return "/verify/" in route or "verification/check" in route or b"approved" in answer.body
        case "afilnet":
            return (
                "verifyotp" in route + answer.body.decode()
                and b"SUCCESS" in answer.body
                and b"wsdl" not in answer.body
            )
        case "unityvox":
            return bool(said["code"] == "027")
        case "octopush":
            return "validate" in route and said.get("code") == 0
    return False
