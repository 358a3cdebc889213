"""What the process writes about itself: one JSON line an event, ASCII only, from an allow-list.

No message argument of a foreign library and no text of an exception is ever written: aiohttp puts the raw request line
into both, and request lines of some faces hold keys, passwords and codes.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, TextIO

_FACTS: Final = "placet_facts"
_FRAMES_MAX: Final = 12
log: Final = logging.getLogger("placet")
"""The server's own logger; write to it by ``event``."""


def event(
    name: str, *, level: int = logging.INFO, error: BaseException | None = None, **facts: str | int
) -> None:
    """Write one line: a constant name, facts that hold no secret, and where (not what) an exception says."""
    if log.isEnabledFor(level):
        told: dict[str, object] = {**facts}
        if error is not None:  # not as exc_info: whoever configured logging otherwise would print its text
            told |= {"error": type(error).__name__, "trace": trace(error.__traceback__)}
        log.log(level, name, extra={_FACTS: told})


def configure(stream: TextIO | None = None, level: int = logging.INFO) -> logging.Handler:
    """Send everything that anybody in the process logs to this stream (stderr by default) in this form."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("aiohttp.access").disabled = True  # its lines hold request lines
    return handler


class JsonLines(logging.Formatter):
    """One record as one line: ``at, level, logger, event``, then facts, then ``error`` and ``trace``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line without its end; control, bidi and all other non-ASCII characters are escaped."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "at": at.removesuffix("+00:00") + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            # Our own names are constants; others may have formatted values into theirs.
            "event": str(record.msg) if record.name == log.name else _foreign(record),
        }
        line.update(getattr(record, _FACTS, {}))
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["trace"] = trace(record.exc_info[2])
        return json.dumps(line, ensure_ascii=True, default=str)


def _foreign(record: logging.LogRecord) -> str:
    return _FOREIGN.get(str(record.msg), "event of " + record.name.partition(".")[0])


_FOREIGN: Final = {
    "Error handling request from %s": "malformed request",
    "Unhandled exception": "connection failed",
    "Task exception was never retrieved": "task failed",
    "Unclosed client session": "unclosed client session",
}


def trace(tb: TracebackType | None) -> list[str]:
    """The innermost frames as ``file:line function``: places of our own making, no values."""
    return [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(tb)[-_FRAMES_MAX:]
    ]
