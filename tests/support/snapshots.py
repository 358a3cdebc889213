"""Screens as text, kept in files that a person can read and compare."""

from __future__ import annotations

import os
from pathlib import Path

from textual.app import App

FOLDER = Path(__file__).resolve().parents[1] / "authenticator" / "screens"
WRITE = "PLACET_WRITE_SCREENS"
"""Set to 1, a run writes the files instead of comparing; look at the difference before committing it."""


def screen_text(app: App[None]) -> str:
    """What the terminal shows now, line by line, without colours and without blanks at the ends of lines."""
    strips = app.screen._compositor.render_strips()  # Textual has no public way that gives text
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips) + "\n"


def assert_looks_as(app: App[None], name: str) -> None:
    """The screen is what the file ``name`` says."""
    path = FOLDER / f"{name}.txt"
    shown = screen_text(app)
    if os.environ.get(WRITE):
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown)
    assert path.exists(), f"no such picture yet: set {WRITE}=1 and look at what is written"
    assert shown == path.read_text(), f"{name} looks different; {WRITE}=1 takes it over"
