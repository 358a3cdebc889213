from __future__ import annotations

import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from hypothesis import given
from hypothesis import strategies as st

from placet_protocol import jose
from placet_server.crypto.keyring import open_keyring
from placet_server.crypto.masterkey import MasterKeyError, create_master_key, load_master_key
from placet_server.crypto.sealer import PURPOSES, DataKey, KeySealer
from placet_server.crypto.signing import new_p256
from placet_server.ports import Plan, Purpose, Sql, UnsealableError
from placet_server.storage import SqliteStore, open_store
from placet_server.system import SystemEntropy
from placet_server.testing import SeededEntropy

MASTER = bytes(range(32))
ENTROPY = SystemEntropy()


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path / "placet.sqlite")
    yield opened
    await opened.close()


def sealer_of(seed: str) -> KeySealer:
    keys = SeededEntropy(seed)
    return KeySealer(
        [DataKey(number, purpose, keys.bytes(32)) for number, purpose in enumerate(PURPOSES, 1)], ENTROPY
    )


SEALER = sealer_of("a")


async def edited(store: SqliteStore, tmp_path: Path, statement: str, *params: Any) -> None:
    """A change by somebody who can write to the data file, which the store reads after its own next commit."""
    with sqlite3.connect(tmp_path / "placet.sqlite") as connection:
        assert connection.execute(statement, params).rowcount > 0
    connection.close()
    await store.write(Plan((), 0))


async def test_a_new_store_gets_its_keys_once(store: SqliteStore) -> None:
    """Opening again gives the same signing keys, and what was sealed before still opens."""
    first = await open_keyring(store, MASTER, ENTROPY, 1_000)
    sealed = first.sealer.seal("pii", "users", "u1", b"Ada")
    again = await open_keyring(store, MASTER, ENTROPY, 2_000)
    assert again.sealer.open("pii", "users", "u1", sealed) == b"Ada"
    assert again.signer.kid == first.signer.kid
    assert again.log_key.private_bytes_raw() == first.log_key.private_bytes_raw()
    assert again.vapid_key.private_numbers() == first.vapid_key.private_numbers()
    assert again.sealer.index("phone", "1 555") == first.sealer.index("phone", "1 555")
    assert again.sealer.mac("code", b"1") == first.sealer.mac("code", b"1")


async def test_key_02_a_wrong_master_key_is_refused_at_once(store: SqliteStore) -> None:
    """Another key of the right form does not open the store, and the right one still does."""
    await open_keyring(store, MASTER, ENTROPY, 1_000)
    for wrong in (bytes(32), bytes(reversed(MASTER)), MASTER[:-1] + b"\xff"):
        with pytest.raises(MasterKeyError, match="not the master key of this store"):
            await open_keyring(store, wrong, ENTROPY, 1_000)
    await open_keyring(store, MASTER, ENTROPY, 1_000)


