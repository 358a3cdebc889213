"""An approval request as both ends speak of it: words, limits, and what can become of one."""

from __future__ import annotations

import re
from typing import Final, Literal

from placet_protocol.errors import MalformedError

Verb = Literal["approve", "deny"]
Reason = Literal["ok", "declined", "mistake", "not_me"]
Outcome = Literal["approved", "denied"]
FinalState = Literal["approved", "denied", "expired", "cancelled", "superseded"]
State = Literal["pending"] | FinalState
Event = Literal["approve", "deny", "expire", "cancel", "supersede"]

FINAL_STATES: Final[frozenset[State]] = frozenset(
    {"approved", "denied", "expired", "cancelled", "superseded"}
)

MESSAGE_MAX: Final = 256
FIELDS_MAX: Final = 20
LABEL_MAX: Final = 64
VALUE_MAX: Final = 256
NAME_MAX: Final = 64
HIDDEN_MAX: Final = 4096
"""Bytes of the hidden details as JSON; the other limits count characters."""

_NEXT: Final[dict[Event, FinalState]] = {
    "approve": "approved",
    "deny": "denied",
    "expire": "expired",
    "cancel": "cancelled",
    "supersede": "superseded",
}
_NUMBER_MODE: Final = re.compile(r"none|entry:([2-6])")


def next_state(state: State, event: Event) -> FinalState | None:
    """What an event makes of a request; None when it has ended already, for nothing follows a final state."""
    return _NEXT[event] if state == "pending" else None


def number_digits(mode: str) -> int:
    """How many digits the person must type: 0 for ``none``, N for ``entry:N`` with N from 2 to 6.

    Raises ``MalformedError`` for anything else.
    """
    match = _NUMBER_MODE.fullmatch(mode)
    if match is None:
        raise MalformedError("the number mode is none or entry:2 to entry:6")
    return int(match[1] or 0)


def outcome(dec: Verb, number_ok: bool) -> Outcome:  # noqa: FBT001 - the two facts that decide, in the table's order
    """What a decision leads to: an approval with a wrong number is a denial; a denial needs no number."""
    return "approved" if dec == "approve" and number_ok else "denied"
