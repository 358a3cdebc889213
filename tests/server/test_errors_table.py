"""The documented table of errors is the one that answers."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from placet_server.domain.refusals import Code, RefusedError
from placet_server.web.problems import TABLE, page, problem

DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"


def test_every_refusal_has_its_problem() -> None:
    """The table is total: no code of the core is without status, title and advice."""
    assert list(TABLE) == list(get_args(Code))
    for code, entry in TABLE.items():
        assert 400 <= entry.status < 600
        assert entry.title.endswith(".")
        assert entry.advice.endswith(".")
        assert problem(RefusedError(code, "why"), "id").status == entry.status


def test_the_document_has_the_same_rows() -> None:
    """docs/errors.md lists code, status, meaning and advice exactly as they are served."""
    rows = [
        tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    assert rows == [
        (f"`{code}`", str(entry.status), entry.title, entry.advice) for code, entry in TABLE.items()
    ]


def test_the_served_page_has_an_anchor_for_each_code() -> None:
    """``type`` of a problem leads to its row."""
    text = page().text or ""
    for code in TABLE:
        assert f'id="{code}"' in text
