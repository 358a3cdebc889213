from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import stat
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from placet_server.crypto.checkpoint import (
    Checked,
    Checkpoint,
    CheckpointError,
    check_part,
    open_checkpoint,
    read_checkpoints,
    read_verifier_key,
    sign_checkpoint,
    verifier_key,
    write_checkpoint,
)
from placet_server.crypto.merkle import Tree, grown, leaf_hash, root, to_bytes
from placet_server.ports import Plan
from placet_server.storage import SqliteStore, open_store
from support.auditing import check_log
from support.plans import create

ORIGIN = "placet.example/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
CHECKPOINT = Checkpoint(ORIGIN, 42, sha256(b"root").digest())
TAMPERINGS = 10


async def grow(store: SqliteStore, start: int, count: int) -> None:
    await asyncio.gather(*(store.write(create(f"n{number}")) for number in range(start, start + count)))


def test_a_checkpoint_is_a_signed_note_that_others_can_verify() -> None:
    """Read by the letter of C2SP signed-note: text, empty line, dash, name, key hash and signature over the text."""
    text, _, signature = sign_checkpoint(CHECKPOINT, KEY).partition("\n\n")
    text += "\n"
    assert text == f"{ORIGIN}\n42\n{b64encode(CHECKPOINT.root).decode()}\n"
    name, key_hash, public = verifier_key(ORIGIN, PUBLIC).split("+", 2)
    algorithm, raw = b64decode(public)[:1], b64decode(public)[1:]
    assert (name, algorithm) == (ORIGIN, b"\x01")
    assert signature.startswith(f"\N{EM DASH} {ORIGIN} ")
    assert signature.endswith("\n")
    signed = b64decode(signature.split(" ")[2])
    assert signed[:4].hex() == key_hash == sha256(f"{ORIGIN}\n".encode() + b"\x01" + raw).hexdigest()[:8]
    Ed25519PublicKey.from_public_bytes(raw).verify(signed[4:], text.encode())


def test_a_checkpoint_opens_with_its_key_and_with_signatures_of_witnesses() -> None:
    """What was signed comes back; further signature lines of unknown keys do no harm."""
    note = sign_checkpoint(CHECKPOINT, KEY)
    assert open_checkpoint(note, ORIGIN, PUBLIC) == CHECKPOINT
    witness = f"\N{EM DASH} witness.example {b64encode(bytes(68)).decode()}\n"
    head, _, own = note.partition("\n\n")
    assert open_checkpoint(f"{head}\n\n{witness}{own}", ORIGIN, PUBLIC) == CHECKPOINT


def test_every_changed_character_of_a_checkpoint_is_noticed() -> None:
    """No single changed character of the note gives another statement, and neither does another key or origin."""
    note = sign_checkpoint(CHECKPOINT, KEY)
    for at, character in enumerate(note):
        for other in {"A", "0", "\n"} - {character}:
            try:
                assert open_checkpoint(note[:at] + other + note[at + 1 :], ORIGIN, PUBLIC) == CHECKPOINT
            except CheckpointError:
                continue
            assert at == len(note) - 1, "only the last line's end may differ"
    for origin, key in ((ORIGIN, OTHER.public_key()), ("other.example/log", PUBLIC)):
        with pytest.raises(CheckpointError):
            open_checkpoint(note, origin, key)


@pytest.mark.parametrize("size", ["-1", "042", "4 2", "٤٢", "1" * 19, ""])
def test_a_size_is_plain_decimal(size: str) -> None:
    """A signed note with any other spelling of its size is malformed."""
    text = f"{ORIGIN}\n{size}\n{b64encode(bytes(32)).decode()}\n"
    key_hash = bytes.fromhex(verifier_key(ORIGIN, PUBLIC).split("+")[1])
    signature = b64encode(key_hash + KEY.sign(text.encode())).decode()
    with pytest.raises(CheckpointError):
        open_checkpoint(f"{text}\n\N{EM DASH} {ORIGIN} {signature}\n", ORIGIN, PUBLIC)