def test_key_02_a_missing_or_malformed_master_key_is_refused(tmp_path: Path) -> None:
    """No file, a folder, too few bytes or too many: each ends in a sentence that names the file."""
    short, long = tmp_path / "short", tmp_path / "long"
    for file, size in ((short, 31), (long, 33)):
        file.write_bytes(bytes(size))
        file.chmod(0o600)
    for path in (tmp_path / "none", tmp_path, short, long):
        with pytest.raises(MasterKeyError, match=str(path)):
            load_master_key(path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_key_05_a_master_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    """Any right for group or others is refused with the command that mends it; 0600 and 0400 are good."""
    path = tmp_path / "master.key"
    key = create_master_key(path, ENTROPY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(mode)
    with pytest.raises(MasterKeyError, match="chmod 0600"):
        load_master_key(path)
    for good in (0o600, 0o400):
        path.chmod(good)
        assert load_master_key(path) == key


def test_a_master_key_is_never_overwritten(tmp_path: Path) -> None:
    """Creating a key where one exists fails and leaves it as it was."""
    path = tmp_path / "master.key"
    key = create_master_key(path, ENTROPY)
    with pytest.raises(MasterKeyError, match="exists"):
        create_master_key(path, ENTROPY)
    assert load_master_key(path) == key
    with pytest.raises(MasterKeyError, match="No such"):
        create_master_key(tmp_path / "nowhere" / "master.key", ENTROPY)


@given(st.binary(max_size=300), st.text(max_size=20), st.text(max_size=20))
def test_a_sealed_value_opens_in_its_place(plaintext: bytes, table: str, row: str) -> None:
    """Whatever was sealed for a place comes back there, and sealing twice gives two different texts."""
    sealed = SEALER.seal("pii", table, row, plaintext)
    assert SEALER.open("pii", table, row, sealed) == plaintext
    assert SEALER.seal("pii", table, row, plaintext) != sealed


@pytest.mark.parametrize(
    ("purpose", "table", "row"),
    [
        ("pii", "users", "u2"),
        ("pii", "devices", "u1"),
        ("pii", "usersu", "1"),
        ("pii", "user", "su1"),
        ("pii", "", "usersu1"),
        ("seed", "users", "u1"),
    ],
)
def test_key_03_a_value_moved_elsewhere_does_not_open(purpose: Purpose, table: str, row: str) -> None:
    """Another row, table or purpose is refused, and so is the same text with another border between table and row."""
    sealed = SEALER.seal("pii", "users", "u1", b"Ada")
    with pytest.raises(UnsealableError, match=f"{table} {row}"):
        SEALER.open(purpose, table, row, sealed)


def test_key_03_every_changed_byte_is_noticed() -> None:
    """Each flipped bit and each cut of a sealed value is refused: version, key id, nonce, text and tag."""
    sealed = SEALER.seal("seed", "soft_tokens", "t1", b"12345678901234567890")
    changed = [
        sealed[:at] + bytes([sealed[at] ^ 1 << bit]) + sealed[at + 1 :]
        for at in range(len(sealed))
        for bit in range(8)
    ]
    changed += [sealed[:length] for length in range(len(sealed))] + [sealed + b"\0"]
    for wrong in changed:
        with pytest.raises(UnsealableError):
            SEALER.open("seed", "soft_tokens", "t1", wrong)


async def test_key_03_rows_swapped_in_the_data_file_do_not_open(store: SqliteStore, tmp_path: Path) -> None:
    """Exchanging the sealed values of two rows by hand gives an error for both, never the other's secret."""
    sealer = (await open_keyring(store, MASTER, ENTROPY, 1_000)).sealer
    await edited(store, tmp_path, "INSERT INTO organizations VALUES ('o', 'o', 1)")
    for user in ("u1", "u2"):
        sealed = sealer.seal("pii", "users", user, user.encode())
        await edited(
            store, tmp_path, "INSERT INTO users VALUES (?, 'o', ?, 0, ?, 1)", user, int(user[1]), sealed
        )
    query = Sql("sealed", "SELECT id, sealed FROM users")
    assert [sealer.open("pii", "users", *row) for row in await store.rows(query)] == [b"u1", b"u2"]
    (_, first), (_, second) = await store.rows(query)
    await edited(
        store,
        tmp_path,
        "UPDATE users SET sealed = CASE sealed WHEN ? THEN ? ELSE ? END",
        first,
        second,
        first,
    )
    for user, sealed in await store.rows(query):
        with pytest.raises(UnsealableError):
            sealer.open("pii", "users", user, sealed)


def test_values_of_another_store_do_not_open() -> None:
    """The same place under other keys is refused."""
    with pytest.raises(UnsealableError):
        sealer_of("b").open("pii", "users", "u1", SEALER.seal("pii", "users", "u1", b"Ada"))


def test_older_keys_open_and_the_newest_seals() -> None:
    """After a second key for a purpose, old values open and new ones name the new key."""
    keys = [DataKey(number, purpose, bytes([number]) * 32) for number, purpose in enumerate(PURPOSES, 1)]
    old, new = KeySealer(keys, ENTROPY), KeySealer([DataKey(99, "pii", bytes(32)), *keys], ENTROPY)
    sealed = old.seal("pii", "users", "u1", b"Ada")
    assert new.open("pii", "users", "u1", sealed) == b"Ada"
    assert int.from_bytes(new.seal("pii", "users", "u1", b"Ada")[1:5], "big") == 99
    with pytest.raises(UnsealableError):
        old.open("pii", "users", "u1", new.seal("pii", "users", "u1", b"Ada"))


def test_indexes_and_macs_depend_on_column_label_and_borders() -> None:
    """Equal values are found, and nothing can be compared across columns, labels or other splits of the same bytes."""
    assert len(SEALER.index("phone", "1 555")) == 16
    assert len(SEALER.mac("code", b"1")) == 32
    found = [
        SEALER.index("phone", "1 555"),
        SEALER.index("email", "1 555"),
        SEALER.index("phone", "1 556"),
        SEALER.mac("phone", b"1 555")[:16],
        SEALER.mac("index/phone", b"1 555")[:16],
        SEALER.mac("a", b"x", b"yz")[:16],
        SEALER.mac("a", b"xy", b"z")[:16],
        SEALER.mac("a", b"xyz")[:16],
        sealer_of("b").index("phone", "1 555"),
    ]
    assert len(set(found)) == len(found)
    assert SEALER.index("phone", "1 555") == sealer_of("a").index("phone", "1 555")


def test_no_key_shows_in_a_repr() -> None:
    """What a log line or a trace could print of keys holds no secret."""
    key = DataKey(1, "pii", b"0123456789abcdef0123456789abcdef")
    assert "0123456789abcdef" not in f"{key!r} {KeySealer([key], ENTROPY)!r} {[key]}"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE data_keys SET wrapped = zeroblob(40) WHERE id = 2",
        "UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE id = 1) WHERE id = 2",
        "UPDATE data_keys SET purpose = 'pii' WHERE purpose = 'seed'",
        "UPDATE data_keys SET id = 77 WHERE id = 1",
        "DELETE FROM data_keys WHERE purpose = 'mac'",
        "UPDATE signing_keys SET sealed = zeroblob(65)",
        "UPDATE signing_keys SET public_key = zeroblob(65) WHERE use = 'document'",
        "UPDATE signing_keys SET use = 'document' WHERE use = 'log'",
        "UPDATE signing_keys SET status = 'retired' WHERE use = 'document'",
        "DELETE FROM signing_keys WHERE use = 'vapid'",
        "UPDATE signing_keys SET kid = 'x' || kid",
        "INSERT INTO signing_keys SELECT 'mine', use, 'retired', public_key, sealed, 1, 2 FROM signing_keys LIMIT 1",
        "DELETE FROM facts WHERE name = 'key_check'",
    ],
)
async def test_key_03_keys_changed_in_the_data_file_are_refused(
    store: SqliteStore, tmp_path: Path, statement: str
) -> None:
    """Whoever writes to the data file can neither exchange keys nor slip in a public key for verifiers."""
    await open_keyring(store, MASTER, ENTROPY, 1_000)
    await edited(store, tmp_path, statement)
    with pytest.raises(MasterKeyError):
        await open_keyring(store, MASTER, ENTROPY, 1_000)


