"""``python3 dev.py screenshots``: a picture of every screen in docs/pictures/, from the app itself on a made-up vault.

SVG always; PNG beside it in the folder that ``--png`` names, by rsvg-convert, for looking at them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from pictures.scenes import SCENES, Scene
from support.desks import desk

OUT = Path(__file__).resolve().parents[2] / "docs" / "pictures"
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_TEXT = re.compile(r'<text class="([^"]*)" x="([\d.]+)"([^>]*)>((?:&#160;)+)([^<]*)')
COLUMN = 12.2
"""Width of a character in Textual's picture at its 20 px."""


def own_fonts(svg: str) -> str:
    """The picture without fonts from another site: a reader's own monospaced font is used."""
    return _FONTS.sub("", svg)


def for_rsvg(svg: str) -> str:
    """The picture as rsvg-convert draws it right: it swallows blanks at the start and takes its font's own width."""

    def moved(found: re.Match[str]) -> str:
        kind, x, rest, blanks, words = found.groups()
        return f'<text class="{kind}" x="{float(x) + COLUMN * blanks.count("&"):g}"{rest}>{words}'

    return _TEXT.sub(moved, svg).replace("font-size: 20px", "font-size: 20.27px")


async def picture(scene: Scene, size: tuple[int, int], theme: str, folder: Path) -> str:
    """The scene as SVG."""
    async with desk(folder, scene.records, size=size, connected=bool(scene.records)) as here:
        here.app.theme = theme
        await scene.play(here)
        await here.pilot.pause(0.3)
        return own_fonts(here.app.export_screenshot(title="placet"))


def main() -> None:
    """Draw all scenes, or those that are named."""
    parser = argparse.ArgumentParser(prog="dev.py screenshots", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="these scenes only")
    parser.add_argument("--size", default="80x24", help="columns x rows (80x24)")
    parser.add_argument("--theme", default="placet-dark", help="placet-dark, placet-light or placet-contrast")
    parser.add_argument("--png", metavar="DIR", type=Path, help="also write PNG files here")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=OUT, help="where SVG files go (docs/pictures)"
    )
    words = parser.parse_args()
    columns, rows = (int(part) for part in words.size.split("x"))
    os.environ["TZ"] = "UTC"
    time.tzset()
    words.out.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        if words.names and scene.name not in words.names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            svg = asyncio.run(picture(scene, (columns, rows), words.theme, Path(folder) / "home"))
        path = words.out / f"{scene.name}.svg"
        path.write_text(svg)
        print(path)
        if words.png:
            words.png.mkdir(parents=True, exist_ok=True)
            target = words.png / f"{scene.name}.png"
            subprocess.run(
                ["rsvg-convert", "-w", "1000", "-o", str(target)], input=for_rsvg(svg).encode(), check=True
            )


if __name__ == "__main__":
    main()
