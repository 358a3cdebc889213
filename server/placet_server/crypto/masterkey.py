"""The master key: 32 random bytes in a private file outside the store, and the keys derived from it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from placet_server.ports import Entropy

MASTER_KEY_BYTES: Final = 32


class MasterKeyError(Exception):
    """The master key is missing, not private, malformed, or belongs to another store; one sentence for the operator."""


def load_master_key(path: Path) -> bytes:
    """Read the 32 bytes of the master key file.

    Raises ``MasterKeyError`` unless it is a regular file of this user (or of root) that nobody else may read or write.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            key = file.read(MASTER_KEY_BYTES + 1)
    except OSError as error:
        raise MasterKeyError(f"Cannot read the master key {path}: {error.strerror}.") from error
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in {0, os.geteuid()}:
        raise MasterKeyError(f"The master key {path} is not a regular file of this user.")
    if stat.S_IMODE(status.st_mode) & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise MasterKeyError(
            f"The master key {path} has mode {mode:04o}, so others may use it; run: chmod 0600 {path}"
        )
    if len(key) != MASTER_KEY_BYTES:
        raise MasterKeyError(f"The master key {path} must be exactly {MASTER_KEY_BYTES} bytes.")
    return key


def create_master_key(path: Path, entropy: Entropy) -> bytes:
    """Make a new master key file with mode 0600, on disk when this returns, and answer its 32 bytes.

    Raises ``MasterKeyError`` when the file exists already: a key is never overwritten.
    """
    key = entropy.bytes(MASTER_KEY_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(descriptor)
        sync_folder(path.parent)
    except OSError as error:
        raise MasterKeyError(f"Cannot create the master key {path}: {error.strerror}.") from error
    return key


def sync_folder(folder: Path) -> None:
    """Put a folder's list of files on the disk, so that a new file is found after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def derived(key: bytes, label: str) -> bytes:
    """32 bytes that stand for one use of a key and tell nothing of other uses (HKDF-SHA-256, RFC 5869)."""
    return HKDF(SHA256(), 32, salt=None, info=b"placet " + label.encode()).derive(key)
