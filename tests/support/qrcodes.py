"""QR codes as readers see them: two independent ones, and a terminal's text as a picture."""

from __future__ import annotations

import subprocess
from pathlib import Path

import zxingcpp
from PIL import Image, ImageDraw

from support.system import needed

CELL = (10, 20)
"""Pixels of a character in a picture of a terminal's text."""


def zxing(picture: Path) -> str:
    """What zxing reads."""
    with Image.open(picture) as image:
        return " ".join(found.text for found in zxingcpp.read_barcodes(image.convert("RGB")))


def zbar(picture: Path) -> str:
    """What zbarimg reads."""
    command = [needed("zbarimg"), "--quiet", "--raw", str(picture)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def drawn(text: str, picture: Path) -> Path:
    """A terminal's text as a camera sees it: block characters in white on black."""
    lines = text.splitlines()
    wide, high = CELL
    image = Image.new("L", (wide * max(map(len, lines)), high * len(lines)), 0)
    pen = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        for column, char in enumerate(line):
            top, bottom = {"█": (0, high), "▀": (0, high // 2), "▄": (high // 2, high)}.get(char, (0, 0))
            if bottom:
                left = column * wide
                pen.rectangle((left, row * high + top, left + wide - 1, row * high + bottom - 1), fill=255)
    image.save(picture)
    return picture
