"""Words for people: lengths of time, outcomes, names, errors.

Texts of requests, notices and connections were filtered when they entered the inbox, and are drawn as they are; what
else others wrote, names of servers and words of errors, is filtered here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from placet_protocol.text import visible

if TYPE_CHECKING:
    from placet_authenticator.errors import AuthenticatorError
    from placet_authenticator.inbox import Connection, Ended, Entry
    from placet_authenticator.records import Enrollment

QUIET: Final = "$quiet"
"""The style of words that may be passed over."""
_OUTCOMES: Final = {
    "approved": "Approved",
    "denied": "Denied",
    "expired": "Expired",
    "cancelled": "Withdrawn",
    "superseded": "Replaced",
    "failed": "Device removed",
}
_REASONS: Final = {
    "mistake": "as a mistake",
    "not_me": "as not started by you",
    "wrong_number": "because the number was wrong",
}

# Terminals and the toolkit disagree on how wide an emoji is with one of these.
_TRIMMINGS: Final = re.compile("[\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")
_EMOJI: Final = "[\u2190-\u2bff\U0001f000-\U0001faff]"
_JOINED: Final = re.compile(f"(?<={_EMOJI})\u200d(?={_EMOJI})")


def server_names(enrollments: Iterable[Enrollment]) -> dict[str, str]:
    """What the person calls each server, by origin; safe to draw."""
    return {each.origin: visible(each.name) or each.origin for each in enrollments}


def said(error: AuthenticatorError) -> str:
    """What happened and what to do next, in sentences that are safe to draw."""
    parts = (part.strip().rstrip(".") for part in (error.detail, error.hint))
    return visible(" ".join(f"{part[0].upper()}{part[1:]}." for part in parts if part))


def one_line(text: str) -> str:
    """The text on one line of a list, which leads to the whole of it: every line break is shown as ⏎.

    Emoji stand in their plain form, without skin tones and variants, and joined ones apart, so that what stands behind
    them on the line keeps its column on every terminal.
    """
    line = " ⏎ ".join(part.strip() for part in text.split("\n"))
    return line if line.isascii() else _JOINED.sub("", _TRIMMINGS.sub("", line))


def clock_time(ms: int) -> str:
    """A length of time as a clock shows it: ``4:05``, ``1:02:03``."""
    minutes, seconds = divmod(max(0, ms) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def ago(ms: int) -> str:
    """An age in one unit, e.g. ``12 s``, ``4 min``, ``3 h``, ``2 d``."""
    seconds = max(0, ms) // 1000
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def day(ms: int) -> date:
    """The day on this device's calendar."""
    return datetime.fromtimestamp(ms / 1000).astimezone().date()


def when(ms: int, now: int) -> str:
    """A time of the past on this device's clock: ``14:05`` today, ``3 Nov`` before; both in ms UTC."""
    at = datetime.fromtimestamp(ms / 1000).astimezone()
    return f"{at:%H:%M}" if at.date() == day(now) else f"{at.day} {at:%b}"


def moment_words(ms: int) -> str:
    """A moment in full on this device's clock and calendar."""
    at = datetime.fromtimestamp(ms / 1000).astimezone()
    return f"{at:%H:%M:%S}, {at.day} {at:%B %Y}"


def own_facts(entry: Entry) -> list[tuple[str, str]]:
    """What this device itself knows of a request: from where and when it came, and what an answer signs."""
    return [
        ("Server", f"{entry.server}, {entry.origin}"),
        ("Asked", moment_words(entry.created_at)),
        ("You sign", entry.digest),
    ]


def outcome_word(ended: Ended) -> str:
    """How it ended, in one word."""
    return _OUTCOMES[ended.outcome]


def how_it_ended(ended: Ended) -> str:
    """By whom it ended and why, e.g. ``by another device as a mistake``."""
    by = {"time": "nobody answered in time", "the server": "the server removed this device"}
    words = by.get(ended.by, f"by {ended.by}"), _REASONS.get(ended.reason, "")
    return " ".join(word for word in words if word)


def connection_words(connection: Connection | None, now: int) -> str:
    """How a server is reached, e.g. ``connected`` or ``offline for 4 min``."""
    match connection:
        case None:
            return "connecting"
        case _ if connection.state == "offline":
            return f"offline for {ago(now - connection.since)}"
        case _:
            return {"socket": "connected", "poll": "connected by polling"}.get(connection.state, "connecting")


def clock_words(connection: Connection, name: str) -> str:
    """That the device's clock is wrong, as far as this server's is right, and what to do."""
    way = "behind" if connection.clock_offset > 0 else "ahead of"
    off = ago(abs(connection.clock_offset))
    return f"Your clock is {off} {way} {one_line(name)}'s: codes may fail. Set it, then press r."


def connection_word(connection: Connection | None) -> str:
    """The same in one word, whatever the way."""
    state = connection.state if connection else "connecting"
    return {"socket": "connected", "poll": "connected"}.get(state, state)
