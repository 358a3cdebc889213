"""The whole audit log, checked in one go."""

from __future__ import annotations

from collections.abc import Iterable

from placet_server.crypto.checkpoint import Checked, Checkpoint, check_part
from placet_server.ports import Store


async def check_log(store: Store, checkpoints: Iterable[Checkpoint]) -> str | None:
    """What is wrong with the log, as one sentence that names the place; None when all of it holds."""
    checked, known = Checked(), list(checkpoints)
    while not checked.done:
        checked = await check_part(store, known, checked)
    return checked.wrong