async def test_no_private_key_stands_in_the_data_file(store: SqliteStore, tmp_path: Path) -> None:
    """Neither the master key nor any signing key is found in the bytes of the store's files."""
    keyring = await open_keyring(store, MASTER, ENTROPY, 1_000)
    secrets = [
        MASTER,
        keyring.log_key.private_bytes_raw(),
        scalar(keyring.vapid_key),
        scalar(keyring.signer._key),
    ]
    stored = b"".join(file.read_bytes() for file in sorted(files(tmp_path)))
    for secret in secrets:
        for form in (secret, secret.hex().encode(), jose.b64u(secret).encode()):
            assert form not in stored


def scalar(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_numbers().private_value.to_bytes(32, "big")


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_documents_verify_with_the_published_key(store: SqliteStore) -> None:
    """A document signed by the server opens with the key that its key list names under the same thumbprint."""
    signer = (await open_keyring(store, MASTER, ENTROPY, 1_700_000_000_123)).signer
    (jwk,) = signer.jwks()
    assert {name: jwk[name] for name in ("kid", "use", "alg", "status", "iat")} == {
        "kid": signer.kid,
        "use": "sig",
        "alg": "ES256",
        "status": "current",
        "iat": 1_700_000_000,
    }
    public = jose.public_key_from_jwk(jwk)
    assert jose.thumbprint(public) == signer.kid
    assert jose.open(signer.sign("thing+jwt", b'{"a":1}'), public, "thing+jwt") == {"a": 1}


async def test_retired_keys_stay_published_with_their_end(store: SqliteStore, tmp_path: Path) -> None:
    """After a roll-over the former key is still listed, so that old receipts verify."""
    before = await open_keyring(store, MASTER, ENTROPY, 1_000_000)
    old = before.signer.kid
    await edited(
        store, tmp_path, "UPDATE signing_keys SET status = 'retired', retired_at = 5000000 WHERE kid = ?", old
    )
    key = new_p256(ENTROPY)
    point, kid = jose.public_key_bytes(key.public_key()), jose.thumbprint(key.public_key())
    sealed = before.sealer.seal("key", "signing_keys", kid, scalar(key))
    await edited(
        store,
        tmp_path,
        "INSERT INTO signing_keys VALUES (?, 'document', 'current', ?, ?, 5000000, NULL)",
        kid,
        point,
        sealed,
    )
    after = await open_keyring(store, MASTER, ENTROPY, 6_000_000)
    assert after.signer.kid == kid
    listed = {jwk["kid"]: (jwk["status"], jwk.get("exp")) for jwk in after.signer.jwks()}
    assert listed == {old: ("retired", 5_000), kid: ("current", None)}
