"""Lines of the inbox, cut to the room that there is; what was cut ends with an ellipsis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.content import Content

from placet_authenticator.tui.texts import QUIET, ago, clock_time, one_line, outcome_word, when

if TYPE_CHECKING:
    from placet_authenticator.inbox import Ended, Entry, Notice

MARKS: Final = {
    "approved": ("✓", "$text-success"),
    "denied": ("✗", "$text-error"),
    "expired": ("◷", QUIET),
    "cancelled": ("-", QUIET),
    "superseded": ("-", QUIET),
    "failed": ("!", "$text-warning"),
}
URGENT_MS: Final = 60_000
ROOMY: Final = 76
"""From this many columns on a line of the history has columns."""


def pending_row(entry: Entry, now: int, width: int) -> Content:
    """A request that waits, in two lines; ``now`` in ms UTC on the server's clock."""
    left_ms = entry.expires_at - now
    style = "$text-error bold" if left_ms < URGENT_MS else "$text-accent"
    server = "" if entry.server == entry.application else f" · {one_line(entry.server)}"
    who = Content.assemble(("▌ ", "$accent"), (one_line(entry.application), "bold"), (server, QUIET))
    what = Content.assemble(("▌ ", "$accent"), one_line(entry.message))
    return Content("\n").join(
        (
            _spread(who, Content.styled(clock_time(left_ms), style), width),
            _spread(what, Content.styled(f"{ago(now - entry.created_at)} ago", QUIET), width),
        )
    )


def past_row(ended: Ended, now: int, width: int) -> Content:
    """A request of the history; ``now`` in ms UTC."""
    mark = MARKS[ended.outcome]
    age = when(ended.at, now)
    if width < ROOMY:
        left = Content.assemble(
            mark, " ", one_line(ended.entry.application), " · ", one_line(ended.entry.message)
        )
        return _spread(left, Content.styled(age, QUIET), width)
    by = "signed here" if ended.by == "this device" else "" if ended.by == "time" else ended.by
    left = Content.assemble(
        mark,
        " ",
        Content.styled(outcome_word(ended), mark[1]).truncate(10, pad=True),
        " ",
        Content(one_line(ended.entry.application)).truncate(18, ellipsis=True, pad=True),
        "  ",
        one_line(ended.entry.message),
    )
    return _spread(left, Content.styled(f"{by:>14}  {age:>6}", QUIET), width)


def notice_row(notice: Notice, server: str, now: int, width: int) -> Content:
    """Something that a server told; ``now`` in ms UTC."""
    left = Content.assemble(
        ("!", "$text-warning"), " ", (one_line(server), "bold"), " says: ", one_line(notice.text)
    )
    return _spread(left, Content.styled(when(notice.at, now), QUIET), width)


def _spread(left: Content, right: Content, width: int) -> Content:
    room = max(4, width - right.cell_length - 2)
    return Content.assemble(left.truncate(room, ellipsis=True, pad=True), "  ", right)
