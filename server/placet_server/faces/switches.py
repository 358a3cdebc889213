"""Every behaviour of a face that its references leave open, with its default: what an operator may set otherwise.

``credential add --set name=value`` and ``credential set`` choose; a face asks by ``switch(caller, "name")``. The table is
the source of docs/settings.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from placet_server.domain import senders
from placet_server.domain.credentials import CredentialInfo
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import Caller

Value = str | int | bool

_NUMBER: Final = re.compile(r"integer (\d+)\.\.(\d+)")
_TRUTH: Final = {"true": True, "on": True, "yes": True, "1": True} | {
    "false": False,
    "off": False,
    "no": False,
    "0": False,
}
_TEXT_MAX: Final = 200


class Switch(NamedTuple):
    """One open behaviour.

    ``type``: ``boolean``, ``integer LOW..HIGH``, ``text``, that of a sender, or its words, ``one|other``.
    """

    face: str
    name: str
    type: str
    default: Value
    meaning: str


TABLE: Final[tuple[Switch, ...]] = (
    Switch(
        "authy",
        "verify_unconfirmed",
        "strict|lenient",
        "strict",
        "Whether verify without force passes any token of a user who never confirmed one, as Authy's own does.",
    ),
    Switch(
        "authy",
        "sandbox",
        "boolean",
        False,
        "Whether nothing is sent: 0000000 (0000 for phone verifications) is valid, nothing else is.",
    ),
    Switch("authy", "token_length", "integer 6..10", 7, "Digits of the codes of sms, call and email."),
    Switch("authy", "token_seconds", "integer 60..86400", 600, "How long these codes live."),
    Switch("authy", "verification_length", "integer 4..10", 4, "Digits of a phone verification by default."),
    Switch("authy", "custom_code", "boolean", False, "Whether a phone verification may bring its own code."),
    Switch(
        "authy",
        "custom_message",
        "boolean",
        False,
        "Whether a phone verification may bring its own text, with {{code}} in it.",
    ),
    Switch(
        "authy",
        "phone_number_export",
        "boolean",
        False,
        "Whether users/{id}/phone_number tells the number; otherwise it answers 60154.",
    ),
    Switch(
        "authy", "disabled_status", "503|403|400", "503", "HTTP status of what the credential does not have."
    ),
    Switch("authy", "limit_status", "429|503", "429", "HTTP status of 60003; before 2017 it was 503."),
    Switch(
        "authy",
        "unknown_locale",
        "english|refused",
        "english",
        "What happens to a locale without texts: English, or 404 as a later document says.",
    ),
    Switch(
        "authy",
        "no_pending",
        "prefixed|bare",
        "prefixed",
        "How the message of 60023 spells the number: +1 321-345-1234, or 321-345-1234.",
    ),
    Switch(
        "authy",
        "unclear_range",
        "cellphone|unknown",
        "cellphone",
        "What phones/info calls a number whose range does not tell, as no North American one does; is_cellphone follows.",
    ),
    Switch("authy", "call_period", "boolean", False, 'Whether "Call to … initiated" ends with a period.'),
    Switch(
        "authy",
        "details_text",
        "shown|refused",
        "shown",
        "What happens to details that are one plain string: one detail without a name of its own, or 60004.",
    ),
    Switch(
        "authy",
        "callback_expired",
        "boolean",
        False,
        "Whether the callback also hears of requests that nobody answered in time.",
    ),
    Switch(
        "authy",
        "callback_key",
        "api_key|signing_key",
        "api_key",
        "What signs callbacks: the API key, or the credential's signing key.",
    ),
    Switch(
        "authy",
        "callback_tilde",
        "plain|escaped",
        "plain",
        "How ~ is spelled in what is signed: as it is, or as %7E.",
    ),
    Switch(
        "authy",
        "device_uuid",
        "text|number",
        "text",
        "Type of device_uuid in callbacks: one client insists on a text, the live service sent numbers.",
    ),
    Switch(
        "afilnet", "returns_code", "boolean", True, "Whether generateotp tells the code; else it is sent."
    ),
    Switch("afilnet", "replaces", "boolean", True, "Whether a new code ends those of the same destination."),
    Switch("afilnet", "tries", "integer 1..10", 5, "Wrong codes after which a code is dead."),
    Switch("afilnet", "time", "integer 1..3650", 1, "Default of time."),
    Switch("afilnet", "timetype", "minutes|hours|days|weeks|months|years", "days", "Default of timetype."),
    Switch("afilnet", "length", "integer 4..32", 6, "Default of length."),
    Switch("afilnet", "otpformat", "all|numbers|letters", "all", "Default of otpformat."),
    Switch("afilnet", "output", "json|xml", "json", "Default of output."),
    Switch("afilnet", "inner_status", "text", "SUCCESS", "The member status of generateotp's result."),
    Switch("afilnet", "empty_result", "object|list", "object", "The result of verifyotp in JSON: {} or []."),
    Switch(
        "afilnet",
        "refused_ip",
        "text",
        "INCORRECT_USER_PASSWORD",
        "The error for an address that the credential may not be used from.",
    ),
    Switch(
        "afilnet",
        "unlimited_balance",
        "text",
        "999999.99",
        "What getbalance tells of a credential whose balance is not counted.",
    ),
    Switch("unityvox", "error_status", "200|400", "200", "HTTP status of errors."),
    Switch(
        "unityvox", "placeholder", "text", "{code}", "What stands for the code in a template, beside {otp}."
    ),
    Switch("unityvox", "seconds", "integer 30..86400", 600, "How long a code lives."),
    Switch("unityvox", "tries", "integer 1..10", 5, "Wrong codes after which a session answers 023."),
    Switch("unityvox", "phone_number_type", "text|number", "text", "Type of phone_number in 022."),
    Switch(
        "unityvox",
        "allow_origin",
        "text",
        "",
        "Origin of the web pages whose scripts may read answers, such as https://shop.example, or * for any; empty: none.",
    ),
    Switch("octopush", "generate_status", "200|201", "200", "HTTP status of a good generate."),
    Switch("octopush", "used_code", "198|197|196", "198", "What validate says of a code that was used."),
    Switch("octopush", "error_no_body", "integer 1..999", 100, "Code of generate for a missing body."),
    Switch(
        "octopush", "error_no_phone", "integer 1..999", 110, "Code of generate for a missing phone_number."
    ),
    Switch(
        "octopush", "error_bad_phone", "integer 1..999", 117, "Code of generate for a wrong phone_number."
    ),
    Switch("octopush", "error_no_credit", "integer 1..999", 104, "Code of an empty account."),
    Switch("octopush", "error_failed", "integer 1..999", 125, "Code of what could not be sent."),
    Switch("octopush", "channel", "sms|voice_sms|whatsapp", "sms", "Account default of channel."),
    Switch("octopush", "sender", senders.TYPE, "OTP", "Account default of sender."),
    Switch("octopush", "code_length", "integer 4..32", 6, "Account default of code_length."),
    Switch("octopush", "allow_digits", "boolean", True, "Account default of allow_digits."),
    Switch("octopush", "allow_upper_case", "boolean", False, "Account default of allow_upper_case."),
    Switch("octopush", "allow_lower_case", "boolean", False, "Account default of allow_lower_case."),
    Switch("octopush", "allow_special_chars", "boolean", False, "Account default of allow_special_chars."),
    Switch(
        "octopush",
        "remove_confusing_characters",
        "boolean",
        False,
        "Account default of remove_confusing_characters.",
    ),
    Switch(
        "octopush",
        "confusing_characters",
        "text",
        "0Oo1Il5S2Z8B",
        "What remove_confusing_characters leaves out; nothing where fewer than five characters would be left.",
    ),
    Switch("octopush", "validity_period", "integer 3..10000000", 600, "Account default of validity_period."),
    Switch("octopush", "max_wrong_attempts", "integer 1..100", 3, "Account default of max_wrong_attempts."),
    Switch(
        "octopush",
        "voice_language",
        "en-US|en-GB|el-GR|pl-PL|hu-HU|sv-SE|de-DE|es-ES|es-LA|fr-FR|it-IT|pt-BR|ru-RU",
        "en-US",
        "Account default of voice_language.",
    ),
    Switch("octopush", "voice_gender", "female|male", "female", "Account default of voice_gender."),
    Switch("octopush", "unit", "text", "euros", "What check-balance counts in."),
    Switch(
        "octopush",
        "unlimited_balance",
        "integer 0..1000000",
        1000,
        "What check-balance tells of a credential whose balance is not counted.",
    ),
)
_KNOWN: Final = {(row.face, row.name): row for row in TABLE}


def switch(caller: Caller | CredentialInfo, name: str) -> Any:  # noqa: ANN401 - as its row says
    """How this caller's credential wants an open behaviour to be; a name without a row is a defect."""
    row = _KNOWN[caller.face, name]
    return caller.settings.get(name, row.default)


