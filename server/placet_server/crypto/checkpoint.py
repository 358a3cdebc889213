"""Signed statements of how long the audit log is and what it hashes to, kept outside the store.

A checkpoint is a C2SP signed note (tlog-checkpoint) with an Ed25519 signature::

    ORIGIN          names the log and the key: the server's public URL without scheme
    SIZE            leaves, decimal
    ROOT            RFC 6962 tree hash, base64

    — ORIGIN BASE64(key hash (4) · signature (64))
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from placet_server.crypto.masterkey import sync_folder
from placet_server.crypto.merkle import Tree, from_bytes, grown, leaf_hash, root
from placet_server.ports import Sql, Store

_TREE: Final = Sql("tree", "SELECT value FROM facts WHERE name = 'tree'")
_PAGE: Final = Sql(
    "audit_page", "SELECT seq, at, kind, body, leaf FROM audit WHERE seq >= ? ORDER BY seq LIMIT 250"
)

PART: Final = 50_000
"""How many entries one call checks, which takes some seconds."""
_ED25519: Final = b"\x01"
_DASH: Final = "\N{EM DASH}"


class Checkpoint(NamedTuple):
    """A log's size in leaves and its 32-byte root at that size."""

    origin: str
    size: int
    root: bytes


class _Event(Struct, frozen=True):
    """What an entry's body shares with the columns by which the log is listed."""

    at: int
    kind: str


class Checked(NamedTuple):
    """How far the log was checked: the tree so far, and how many of its entries a checkpoint was signed for.

    ``wrong`` is one sentence that names the place; ``done`` says that there is nothing more to look at.
    """

    tree: Tree = Tree()
    signed: int = 0
    wrong: str | None = None
    done: bool = False