async def test_the_file_keeps_every_statement_once(tmp_path: Path) -> None:
    """The private file grows by one note when the log has grown, and by none when it has not."""
    store, path = await open_store(tmp_path / "placet.sqlite"), tmp_path / "checkpoints"
    written = []
    for start in (0, 5, 10):
        await grow(store, start, 5)
        written.append(await write_checkpoint(store, ORIGIN, KEY, path))
        assert await write_checkpoint(store, ORIGIN, KEY, path) is None
    await store.close()
    assert read_checkpoints(path, ORIGIN, PUBLIC) == written
    assert [checkpoint.size for checkpoint in written if checkpoint] == [5, 10, 15]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_damaged_checkpoint_file_is_named(tmp_path: Path) -> None:
    """A note that was edited or cut in the file of checkpoints is reported by its number."""
    notes = [sign_checkpoint(CHECKPOINT._replace(size=size), KEY) + "\n" for size in (1, 2, 3)]
    path = tmp_path / "checkpoints"
    path.write_text("".join(notes))
    assert [checkpoint.size for checkpoint in read_checkpoints(path, ORIGIN, PUBLIC)] == [1, 2, 3]
    path.write_text("".join(notes).replace(f"{ORIGIN}\n2\n", f"{ORIGIN}\n4\n"))
    with pytest.raises(CheckpointError, match="checkpoint 2"):
        read_checkpoints(path, ORIGIN, PUBLIC)
    path.write_text("".join(notes)[:-20])
    with pytest.raises(CheckpointError, match="checkpoint 3"):
        read_checkpoints(path, ORIGIN, PUBLIC)


NOTHING = Plan((), 0)
"""A commit of the store's own, after which it reads what somebody else wrote to its file."""


def tampered(connection: sqlite3.Connection, kind: str, at: int) -> None:
    """One change that a writer of the data file could make to the log."""
    if kind == "edit":
        connection.execute("UPDATE audit SET body = replace(body, 'created', 'deleted') WHERE seq = ?", (at,))
    elif kind == "column":
        connection.execute("UPDATE audit SET kind = 'other' WHERE seq = ?", (at,))
    elif kind == "delete":
        connection.execute("DELETE FROM audit WHERE seq = ?", (at,))
    elif kind == "insert":
        connection.execute("UPDATE audit SET seq = -seq - 1 WHERE seq >= ?", (at,))
        connection.execute("INSERT INTO audit SELECT ?, at, kind, body, leaf FROM audit WHERE seq = 0", (at,))
        connection.execute("UPDATE audit SET seq = -seq WHERE seq < 0")
    elif kind == "swap":
        connection.execute("UPDATE audit SET seq = -1 WHERE seq = ?", (at,))
        connection.execute("UPDATE audit SET seq = ? WHERE seq = ?", (at, at + 1))
        connection.execute("UPDATE audit SET seq = ? WHERE seq = -1", (at + 1,))
    elif kind == "cut":
        connection.execute("DELETE FROM audit WHERE seq >= ?", (at,))
    if kind in {"insert", "swap", "cut", "rebuild"}:
        rebuild(connection)


def rebuild(connection: sqlite3.Connection) -> None:
    """Make the store's own tree fit whatever is in the log now, as a careful forger would."""
    leaves = [leaf for (leaf,) in connection.execute("SELECT leaf FROM audit ORDER BY seq")]
    tree = grown(Tree(), leaves)
    connection.execute("UPDATE facts SET value = ? WHERE name = 'tree'", (to_bytes(tree),))


@pytest.mark.parametrize("kind", ["edit", "column", "delete", "insert", "swap", "cut"])
async def test_aud_02_every_tampering_is_found(tmp_path: Path, kind: str) -> None:
    """An edited, deleted, inserted, moved or cut entry is named or contradicts a checkpoint, wherever it is."""
    path, dice = tmp_path / "placet.sqlite", random.Random(kind)
    store = await open_store(path)
    await grow(store, 0, 40)
    checkpoint = await write_checkpoint(store, ORIGIN, KEY, tmp_path / "checkpoints")
    assert checkpoint is not None
    assert await check_log(store, [checkpoint]) is None
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    for _ in range(TAMPERINGS):
        at = dice.randrange(1, 38)
        connection.execute("BEGIN IMMEDIATE")
        kept = connection.execute("SELECT * FROM audit").fetchall()
        (tree,) = connection.execute("SELECT value FROM facts WHERE name = 'tree'").fetchone()
        tampered(connection, kind, at)
        connection.execute("COMMIT")
        await store.write(NOTHING)
        finding = await check_log(store, [checkpoint])
        assert finding is not None
        if kind in {"edit", "column", "delete"}:
            assert f"Entry {at} " in finding
        connection.execute("DELETE FROM audit")
        connection.executemany("INSERT INTO audit VALUES (?, ?, ?, ?, ?)", kept)
        connection.execute("UPDATE facts SET value = ? WHERE name = 'tree'", (tree,))
        await store.write(NOTHING)
        assert await check_log(store, [checkpoint]) is None
    connection.close()
    await store.close()