def of_face(face: str) -> tuple[Switch, ...]:
    """The switches of one face, in the order of the documentation."""
    return tuple(row for row in TABLE if row.face == face)


def parse(face: str, pairs: Mapping[str, str]) -> dict[str, Value]:
    """Switches as settings of a credential; raises ``invalid_request`` that names what is wrong and what is near."""
    return {name: _value(_row(face, name), text.strip()) for name, text in pairs.items()}


def _row(face: str, name: str) -> Switch:
    row = _KNOWN.get((face, name))
    if row is None:
        names = [known.name for known in of_face(face)]
        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {_list(names)}."
        raise RefusedError("invalid_request", f"The {face} face has no switch {name[:64]!r}; {hint}")
    return row


def _value(row: Switch, text: str) -> Value:
    value = _read(row.type, text)
    if value is None:
        raise RefusedError("invalid_request", f"{row.name} takes {row.type}, not {text[:64]!r}.")
    return value


def _read(kind: str, text: str) -> Value | None:
    if kind == "boolean":
        return _TRUTH.get(text.lower())
    if kind == senders.TYPE:
        return text if not text or senders.fits_phones(text) else None
    if kind == "text":
        return text if text.isprintable() and len(text) <= _TEXT_MAX else None
    if match := _NUMBER.fullmatch(kind):
        if not (text.isascii() and text.isdigit() and len(text) <= 12):
            return None
        return int(text) if int(match[1]) <= int(text) <= int(match[2]) else None
    return text if text in kind.split("|") else None


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
