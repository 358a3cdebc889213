"""What the API log keeps of a foreign call: an allow-list a face. Names and values on no list are never written.

Names are those of parameters, path variables and members of answers, in lower case. Codes, keys, passwords and texts of
messages (which hold codes) are on no list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

MASK: Final = "***"
OTHERS: Final = "(others)"
"""Under this name it is told how many were on no list: a password that is badly encoded ends up among the names."""
_TEXT_MAX: Final = 200
_MEMBERS_MAX: Final = 60
_DEPTH_MAX: Final = 4
_ANSWER_MAX: Final = 16_384
_SECRETS: Final = frozenset(
    {
        "api_key",
        "api-key",
        "apikey",
        "code",
        "data",
        "email",
        "hidden_details",
        "message",
        "otp_code",
        "params",
    }
    | {"otp_request_token", "password", "qr_code", "sms", "subject", "text", "token", "number"}
)
"""What is known to be, or to hold, a secret: its name is kept and its value is not."""
_CREDENTIAL_LIKE: Final = re.compile(
    r"pass|secret|token|key|code|pin|otp|auth|credential|sign|cvv", re.IGNORECASE
)
_WORD: Final = re.compile(r"[A-Za-z0-9_]{1,40}", re.ASCII)
_ELEMENT: Final = re.compile(r">([^<>]+)</(?:[\w.-]+:)?([\w.-]+)>", re.ASCII)


class _Action(Enum):
    KEEP = 1
    MASK = 2
    FREE = 3


class Logged(NamedTuple):
    """One face's lists: ``sent`` and ``answered`` are kept; ``free`` holds labels and values as people see them.

    ``user``, ``destination`` and ``country`` name the parameters by which calls can be found; ``operation`` those that
    say what is called, where the path does not; ``result`` is the member of an answer that holds its code.
    """

    sent: frozenset[str]
    answered: frozenset[str]
    free: frozenset[str] = frozenset()
    user: str = ""
    destination: tuple[str, ...] = ()
    country: str = ""
    operation: tuple[str, ...] = ()
    result: str = "code"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


TABLE: Final[dict[str, Logged]] = {
    "authy": Logged(
        sent=_names(
            "format user id uuid country_code cellphone phone_number email via locale force action data user_ip"
            " send_install_link_via_sms message seconds_to_expire details logos res url qr_size label type ip"
            " custom_message_lang code_length"
        ),
        answered=_names(
            "message success error_code errors user id status authy_id confirmed registered country_code phone_number"
            " cellphone email devices device os_type device_type uuid approval_request seconds_to_expire carrier"
            " is_cellphone is_ported type provider ported ignored app name plan app_id stats count total_users month year"
            " sms_count calls_count users_count auths_count api_calls_count created_at updated_at processed_at notified"
        ),
        free=frozenset({"details"}),
        user="user",
        destination=("phone_number", "cellphone", "email"),
        country="country_code",
        result="error_code",
    ),
    "afilnet": Logged(
        sent=_names(
            "class method user type destination to from time timetype length otpformat output idtemplate"
            " scheduledatetime platformid messages language lang"
        ),
        answered=_names(
            "status error messageid credits expires result response faultcode faultstring messages"
        ),
        destination=("destination", "to"),
        operation=("class", "method"),
        result="error",
    ),
    "unityvox": Logged(
        sent=_names("accountnumber ref_id phone_number sessionid"),
        answered=_names("version code status resultstring phone_number sessionid statusmessage"),
        destination=("phone_number",),
    ),
    "octopush": Logged(
        sent=_names(
            "phone_number channel sender code_length allow_digits allow_upper_case allow_lower_case allow_special_chars"
            " remove_confusing_characters validity_period max_wrong_attempts recipient_ip voice_language voice_gender"
            " recipients type purpose send_at request_id simulation_mode with_details country_code product_name"
            " country_codes"
        ),
        answered=_names(
            "code message ticket_number remaining_number_of_attempts amount unit sms_ticket number_of_contacts"
            " total_cost number_of_sms_needed residual_credit"
        ),
        destination=("phone_number", "recipients"),
    ),
}


def parameters(kept: Logged, sent: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the list, masks in place of known secrets, and how many others there were."""
    masked: dict[str, Any] = _masked(sent, _actions(kept.sent, kept.free), 0)
    return masked


def answer(kept: Logged, data: bytes, media: str) -> Any:  # noqa: ANN401 - JSON
    """A JSON or XML answer with masks; of anything else, and of long ones, only how many bytes it has."""
    if len(data) <= _ANSWER_MAX:
        if "json" in media:
            try:
                return _masked(msgspec.json.decode(data), _actions(kept.answered, frozenset()), 0)
            except (ValueError, RecursionError):
                pass
        elif "xml" in media:
            return _ELEMENT.sub(partial(_element, kept), data.decode("utf-8", "replace"))
    return f"{len(data)} bytes"


def said(kept: Logged, data: bytes) -> str | None:
    """The code in an answer in JSON or XML, as its reader sees it; None where there is none."""
    found = _code(kept.result).search(data[:_ANSWER_MAX])
    return found[1].decode() if found else None


def operation(kept: Logged, sent: Mapping[str, Any]) -> str:
    """What is called, where parameters say it: ``otp/generateotp``; else the empty text."""
    words = [str(sent.get(name, "")) for name in kept.operation]
    return "/".join(words) if words and all(map(_WORD.fullmatch, words)) else ""


@lru_cache
def _code(member: str) -> re.Pattern[bytes]:
    """The value of a member of JSON, or of an element of that name, dasherised or not."""
    name = member.replace("_", "[_-]")
    return re.compile(rf"""(?:"{name}"\s*:\s*"?|<{name}(?:\s[^<>]*)?>)(\w{{1,64}})""".encode(), re.ASCII)


@lru_cache
def _actions(kept: frozenset[str], free: frozenset[str]) -> Mapping[str, _Action]:
    """What is done with the value of each known name."""
    return {
        **dict.fromkeys(_SECRETS, _Action.MASK),
        **dict.fromkeys(kept, _Action.KEEP),
        **dict.fromkeys(free, _Action.FREE),
    }


def _masked(value: Any, actions: Mapping[str, _Action], depth: int) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return _cut(value)
    if depth > _DEPTH_MAX:
        return MASK
    if isinstance(value, dict):
        shown: dict[str, Any] = {}
        others = 0
        for name, inner in islice(value.items(), _MEMBERS_MAX):
            action = actions.get(name) or actions.get(name.lower())
            if action is _Action.KEEP:
                shown[name] = _masked(inner, actions, depth + 1)
            elif action is _Action.MASK:
                shown[name] = MASK
            elif action is _Action.FREE:
                shown[name] = _free(inner)
            else:
                others += 1
        if others:
            shown[OTHERS] = others
        return shown
    if isinstance(value, list):
        return [_masked(inner, actions, depth + 1) for inner in value[:_MEMBERS_MAX]]
    return value


def _free(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Labels and values that a person was shown, but for those whose label speaks of a secret."""
    if isinstance(value, dict):
        return {
            _cut(str(label)): MASK
            if _CREDENTIAL_LIKE.search(str(label)) or not isinstance(inner, str | int)
            else _cut(str(inner))
            for label, inner in list(value.items())[:_MEMBERS_MAX]
        }
    return MASK


def _element(kept: Logged, match: re.Match[str]) -> str:
    text = match[1] if match[2].lower() in kept.answered else MASK
    return f">{text}</{match[2]}>"


def _cut(text: str) -> str:
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"