async def test_aud_03_a_log_rebuilt_as_a_whole_contradicts_an_outside_checkpoint(tmp_path: Path) -> None:
    """Whoever rewrites entries, hashes and tree consistently is still caught by a checkpoint kept elsewhere."""
    path = tmp_path / "placet.sqlite"
    store = await open_store(path)
    await grow(store, 0, 10)
    checkpoint = await write_checkpoint(store, ORIGIN, KEY, tmp_path / "checkpoints")
    assert checkpoint is not None
    await grow(store, 10, 10)
    connection = sqlite3.connect(path)
    (body,) = connection.execute("SELECT body FROM audit WHERE seq = 3").fetchone()
    forged = json.dumps(
        {**json.loads(body), "subject": "somebody else"}, sort_keys=True, separators=(",", ":")
    )
    connection.execute(
        "UPDATE audit SET body = ?, leaf = ? WHERE seq = 3", (forged, leaf_hash(forged.encode()))
    )
    rebuild(connection)
    connection.commit()
    connection.close()
    await store.write(NOTHING)
    assert await check_log(store, []) is None
    assert (
        await check_log(store, [checkpoint])
        == "Entries 0 to 9 are not those that a checkpoint was signed for."
    )
    await store.close()


async def test_a_log_that_grows_meanwhile_is_no_finding(tmp_path: Path) -> None:
    """What is written while the log is checked belongs to it, and does not make it look forged."""
    store = await open_store(tmp_path / "placet.sqlite")
    await grow(store, 0, 600)
    checkpoint = await write_checkpoint(store, ORIGIN, KEY, tmp_path / "checkpoints")
    assert checkpoint is not None

    async def more() -> None:
        for start in range(600, 1_200, 20):
            await grow(store, start, 20)

    growing = asyncio.create_task(more())
    while not growing.done():
        assert await check_log(store, [checkpoint]) is None
    await growing
    await store.close()


@pytest.mark.parametrize("kind", ["edit", "rebuild", "cut"])
async def test_a_log_checked_in_parts_gives_the_same_finding(tmp_path: Path, kind: str) -> None:
    """Each part goes on where the one before ended; what a checkpoint confirmed before is not suspected after."""
    path = tmp_path / "placet.sqlite"
    store = await open_store(path)
    await grow(store, 0, 300)
    first = await write_checkpoint(store, ORIGIN, KEY, tmp_path / "checkpoints")
    await grow(store, 300, 900)
    second = await write_checkpoint(store, ORIGIN, KEY, tmp_path / "checkpoints")
    assert first is not None
    assert second is not None

    async def found() -> tuple[str | None, int]:
        checked, parts = Checked(), 0
        while not checked.done:
            checked, parts = await check_part(store, [second, first], checked, entries=100), parts + 1
        assert checked.wrong == await check_log(store, [first, second])
        return checked.wrong, parts

    wrong, parts = await found()
    assert wrong is None
    assert parts > 4
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        if kind == "rebuild":
            connection.execute(
                "UPDATE audit SET leaf = (SELECT leaf FROM audit WHERE seq = 0) WHERE seq = 900"
            )
            connection.execute(
                "UPDATE audit SET (at, kind, body) = (SELECT at, kind, body FROM audit WHERE seq = 0) WHERE seq = 900"
            )
        tampered(connection, kind, 900)
    await store.write(NOTHING)
    wrong, _ = await found()
    assert (
        wrong
        == {
            "edit": "Entry 900 was changed.",
            "rebuild": "Entries 300 to 1199 are not those that a checkpoint was signed for.",
            "cut": "The log ends after 900 entries, but a checkpoint was signed for 1200.",
        }[kind]
    )
    await store.close()


def test_a_verifier_key_is_read_as_it_was_written() -> None:
    """Origin and key come back; what was changed or is of another kind is no key."""
    text = verifier_key(ORIGIN, PUBLIC)
    origin, key = read_verifier_key(f"{text}\n")
    assert (origin, key.public_bytes_raw()) == (ORIGIN, PUBLIC.public_bytes_raw())
    head, _, encoded = text.rpartition("+")
    for other in ("", "x", text[1:], text[:-4], f"{head}+AAAA", f"{ORIGIN}+00000000+{encoded}", text + "é"):
        with pytest.raises(CheckpointError):
            read_verifier_key(other)


async def test_a_checkpoint_states_the_committed_log(tmp_path: Path) -> None:
    """Size and root are those of the entries in the store; an empty log has a checkpoint too."""
    store = await open_store(tmp_path / "placet.sqlite")
    assert await write_checkpoint(store, ORIGIN, KEY, tmp_path / "empty") == Checkpoint(
        ORIGIN, 0, root(Tree())
    )
    await grow(store, 0, 3)
    checkpoint = await write_checkpoint(store, ORIGIN, KEY, tmp_path / "three")
    assert checkpoint is not None
    assert await check_log(store, [checkpoint, Checkpoint(ORIGIN, 0, root(Tree()))]) is None
    wrong = await check_log(store, [checkpoint._replace(size=4)])
    assert wrong == "The log ends after 3 entries, but a checkpoint was signed for 4."
    await store.close()
