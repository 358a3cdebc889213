"""The data file on disk: who may read it, who holds it, and the connections to it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Final

from placet_server.storage.errors import StoreRefusedError

_CACHED_STATEMENTS = 512
_CACHE_KIB: Final = 16_384
"""Counters and indexes of hashes are written all over the file: with SQLite's 2 MiB every code read pages again."""

# Python's sqlite3 binds numbers and texts as they are and asks all else how to adapt it. For bytes and None, which say
# nothing to that, the asking takes three times as long as the binding; these give them as they are.
_NONE: Final[dict[None, None]] = {}
sqlite3.register_adapter(bytes, bytes.__bytes__)
sqlite3.register_adapter(type(None), _NONE.get)


class FileLock:
    """Keeps every other process away from a data file until released or until this process ends."""

    def __init__(self, path: Path) -> None:
        # A file of its own: closing any descriptor of the data file would drop SQLite's POSIX locks on it.
        lock = path.with_name(path.name + ".lock")
        try:
            self._descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreRefusedError(f"Cannot open {lock}: {error.strerror}.") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace") or "unknown"
            os.close(self._descriptor)
            raise StoreRefusedError(f"{path} is in use by process {holder}.") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let others have the file."""
        os.close(self._descriptor)


def make_private(path: Path) -> None:
    """Create the file if it is not there, and take all rights on it from everybody but its owner.

    SQLite gives its -wal and -shm files the same rights. Call it before SQLite opens the file.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreRefusedError(f"Cannot open {path}: {error.strerror}.") from error
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one writing connection: a commit has reached the disk when it returns.

    Raises ``StoreRefusedError`` when the file is no database or its pages do not check.
    """
    connection = _connect(path, "rw")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")
        # A statement of many rows keeps what it changes until it ends; without this in a file outside the data folder.
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreRefusedError(f"{path} cannot be used: {error}.") from error
    if verdict != "ok":
        connection.close()
        raise StoreRefusedError(f"{path} is damaged: {verdict}. Restore a backup.")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that sees what is committed and cannot write."""
    connection = _connect(path, "ro")
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=1.0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection
