"""What the app does where columns or lines are scarce."""

from __future__ import annotations

from pathlib import Path

import pytest

from placet_authenticator.inbox import Arrived
from placet_authenticator.tui.messages import Heard
from support import parties
from support.apps import running, until
from support.desks import BEGIN, enrollment, entry
from support.snapshots import screen_text


@pytest.mark.parametrize(("size", "most"), [((60, 16), 1), ((80, 24), 1), ((140, 45), 3)])
async def test_what_is_said_leaves_the_list_readable(
    tmp_path: Path, size: tuple[int, int], most: int
) -> None:
    """Three requests at once: where lines are scarce only the newest words lie over the list."""
    async with running(tmp_path / "home", enrollment(), size=size, clock=lambda: BEGIN) as (app, pilot):
        for number in range(3):
            new = entry(rid=f"new-{number}", iat=parties.BEGUN + 100 + number, msg=f"Request {number}?")
            app.post_message(Heard(Arrived(new)))
        await until(pilot, lambda: screen_text(app).count("Request 2?") == 2)
        assert screen_text(app).count("Acme Pay asks") == most
        assert ("Request 0?" in screen_text(app).split("Acme Pay asks", 1)[1]) == (most == 3)
