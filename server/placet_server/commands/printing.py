"""What the operator sees: answers as text, QR codes in the terminal and in files."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def text(answer: Any) -> str:  # noqa: ANN401 - JSON
    """A JSON answer as aligned lines; a list of objects becomes a table."""
    if isinstance(answer, Mapping):
        width = max((len(str(name)) for name in answer), default=0)
        return "\n".join(
            f"{name:<{width}}  {_shown(value, width)}".rstrip() for name, value in answer.items()
        )
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        return _table(answer) if answer else "none"
    return str(answer)


def blocks(uri: str) -> str:
    """A QR code in half blocks, dark on light whatever the terminal's colours are."""
    import qrcode  # 40 ms that only the commands with a picture pay

    code = qrcode.QRCode(border=2)
    code.add_data(uri)
    out = io.StringIO()
    code.print_ascii(out=out, invert=True)
    return out.getvalue()


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read: a picture of an invitation is the invitation."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        os.fchmod(out.fileno(), 0o600)
        out.write(content)


def _shown(value: Any, indent: int) -> str:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        inner = text(value).replace("\n", "\n" + " " * (indent + 2))
        return inner or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and isinstance(value[0], Mapping):
            return text(value).replace("\n", "\n" + " " * (indent + 2))
        return ", ".join(map(str, value)) or "none"
    if value is None:
        return "-"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _table(rows: Sequence[Any]) -> str:
    if not isinstance(rows[0], Mapping):
        return "\n".join(map(str, rows))
    cells = [list(rows[0]), *([_shown(value, 0) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
