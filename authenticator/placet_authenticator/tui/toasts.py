"""What is shown for a few seconds when something happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from placet_authenticator.tui.texts import how_it_ended, one_line, outcome_word

if TYPE_CHECKING:
    from placet_authenticator.inbox import Ended, Entry, Notice


class Toast(NamedTuple):
    """Words in a corner of the screen, shown for ``seconds``."""

    text: str
    title: str = ""
    severity: Literal["information", "warning", "error"] = "information"
    seconds: float = 6


def arrived(entry: Entry) -> Toast:
    """A request waits."""
    return Toast(one_line(entry.message), f"{entry.application} asks")


def ended(over: Ended) -> Toast | None:
    """A request is over; None where another one took its place, which says so itself."""
    if over.outcome == "superseded":
        return None
    title = f"{outcome_word(over)} {how_it_ended(over)}"
    return Toast(
        one_line(over.entry.message), title, "information" if over.outcome == "approved" else "warning"
    )


def told(notice: Notice, server: str) -> Toast:
    """A server has something to tell, which is worth a longer look."""
    return Toast(notice.text, f"{server} says", "warning", 12)
