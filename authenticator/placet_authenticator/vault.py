"""The person's vault: one SQLite file whose records are sealed one by one.

A random vault key seals every record (AES-256-GCM, bound to kind and id); the passphrase wraps the vault key through
Argon2id (RFC 9106). What a thief of the file learns is how many records of each kind there are, and their sizes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeAlias, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from sqlite_utils import Database

from placet_authenticator.errors import PassphraseError, VaultError
from placet_authenticator.records import Counter, Record
from placet_protocol.canonical import joined

RandomBytes = Callable[[int], bytes]
R = TypeVar("R", bound=Record)
_Database: TypeAlias = Any
"""sqlite_utils.Database, which ships no complete types."""

VERSION: Final = 1
NONCE: Final = 12
MAX_RECORD: Final = 1 << 20


class Profile(NamedTuple):
    """How dear one guess of the passphrase is: Argon2id passes, lanes and memory in KiB."""

    iterations: int
    lanes: int
    memory_kib: int


STANDARD: Final = Profile(iterations=3, lanes=4, memory_kib=65_536)
"""RFC 9106's second recommended option: 64 MiB; between 100 and 250 ms on ordinary machines."""

QUICK: Final = Profile(iterations=1, lanes=1, memory_kib=64)
"""No protection worth the name: for tests that open hundreds of vaults."""

LARGEST: Final = Profile(iterations=64, lanes=16, memory_kib=1_048_576)
"""What a vault file may ask for at most: a file from a stranger must not be able to demand 100 GB."""


class _Header(NamedTuple):
    profile: Profile
    salt: bytes
    wrapped: bytes


def exists(path: Path) -> bool:
    """Whether there is a vault at this path."""
    return path.is_file()


