"""What an application may ask and how strict the server is with it: one documented table, and its reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final, Literal, NamedTuple, get_args

from msgspec import Struct, structs

from placet_server.domain import senders
from placet_server.domain.networks import networks
from placet_server.domain.refusals import RefusedError
from placet_server.domain.texts import LANGUAGES
from placet_server.ports import Channel

Setting = str | int | bool | tuple[str, ...]


class Policies(Struct, frozen=True, omit_defaults=True):
    """The policies of one application; the table below says what each means, its unit and its limits."""

    enrollment_confirmation: Literal["required", "none"] = "required"
    enrollment_soft_token: bool = True
    enrollment_ttl: int = 600
    approval_ttl: int = 300
    approval_max_ttl: int = 86_400
    approval_number: str = "entry:3"
    approval_max_pending: int = 3
    approval_max_unapproved: int = 5
    approval_window: int = 600
    approval_hold: int = 600
    approval_hold_max: int = 7_200
    approval_not_me_hold: int = 1_800
    limits_failures_delay: int = 5
    limits_failures_max: int = 100
    limits_requests_per_second: int = 0
    limits_lookups_per_minute: int = 60
    limits_networks: tuple[str, ...] = ()
    authy_number: str = "none"
    callback_hosts: tuple[str, ...] = ()
    code_length: int = 6
    code_min_length: int = 4
    code_seconds: int = 600
    code_max_seconds: int = 86_400
    code_tries: int = 5
    code_max_tries: int = 10
    code_channels: tuple[Channel, ...] = ()
    code_strict_ip: bool = False
    code_language: str = "en-US"
    code_sender: str = ""
    code_origin: str = ""
    code_verified_numbers: bool = False
    code_resend_after: int = 30
    code_per_destination: int = 5
    code_window: int = 600
    code_per_destination_day: int = 20
    code_per_prefix: int = 0
    code_texts_per_prefix: int = 100
    code_per_ip: int = 0
    code_per_application: int = 0
    code_countries: tuple[str, ...] = ("*",)
    code_lines: Literal["any", "mobile"] = "any"
    code_breaker: int = 50
    code_breaker_percent: int = 10
    code_breaker_hold: int = 3_600
    route_sms: tuple[str, ...] = ()
    route_voice: tuple[str, ...] = ()
    route_email: tuple[str, ...] = ()
    route_whatsapp: tuple[str, ...] = ()


class Policy(NamedTuple):
    """One row of the documented table; ``maximum`` is the hard limit of a whole number, None for other types."""

    name: str
    type: str
    default: Setting
    unit: str
    meaning: str
    minimum: int | None = None
    maximum: int | None = None

    @property
    def field(self) -> str:
        """The name of the policy as a field of ``Policies``."""
        return self.name.replace(".", "_")


_DEFAULT: Final = structs.asdict(Policies())
_NUMBER_MODE: Final = re.compile(r"none|entry:[2-6]")
_HOST: Final = re.compile(r"\*|[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?", re.ASCII)
_COUNTRY: Final = re.compile(r"\*|[1-9][0-9]{0,2}", re.ASCII)
_TRUTH: Final = {
    "true": True,
    "on": True,
    "yes": True,
    "1": True,
    "false": False,
    "off": False,
    "no": False,
    "0": False,
}


def _whole(name: str, unit: str, meaning: str, minimum: int, maximum: int) -> Policy:
    return Policy(name, "integer", _DEFAULT[name.replace(".", "_")], unit, meaning, minimum, maximum)


def _other(name: str, kind: str, meaning: str) -> Policy:
    return Policy(name, kind, _DEFAULT[name.replace(".", "_")], "", meaning)


TABLE: Final[tuple[Policy, ...]] = (
    _other(
        "enrollment.confirmation",
        "required|none",
        "Whether a new device stays inactive until its six digits are confirmed.",
    ),
    _other("enrollment.soft_token", "boolean", "Whether an enrolment also gives the device a soft token."),
    _whole("enrollment.ttl", "seconds", "How long an enrolment URI can be used.", 10, 600),
    _whole(
        "approval.ttl",
        "seconds",
        "How long a request waits for its answer when the call names no time.",
        5,
        86_400,
    ),
    _whole(
        "approval.max_ttl",
        "seconds",
        "The longest time that a call may name; the native API refuses more.",
        5,
        86_400,
    ),
    _other(
        "approval.number",
        "none|entry:2..6",
        "How many digits the person copies from the application to the device; a call may ask more, never less.",
    ),
    _whole("approval.max_pending", "requests", "Open requests of one user at a time.", 1, 100),
    _whole(
        "approval.max_unapproved",
        "requests",
        "Unanswered or denied requests in a window before a hold.",
        1,
        100,
    ),
    _whole("approval.window", "seconds", "The window in which unapproved requests are counted.", 10, 86_400),
    _whole("approval.hold", "seconds", "The first hold; each further one is twice as long.", 10, 86_400),
    _whole("approval.hold_max", "seconds", "The longest hold.", 10, 86_400),
    _whole("approval.not_me_hold", "seconds", "The hold after the person said: this was not me.", 10, 86_400),
    _whole(
        "limits.failures_delay",
        "failures",
        "Wrong codes in a row after which the next try has to wait.",
        1,
        20,
    ),
    _whole(
        "limits.failures_max", "failures", "Wrong codes in a row after which soft tokens are locked.", 1, 100
    ),
    _whole(
        "limits.requests_per_second",
        "calls/s",
        "Calls that one key may make, in bursts of twice as many; 0: any.",
        0,
        100_000,
    ),
    _whole(
        "limits.lookups_per_minute",
        "people/min",
        "People whom one key may look up by id, phone or e-mail; creating new ones does not count; 0: any.",
        0,
        100_000,
    ),
    _other(
        "limits.networks",
        "networks",
        "Networks (CIDR), comma separated, from which the keys of the application may be used; empty: any.",
    ),
    _other(
        "authy.number",
        "none|entry:2..6",
        "As approval.number, for requests by the Authy face; their answer then tells the number.",
    ),
    _other(
        "callback.hosts",
        "hosts",
        "Hosts, comma separated, that a call may name as callback beside those of the webhooks; * for any.",
    ),
    _whole("code.length", "characters", "Length of a code when the call names none.", 4, 32),
    _whole("code.min_length", "characters", "The shortest code that a call may ask for.", 4, 32),
    _whole("code.seconds", "seconds", "How long a code counts when the call names no time.", 10, 10_000_000),
    _whole("code.max_seconds", "seconds", "The longest life of a code; more is cut to it.", 10, 10_000_000),
    _whole("code.tries", "tries", "Wrong tries of a code when the call names no number.", 1, 100),
    _whole(
        "code.max_tries", "tries", "The most wrong tries that a call may ask for; more is cut to it.", 1, 100
    ),
    _other(
        "code.channels",
        "channels",
        "Channels that may be used, comma separated, tried in this order when a call names none; empty: any.",
    ),
    _other(
        "code.strict_ip",
        "boolean",
        "Whether a code that is bound to an IP address needs it at the check on every face, not only natively.",
    ),
    _other("code.language", "language", "Language of the built-in texts when the call names none."),
    _other(
        "code.sender",
        senders.TYPE,
        "Sender when the call names none: a number, or up to 11 letters, digits and spaces.",
    ),
    _other(
        "code.origin",
        "host",
        "Host to which text messages are bound by a last line `@host #code`, so that a browser fills it in there only.",
    ),
    _other(
        "code.verified_numbers",
        "boolean",
        "Whether codes for a user go to a number only after a phone verification of it has matched.",
    ),
    _whole(
        "code.resend_after",
        "seconds",
        "How long a code must be out before another takes its place.",
        0,
        3_600,
    ),
    _whole(
        "code.per_destination",
        "messages",
        "Messages to one number or address without a pause of code.window.",
        1,
        1_000,
    ),
    _whole("code.window", "seconds", "The pause after which code.per_destination counts anew.", 10, 86_400),
    _whole(
        "code.per_destination_day", "messages", "Messages to one number or address in 24 hours.", 1, 10_000
    ),
    _whole(
        "code.per_prefix",
        "messages/h",
        "Messages to numbers that differ in the last four digits; 0: any.",
        0,
        10**6,
    ),
    _whole(
        "code.texts_per_prefix",
        "messages/h",
        "Plain texts, whose answers nobody counts, to numbers that differ in the last four digits; 0: any.",
        0,
        10**6,
    ),
    _whole(
        "code.per_ip",
        "messages/h",
        "Messages by one IP address: the person's where the call names it; on a face else the caller's; 0: any.",
        0,
        10**6,
    ),
    _whole("code.per_application", "messages/h", "Messages of the application; 0: any.", 0, 10**8),
    _other(
        "code.countries", "countries", "Country codes to which messages may go, comma separated; * for all."
    ),
    _other(
        "code.lines", "any|mobile", "Whether text messages may go to numbers that are known to be no mobiles."
    ),
    _whole(
        "code.breaker",
        "messages",
        "Codes to one prefix in an hour from which on too few right answers hold the prefix; 0: never.",
        0,
        10**6,
    ),
    _whole("code.breaker_percent", "percent", "Right answers below which the prefix is held.", 1, 100),
    _whole("code.breaker_hold", "seconds", "How long a prefix is held.", 60, 86_400),
    *(
        _other(
            f"route.{channel}",
            "names",
            f"Gateways for {channel}, comma separated, tried in this order; empty: all that carry it.",
        )
        for channel in get_args(Channel)
    ),
)
_BY_NAME: Final = {policy.name: policy for policy in TABLE}


def shown(policies: Policies) -> dict[str, Setting]:
    """All policies by their documented names."""
    return {policy.name: getattr(policies, policy.field) for policy in TABLE}


def parse(pairs: Mapping[str, str], base: Policies) -> Policies:
    """``base`` with the named policies changed; raises ``invalid_request`` that names what is wrong and allowed."""
    changes: dict[str, Setting] = {}
    for name, text in pairs.items():
        policy = _BY_NAME.get(name)
        if policy is None:
            near = get_close_matches(name, _BY_NAME, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise RefusedError("invalid_request", f"There is no policy {name[:64]!r}{hint}")
        changes[policy.field] = _value(policy, text.strip())
    policies = structs.replace(base, **changes)
    if policies.approval_ttl > policies.approval_max_ttl:
        raise RefusedError("invalid_request", "approval.ttl is longer than approval.max_ttl.")
    if policies.limits_failures_delay > policies.limits_failures_max:
        raise RefusedError("invalid_request", "limits.failures_delay is more than limits.failures_max.")
    if policies.code_seconds > policies.code_max_seconds:
        raise RefusedError("invalid_request", "code.seconds is longer than code.max_seconds.")
    if policies.code_tries > policies.code_max_tries:
        raise RefusedError("invalid_request", "code.tries is more than code.max_tries.")
    if policies.code_min_length > policies.code_length:
        raise RefusedError("invalid_request", "code.min_length is more than code.length.")
    return policies


def _value(policy: Policy, text: str) -> Setting:
    value = _READERS[policy.type](text)
    if value is None:
        raise RefusedError("invalid_request", f"{policy.name} takes {policy.type}, not {text[:64]!r}.")
    if policy.minimum is not None and policy.maximum is not None:
        assert isinstance(value, int)
        if not policy.minimum <= value <= policy.maximum:
            raise RefusedError(
                "invalid_request",
                f"{policy.name} goes from {policy.minimum} to {policy.maximum} {policy.unit}.",
            )
    return value


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _number_mode(text: str) -> str | None:
    return text if _NUMBER_MODE.fullmatch(text) else None


def _hosts(text: str) -> tuple[str, ...] | None:
    hosts = _listed(text)
    return hosts if all(_HOST.fullmatch(host) for host in hosts) else None


def _countries(text: str) -> tuple[str, ...] | None:
    codes = tuple(code.removeprefix("+") for code in _listed(text))
    return codes if codes and all(_COUNTRY.fullmatch(code) for code in codes) else None


def _channels(text: str) -> tuple[str, ...] | None:
    names = _listed(text)
    return names if set(names) <= set(get_args(Channel)) else None


def _names(text: str) -> tuple[str, ...] | None:
    names = _listed(text)
    return names if all(_NAME.fullmatch(name) for name in names) else None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))


_READERS: Final[dict[str, Callable[[str], Setting | None]]] = {
    "integer": _integer,
    "boolean": lambda text: _TRUTH.get(text.lower()),
    "required|none": lambda text: text if text in {"required", "none"} else None,
    "none|entry:2..6": _number_mode,
    "hosts": _hosts,
    "networks": lambda text: networks(word.strip() for word in text.split(",") if word.strip()),
    "host": lambda text: (
        text.lower() if not text or (text != "*" and _HOST.fullmatch(text.lower())) else None
    ),
    "channels": _channels,
    "names": _names,
    "countries": _countries,
    "any|mobile": lambda text: text if text in {"any", "mobile"} else None,
    "language": lambda text: text if text in LANGUAGES else None,
    senders.TYPE: lambda text: text if not text or senders.fits_phones(text) else None,
}
