"""What commands print: JSON for programs, lines for people. Foreign text passes the text filter before it gets here."""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from placet_protocol.text import visible

if TYPE_CHECKING:
    from placet_authenticator.inbox import Ended, Entry

LABEL_CELLS: Final = 12
_JOINER: Final = "\u200d"


def as_json(value: Any) -> None:  # noqa: ANN401  any JSON value
    """Print one JSON value on one line, in ASCII: no terminal can be moved by it."""
    click.echo(json.dumps(value, ensure_ascii=True))


def line(text: str = "", *, bold: bool = False) -> None:
    """Print one line of safe text."""
    shown = visible(text)
    click.echo(click.style(shown, bold=True) if bold else shown)


def note(text: str) -> None:
    """Print one line for the person beside the answer, on stderr."""
    click.echo(visible(text), err=True)


def argument(text: str) -> str:
    """A text as one argument of a command to copy: quoted, and behind ``--`` where it would read as an option."""
    return ("-- " if text.startswith("-") else "") + shlex.quote(text)


def blocks(lines: Iterable[str]) -> None:
    """Print block characters in white on black, whatever the terminal's own colours are."""
    for each in lines:
        click.echo(click.style(each, fg=(255, 255, 255), bg=(0, 0, 0)))


def fields(pairs: Iterable[tuple[str, str]], *, indent: int = 2) -> None:
    """Print labels and values in two columns; long values go on below themselves, so none can pose as a label."""
    rows = list(pairs)
    label_cells = max([LABEL_CELLS, *(cells(label) for label, _ in rows)])
    width = max(30, shutil.get_terminal_size().columns)
    room = width - indent - label_cells - 2
    if room < 20:
        label_cells, room = LABEL_CELLS, max(20, width - indent - LABEL_CELLS - 2)
    for label, value in rows:
        heads = wrapped(label, label_cells) or [""]
        tails = [part for each in value.split("\n") for part in wrapped(each, room) or [""]]
        for number in range(max(len(heads), len(tails))):
            head = heads[number] if number < len(heads) else ""
            tail = tails[number] if number < len(tails) else ""
            line(" " * indent + head + " " * (label_cells - cells(head) + 2) + tail)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header, columns as wide as they need."""
    widths = [max(cells(row[number]) for row in (header, *rows)) for number in range(len(header))]
    for place, row in enumerate((header, *rows)):
        parts = [cell + " " * (width - cells(cell)) for cell, width in zip(row, widths, strict=True)]
        line("  ".join(parts).rstrip(), bold=place == 0)


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def wrapped(text: str, room: int) -> list[str]:
    """The text in pieces of at most ``room`` columns, broken at a space where there is one."""
    pieces = []
    while cells(text) > room:
        used = end = 0
        while used + _cells(text[end]) <= room:
            used += _cells(text[end])
            end += 1
        space = text.rfind(" ", 1, end + 1)
        end = space if space > 0 else _between_clusters(text, max(end, 1))
        pieces.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*pieces, text] if text else pieces


def _between_clusters(text: str, end: int) -> int:
    """The last place up to ``end`` that parts neither a letter from its marks nor a joined emoji."""
    for place in itertools.chain(range(end, 0, -1), range(end + 1, len(text))):
        if _cells(text[place]) and text[place - 1] != _JOINER:
            return place
    return len(text)


def timestamp(at: int) -> str:
    """RFC 3339 in UTC with milliseconds, from ms UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration(ms: int) -> str:
    """A length of time as a person says it."""
    seconds = max(0, ms) // 1000
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


def entry_json(entry: Entry) -> dict[str, Any]:
    """A pending request for programs."""
    return {
        "id": entry.rid,
        "server": entry.server,
        "origin": entry.origin,
        "device": entry.device,
        "application": entry.application,
        "message": entry.message,
        "visible": [list(pair) for pair in entry.fields],
        "context": {"ip": entry.ip, "place": entry.place, "agent": entry.agent},
        "number_digits": entry.digits,
        "created_at": timestamp(entry.created_at),
        "expires_at": timestamp(entry.expires_at),
        "digest": entry.digest,
    }


def ended_json(ended: Ended) -> dict[str, Any]:
    """A request that has ended, for programs."""
    return {
        "id": ended.entry.rid,
        "origin": ended.entry.origin,
        "outcome": ended.outcome,
        "by": ended.by,
        "reason": ended.reason,
        "digest": ended.entry.digest,
        "at": timestamp(ended.at),
    }


def entry(entry: Entry, now: int) -> None:
    """Print a pending request for a person; ``now`` in ms UTC on the server's clock."""
    line(f"{entry.rid}  {entry.application} asks", bold=True)
    number = f" --number {'N' * entry.digits}" if entry.digits else ""
    asked = f"the {entry.digits} digits that {entry.application} shows you; one try"
    origin = ", ".join(part for part in (entry.ip, entry.place, entry.agent) if part)
    rows = [("Message", entry.message), *(("· " + label, value) for label, value in entry.fields)]
    rows += [("Comes from", f"{origin} (as {entry.application} says)")] if origin else []
    rows += [
        ("Server", f"{entry.server} ({entry.origin})"),
        ("Asked", f"{duration(now - entry.created_at)} ago, ends in {duration(entry.expires_at - now)}"),
        ("Number", asked if entry.digits else "none is asked"),
        ("Digest", entry.digest),
        ("Answer", f"placet approve {entry.rid}{number}\nplacet deny {entry.rid}"),
    ]
    fields(rows)