class Vault:
    """An open vault. Several processes may hold the same file open; every write is one transaction under its lock."""

    def __init__(self, path: Path, database: _Database, key: bytes, random_bytes: RandomBytes) -> None:
        self._path = path
        self._db = database
        self._cipher = AESGCM(key)
        self._key = key
        self._random = random_bytes
        self._version = 0
        self.changed_elsewhere()

    @classmethod
    def create(
        cls,
        path: Path,
        passphrase: str,
        *,
        random_bytes: RandomBytes = os.urandom,
        profile: Profile = STANDARD,
    ) -> Vault:
        """A new vault, folder 0700 and file 0600. Raises ``VaultError`` if there is one already."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        with _locked(path):
            if path.exists():
                raise VaultError(f"there is a vault at {path} already")
            # The file appears under its name only when it is whole: a crash here leaves no half vault.
            draft = path.with_name(path.name + ".new")
            draft.unlink(missing_ok=True)
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            key = random_bytes(32)
            database = _connect(draft)
            database["header"].create(
                {"id": int, "version": int, "profile": str, "salt": bytes, "wrapped": bytes},
                pk="id",
                strict=True,
            )
            database["records"].create(
                {"kind": str, "id": str, "sealed": bytes}, pk=("kind", "id"), not_null={"sealed"}, strict=True
            )
            _write_header(database, _wrap(key, passphrase, profile, random_bytes))
            database.close()
            draft.rename(path)
            _sync_folder(path.parent)
        return cls(path, _connect(path), key, random_bytes)

    @classmethod
    def open(cls, path: Path, passphrase: str, *, random_bytes: RandomBytes = os.urandom) -> Vault:
        """Open with the passphrase; takes as long as the vault's own profile says.

        Raises ``VaultError`` (missing, damaged, readable by others) and ``PassphraseError`` (wrong passphrase).
        """
        if not path.is_file():
            raise VaultError(f"there is no vault at {path}", "Start with: placet enroll URI")
        for place, mode in ((path, 0o600), (path.parent, 0o700)):
            if place.stat().st_mode & 0o077:
                raise VaultError(
                    f"others on this machine can reach {place}", f"Close it: chmod {mode:o} '{place}'"
                )
        header = _read_header(path)
        return cls(path, _connect(path), _unwrap(header, passphrase), random_bytes)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, *records: Record) -> None:
        """Write these records, new or changed, all or none."""
        with self._writing():
            self._store(records)

    def replace(self, old: Record, new: Record) -> bool:
        """Put ``new`` in the place of ``old`` in one transaction; False, and nothing done, if old is gone."""
        with self._writing():
            if not self._delete(old):
                return False
            self._store((new,))
            return True

    def remove(self, *records: Record) -> None:
        """Erase these records, all or none; SQLite overwrites their bytes."""
        with self._writing():
            for record in records:
                self._delete(record)

    def get(self, kind: type[R], record_id: str) -> R | None:
        """The record of that kind and id."""
        found = list(self._db["records"].rows_where("kind = ? AND id = ?", [kind.KIND, record_id]))
        return self._open(kind, found[0]) if found else None

    def all(self, kind: type[R]) -> list[R]:
        """All records of a kind, ordered by id."""
        rows = self._db["records"].rows_where("kind = ?", [kind.KIND], order_by="id")
        return [self._open(kind, row) for row in rows]

    def changed_elsewhere(self) -> bool:
        """Whether another process (or another open vault) wrote to this file since the last question."""
        version = self._db.conn.execute("PRAGMA data_version").fetchone()[0]
        changed, self._version = version != self._version, version
        return bool(changed)

    def next_counter(self, now: int) -> int:
        """A counter that no decision of this vault has carried: max(last + 1, now), kept before it is given out.

        ``now`` in ms UTC. Two processes never get the same value.
        """
        with self._writing():
            last = self.get(Counter, "decisions")
            value = now if last is None else max(last.value + 1, now)
            self._store((Counter("decisions", value),))
        return value

    def change_passphrase(self, passphrase: str, *, profile: Profile = STANDARD) -> None:
        """Wrap the vault key under a new passphrase; the old one opens nothing any more in this file."""
        with self._writing():
            _write_header(self._db, _wrap(self._key, passphrase, profile, self._random))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        # The lock queues processes fairly; SQLite's own lock would make them poll and give up after its time-out.
        with _locked(self._path):
            try:
                self._db.conn.execute("BEGIN IMMEDIATE")
                yield
                self._db.commit()
            except sqlite3.Error as error:
                self._db.rollback()
                raise VaultError(f"the vault cannot be written: {error}", "Nothing was changed") from error
            except BaseException:
                self._db.rollback()
                raise

    def _store(self, records: tuple[Record, ...]) -> None:
        for record in records:
            nonce = self._random(NONCE)
            plain = msgspec.msgpack.encode(record)
            sealed = nonce + self._cipher.encrypt(nonce, plain, _place(record.KIND, record.id))
            self._db["records"].upsert(
                {"kind": record.KIND, "id": record.id, "sealed": sealed}, pk=("kind", "id")
            )

    def _delete(self, record: Record) -> bool:
        cursor = self._db.conn.execute(
            "DELETE FROM records WHERE kind = ? AND id = ?", (record.KIND, record.id)
        )
        return bool(cursor.rowcount)

    def _open(self, kind: type[R], row: dict[str, Any]) -> R:
        sealed = row["sealed"]
        try:
            if len(sealed) > MAX_RECORD:
                raise ValueError("too large")  # noqa: TRY301  answered like every other damage
            plain = self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], _place(row["kind"], row["id"]))
            return msgspec.msgpack.decode(plain, type=kind)
        except (InvalidTag, ValueError, msgspec.MsgspecError) as error:
            raise VaultError(
                f"the vault holds a {kind.KIND} record that was changed from outside",
                f"Put a backup of {self._path} in its place",
            ) from error


def _place(kind: str, record_id: str) -> bytes:
    return joined((b"placet vault 1", kind.encode(), record_id.encode()))


def _connect(path: Path) -> _Database:
    # A window opens its vault in a worker thread and uses it in its own afterwards, never in both at once.
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    # Rollback journal: no second file outlives a write. Erased records must not stay readable in free pages.
    for pragma in (
        "journal_mode = DELETE",
        "synchronous = EXTRA",
        "secure_delete = ON",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA trusted_schema = OFF")
    return Database(connection, execute_plugins=False)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _passphrase_key(passphrase: str, salt: bytes, profile: Profile) -> bytes:
    # The same passphrase typed on another keyboard may arrive decomposed.
    text = unicodedata.normalize("NFC", passphrase).encode()
    kdf = Argon2id(
        salt=salt,
        length=32,
        iterations=profile.iterations,
        lanes=profile.lanes,
        memory_cost=profile.memory_kib,
    )
    return kdf.derive(text)


def _header_place(profile: Profile, salt: bytes) -> bytes:
    return _place("header", ",".join(map(str, profile))) + salt


def _wrap(key: bytes, passphrase: str, profile: Profile, random_bytes: RandomBytes) -> _Header:
    salt, nonce = random_bytes(16), random_bytes(NONCE)
    cipher = AESGCM(_passphrase_key(passphrase, salt, profile))
    return _Header(profile, salt, nonce + cipher.encrypt(nonce, key, _header_place(profile, salt)))


def _unwrap(header: _Header, passphrase: str) -> bytes:
    cipher = AESGCM(_passphrase_key(passphrase, header.salt, header.profile))
    try:
        return cipher.decrypt(
            header.wrapped[:NONCE], header.wrapped[NONCE:], _header_place(header.profile, header.salt)
        )
    except InvalidTag as error:
        raise PassphraseError("the passphrase is wrong", "Try again; nothing was changed") from error


def _write_header(database: _Database, header: _Header) -> None:
    database["header"].upsert(
        {
            "id": 1,
            "version": VERSION,
            "profile": ",".join(map(str, header.profile)),
            "salt": header.salt,
            "wrapped": header.wrapped,
        },
        pk="id",
    )


def _read_header(path: Path) -> _Header:
    damaged = VaultError(f"{path} is not a vault, or it is damaged", "Put a backup in its place")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            row = database.execute(
                "SELECT version, profile, salt, wrapped FROM header WHERE id = 1"
            ).fetchone()
    except sqlite3.Error as error:
        raise damaged from error
    if row is None:
        raise damaged
    version, numbers, salt, wrapped = row
    if version != VERSION:
        raise VaultError(
            f"{path} was made by another version of Placet", "Update: pip install -U 'placet[authenticator]'"
        )
    try:
        profile = Profile(*(int(number) for number in numbers.split(",")))
    except (TypeError, ValueError) as error:
        raise damaged from error
    bounds = zip(QUICK, profile, LARGEST, strict=True)
    if any(not least <= asked <= most for least, asked, most in bounds):
        raise VaultError(
            f"{path} asks for more work than a vault may ask for", "Do not use a vault from a stranger"
        )
    # RFC 9106 wants 8 KiB a lane; 32 bytes of key, nonce and tag are all that is ever wrapped.
    sound = profile.memory_kib >= 8 * profile.lanes and len(salt) == 16 and len(wrapped) == NONCE + 32 + 16
    if not sound:
        raise damaged
    return _Header(profile, salt, wrapped)
