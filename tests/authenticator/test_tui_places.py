"""Each screen beside inbox and requests as it looks on a small, a usual and a large terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import tzset

import pytest

from pictures.scenes import SCENES, Scene
from support.desks import desk
from support.snapshots import assert_looks_as

SIZES = [(60, 16), (80, 24), (140, 45)]
SHOWN = [scene for scene in SCENES if scene.name not in {"inbox", "request", "help", "search", "leave"}]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same calendar on every machine."""
    monkeypatch.setenv("TZ", "UTC")
    tzset()
    yield
    monkeypatch.undo()
    tzset()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("scene", SHOWN, ids=lambda scene: scene.name)
async def test_each_place_at_three_sizes(tmp_path: Path, scene: Scene, size: tuple[int, int]) -> None:
    """Everything that is needed stands on the screen; nothing is cut without a sign."""
    async with desk(tmp_path / "home", scene.records, size=size, connected=bool(scene.records)) as here:
        await scene.play(here)
        await here.pilot.pause()
        assert_looks_as(here.app, f"{scene.name}-{size[0]}x{size[1]}")
