"""The store of write plans: one SQLite file that a single process owns."""

from __future__ import annotations

from pathlib import Path

from placet_server.storage.errors import StoreRefusedError
from placet_server.storage.sqlite import SqliteStore

__all__ = ["SqliteStore", "StoreRefusedError", "open_store"]


async def open_store(path: Path | str) -> SqliteStore:
    """Open the data file at ``path``, creating it or bringing its tables up to date; to be closed after use.

    Raises ``StoreRefusedError`` when another process has it open, when it is damaged, or when a newer version wrote it.
    """
    return await SqliteStore.open(Path(path))