class CheckpointError(Exception):
    """A note is malformed, is of another log, or was not signed by this log's key."""


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The signed note of a checkpoint."""
    text = f"{checkpoint.origin}\n{checkpoint.size}\n{b64encode(checkpoint.root).decode()}\n"
    signature = _key_hash(checkpoint.origin, key.public_key()) + key.sign(text.encode())
    return f"{text}\n{_DASH} {checkpoint.origin} {b64encode(signature).decode()}\n"


def open_checkpoint(note: str, origin: str, key: Ed25519PublicKey) -> Checkpoint:
    """What a note says, once its signature is verified; signatures of others (witnesses) are passed over.

    Raises ``CheckpointError``.
    """
    text, separator, signatures = note.partition("\n\n")
    text += "\n"
    lines = text.split("\n")
    if not separator or len(lines) < 4 or lines[0] != origin:
        raise CheckpointError("this is no checkpoint of this log")
    for line in signatures.splitlines():
        mark, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if mark == _DASH and name == origin and _verifies(encoded, text, origin, key):
            return Checkpoint(origin, _size(lines[1]), _decoded(lines[2]))
    raise CheckpointError("no good signature of this log's key")


def verifier_key(origin: str, key: Ed25519PublicKey) -> str:
    """The C2SP verifier key that outsiders pin: ``NAME+HASH+BASE64``."""
    public = _ED25519 + key.public_bytes_raw()
    return f"{origin}+{_key_hash(origin, key).hex()}+{b64encode(public).decode()}"


def read_verifier_key(text: str) -> tuple[str, Ed25519PublicKey]:
    """Origin and key of what ``verifier_key`` wrote; raises ``CheckpointError``."""
    origin, _, rest = text.strip().partition("+")
    encoded = rest.partition("+")[2]
    try:
        key = Ed25519PublicKey.from_public_bytes(_decoded(encoded).removeprefix(_ED25519))
    except ValueError as error:
        raise CheckpointError("this is no verifier key of a log") from error
    if verifier_key(origin, key) != text.strip():
        raise CheckpointError("this is no verifier key of a log")
    return origin, key


async def current_checkpoint(store: Store, origin: str) -> Checkpoint:
    """What is to be said of the log as it is committed now."""
    tree = await _stored(store)
    return Checkpoint(origin, tree.size, root(tree))


async def write_checkpoint(
    store: Store, origin: str, key: Ed25519PrivateKey, path: Path
) -> Checkpoint | None:
    """Append a checkpoint of the committed log to a file, synced; None when the last one there says the same.

    The file grows by one note, set off by an empty line, so that every earlier statement stays in evidence.
    """
    checkpoint = await current_checkpoint(store, origin)
    note = sign_checkpoint(checkpoint, key).encode() + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if os.pread(descriptor, len(note), max(0, size - len(note))) == note:
            return None
        os.write(descriptor, note)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if size == 0:
        sync_folder(path.parent)
    return checkpoint


def read_checkpoints(path: Path, origin: str, key: Ed25519PublicKey) -> list[Checkpoint]:
    """Every checkpoint of a file, oldest first; raises ``CheckpointError`` naming the first one that is not good."""
    parts = path.read_text("utf-8", "replace").split("\n\n")
    checkpoints = []
    for number, (text, signature) in enumerate(zip_longest(parts[:-1:2], parts[1::2], fillvalue=""), 1):
        try:
            checkpoints.append(open_checkpoint(f"{text}\n\n{signature}\n", origin, key))
        except CheckpointError as error:
            raise CheckpointError(f"checkpoint {number} of {path}: {error}") from error
    return checkpoints


async def check_part(
    store: Store, checkpoints: Iterable[Checkpoint], before: Checked, *, entries: int = PART
) -> Checked:
    """Go on checking the audit log, for some entries more; others work in between.

    Every entry is hashed again, numbers must be without a gap, the tree must have had each checkpoint's root at that
    checkpoint's size, and must at the end be the one that the store goes on with. ``checkpoints`` are all that were
    signed for sizes that may be reached, and the largest.
    """
    roots: dict[int, set[bytes]] = {}
    for checkpoint in checkpoints:
        roots.setdefault(checkpoint.size, set()).add(checkpoint.root)
    tree, signed = before.tree, before.signed
    while tree.size - before.tree.size < entries:
        stored = await _stored(store)  # before the entries, so that there are no fewer of them
        page = await store.rows(_PAGE, (tree.size,))
        if not page:
            return Checked(tree, signed, _end(tree, stored, max(roots, default=0)), done=True)
        for number, at, kind, body, leaf in page:
            if number != tree.size:
                return Checked(tree, signed, f"Entry {tree.size} is missing.", done=True)
            whole = isinstance(body, str) and leaf_hash(body.encode()) == leaf
            if not whole or _event(body) != _Event(at, kind):
                return Checked(tree, signed, f"Entry {number} was changed.", done=True)
            tree = grown(tree, (leaf,))
            if tree.size in roots:
                if roots[tree.size] != {root(tree)}:
                    text = f"Entries {signed} to {number} are not those that a checkpoint was signed for."
                    return Checked(tree, signed, text, done=True)
                signed = tree.size
        await asyncio.sleep(0)
    return Checked(tree, signed)


async def _stored(store: Store) -> Tree:
    """The tree with which the store goes on."""
    row = await store.row(_TREE)
    return Tree() if row is None else from_bytes(row[0])


def _end(tree: Tree, stored: Tree, signed: int) -> str | None:
    """What is wrong at the end of the log: it is too short, or not what the store wrote."""
    if signed > tree.size:
        return f"The log ends after {tree.size} entries, but a checkpoint was signed for {signed}."
    if tree != stored:
        return f"The {tree.size} entries are not those that the store wrote."
    return None


def _key_hash(name: str, key: Ed25519PublicKey) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + key.public_bytes_raw()).digest()[:4]


def _verifies(encoded: str, text: str, name: str, key: Ed25519PublicKey) -> bool:
    signature = _decoded(encoded)
    if signature[:4] != _key_hash(name, key):
        return False
    try:
        key.verify(signature[4:], text.encode())
    except InvalidSignature:
        return False
    return True


def _event(body: str) -> _Event | None:
    try:
        return msgspec.json.decode(body, type=_Event)
    except msgspec.DecodeError:
        return None


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or text != str(int(text)):
        raise CheckpointError("the size is no decimal number")
    return int(text)


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise CheckpointError("not base64") from error
