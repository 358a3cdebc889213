"""Enrolment pictures as an application's page would show them."""

from __future__ import annotations

from pathlib import Path


def draw(uri: str, path: Path) -> None:
    """The enrolment URI as a QR picture."""
    import qrcode  # not needed by the rest of the demo

    with path.open("wb") as file:
        qrcode.make(uri).save(file)
