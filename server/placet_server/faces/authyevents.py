"""What happened, as Authy's reporting tells it: events made of the calls in the API log and of what people answered.

    {"event":"token_verified","time":"2026-11-22T05:00:14.904Z","request_id":"01a2…",
     "objects":{"app":{"s_id":…},"user":{"s_authy_id":"7","as_authy_ids":["7"],…}}}

The first letters of a member say its type: ``s_`` text, ``i_`` number, ``b_`` yes or no, ``as_`` a list of texts. Codes
and tokens are in no event, because they are in no row of the log.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from placet_server.domain.calllog import LoggedCall
from placet_server.domain.values import Application, Approval, User
from placet_server.faces.authyparts import hex24
from placet_server.web.wire import rfc3339

ANSWERED: Final = "one_touch_request_responded"
_SENT: Final = frozenset({"totp_token_sent", "totp_token_sent_via_call"})

# By route and what the log keeps as code: the face's own, the core's where it refused, None for a success.
_NAMES: Final[dict[tuple[str, str | None], str]] = {
    ("users/new", None): "user_added",
    ("users/{user}/remove", None): "user_removed",
    ("users/{user}/delete", None): "user_removed",
    ("users/delete/{user}", None): "user_removed",
    ("sms/{user}", None): "totp_token_sent",
    ("call/{user}", None): "totp_token_sent_via_call",
    ("verify/{token}/{user}", None): "token_verified",
    ("verify/{token}/{user}", "60019"): "token_invalid",
    ("verify/{token}/{user}", "60020"): "token_invalid",
    ("phones/verification/start", None): "phone_verification_started",
    ("phones/verification/start", "too_many_codes"): "too_many_phone_verifications",
    ("phones/verification/check", None): "phone_verification_code_is_valid",
    ("phones/verification/check", "60022"): "phone_verification_code_is_invalid",
    ("phones/verification/check", "60023"): "phone_verification_not_found",
    ("phones/verification/check", "60003"): "too_many_code_verifications",
}
NAMES: Final = frozenset({*_NAMES.values(), ANSWERED})
_STATUS: Final = {"phone_verification_started": "pending", "phone_verification_code_is_valid": "verified"}


class Event(NamedTuple):
    """One event: ``at`` in ms UTC, the tfa id of whom it is about (None: nobody), and what is told of it."""

    at: int
    user: int | None
    told: dict[str, Any]


def of_call(call: LoggedCall, application: Application) -> Event | None:
    """The event that a call of the Authy face was, or None for one that was none."""
    route = call.route.partition("{format}/")[2]
    name = _NAMES.get((route, call.code))
    sent, facts = call.detail.parameters, call.detail.facts
    if name is None or call.status >= 500 or (call.code is None) != (call.status == 200):
        return None
    if (name == "user_added" and "added" not in facts) or (name in _SENT and call.subject is None):
        return None  # the user was known, or nothing was sent
    objects: dict[str, Any] = {"app": _app(application)}
    user = _id(facts.get("added") or sent.get("user"))
    if route.startswith("phones/"):
        objects["phone_verification"] = {
            "s_id": call.subject,
            "s_country_code": _text(sent.get("country_code")),
            "s_phone_number": _text(sent.get("phone_number")),
            "s_locale": _text(sent.get("locale")),
            "s_line_type": facts.get("line"),
            "i_code_length": facts.get("length"),
            "i_seconds_to_expire": facts.get("seconds"),
            "s_status": _STATUS.get(name),
        }
    elif user is not None:
        objects["user"] = _user(user)
    return Event(call.at, user, _told(name, call.at, call.request_id, call.ip, objects))


def of_answer(approval: Approval, application: Application) -> Event:
    """The event of a request that a person approved or denied."""
    at = approval.decided_at or approval.expires_at
    objects = {
        "app": _app(application),
        "onetouch_request": {
            "s_uuid": approval.id,
            "s_status": approval.status,
            "i_expiration_timestamp": approval.expires_at // 1000,
            "i_seconds_to_expire": max(0, (approval.expires_at - at) // 1000),
            "s_device_signing_time": rfc3339(at),
            "s_device_geolocation": None,
        },
        "user": _user(approval.tfa_id),
    }
    return Event(at, approval.tfa_id, _told(ANSWERED, at, approval.id, None, objects))


def about(event: Event, user: User, *, with_number: bool) -> dict[str, Any]:
    """What is told of an event, with what is known of its user now; the number where the credential may have it."""
    more = {
        "s_country_code": None if user.country_code is None else str(user.country_code),
        "s_phone_number": user.phone if with_number else None,
    }
    objects = event.told["objects"]
    return {**event.told, "objects": {**objects, "user": {**objects["user"], **more}}}


def _told(name: str, at: int, request: str, ip: str | None, objects: dict[str, Any]) -> dict[str, Any]:
    return {
        "event": name,
        "time": rfc3339(at),
        "request_id": request,
        "request": {"id": request, "ip": ip},
        "objects": objects,
    }


def _app(application: Application) -> dict[str, Any]:
    return {
        "s_id": hex24(application.id),
        "s_type": "full",
        "s_account_sid": None,
        "s_device_app": "authy",
    }


def _user(tfa_id: int) -> dict[str, Any]:
    return {
        "s_authy_id": str(tfa_id),
        "as_authy_ids": [str(tfa_id)],
        "b_banned": False,
        "s_country_code": None,
        "s_locale": None,
        "s_phone_number": None,
    }


def _id(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
