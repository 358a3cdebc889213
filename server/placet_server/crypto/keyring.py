"""Opens every key of a store with the master key; a store without keys gets its first ones.

The master key wraps the data keys and does nothing else, so it can be replaced without touching a sealed value::

    master key ─ HKDF "check/v1"             → key check value: a wrong master key is refused at the start
               └ HKDF "kek/v1/PURPOSE/ID"    → wraps (RFC 3394) one random data key
                   ├ seed, pii, hook, push   → seal values of that purpose
                   ├ key                     → seals credentials and the signing keys
                   └ mac ─ HKDF "mac/…"      → blind indexes and keyed hashes, one key per label
"""

from __future__ import annotations

import hmac
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from placet_server.crypto.masterkey import MasterKeyError, derived
from placet_server.crypto.sealer import PURPOSES, DataKey, KeyPurpose, KeySealer
from placet_server.crypto.signing import SIGNING_KEYS, DocumentSigner, first_signing_keys, opened_signing_keys
from placet_server.ports import BrokenPlanError, Entropy, Plan, Sql, Store, UnsealableError, step

_CHECK: Final = Sql("key_check", "SELECT value FROM facts WHERE name = 'key_check'")
_KEEP_CHECK: Final = Sql(
    "keep_key_check", "INSERT INTO facts (name, value) VALUES ('key_check', ?) ON CONFLICT (name) DO NOTHING"
)
_DATA_KEYS: Final = Sql("data_keys", "SELECT id, purpose, wrapped FROM data_keys ORDER BY id")
_ADD_DATA_KEY: Final = Sql(
    "add_data_key", "INSERT INTO data_keys (id, purpose, wrapped, created_at) VALUES (?, ?, ?, ?)"
)


class Keyring(NamedTuple):
    """What the server seals and signs with. ``log_key`` signs checkpoints of the audit log, ``vapid_key`` Web Push."""

    sealer: KeySealer
    signer: DocumentSigner
    log_key: Ed25519PrivateKey
    vapid_key: EllipticCurvePrivateKey


async def open_keyring(store: Store, master_key: bytes, entropy: Entropy, now: int) -> Keyring:
    """Unwrap the store's keys with the 32-byte master key, making them at ``now`` (ms UTC) if there are none yet.

    Raises ``MasterKeyError`` when the master key belongs to another store or a stored key was changed.
    """
    check = derived(master_key, "check/v1")
    row = await store.row(_CHECK)
    if row is None:
        # The guard lets one of two starts at once make the keys; the other reads them.
        try:
            await store.write(_first_keys(master_key, check, entropy, now))
        except BrokenPlanError as error:
            raise MasterKeyError("The store has keys but no key check value. Restore a backup.") from error
        row = await store.row(_CHECK)
    if row is None or not hmac.compare_digest(row[0], check):
        raise MasterKeyError("This is not the master key of this store; nothing was opened.")
    keys = [_unwrapped(master_key, *found) for found in await store.rows(_DATA_KEYS)]
    if missing := set(PURPOSES) - {key.purpose for key in keys}:
        raise MasterKeyError(
            f"The store has lost its keys for: {', '.join(sorted(missing))}. Restore a backup."
        )
    sealer = KeySealer(keys, entropy)
    try:
        signing = opened_signing_keys(await store.rows(SIGNING_KEYS), sealer)
    except UnsealableError as error:
        raise MasterKeyError(f"A signing key was changed in the store: {error}. Restore a backup.") from error
    return Keyring(sealer, signing.signer, signing.log, signing.vapid)


def _first_keys(master_key: bytes, check: bytes, entropy: Entropy, now: int) -> Plan:
    keys = [DataKey(number, purpose, entropy.bytes(32)) for number, purpose in enumerate(PURPOSES, 1)]
    stored = [
        step(
            _ADD_DATA_KEY,
            key.id,
            key.purpose,
            aes_key_wrap(_kek(master_key, key.id, key.purpose), key.secret),
            now,
        )
        for key in keys
    ]
    return Plan(
        (step(_KEEP_CHECK, check), *stored, *first_signing_keys(KeySealer(keys, entropy), entropy, now))
    )


def _unwrapped(master_key: bytes, number: int, purpose: KeyPurpose, wrapped: bytes) -> DataKey:
    try:
        return DataKey(number, purpose, aes_key_unwrap(_kek(master_key, number, purpose), wrapped))
    except (InvalidUnwrap, ValueError) as error:
        raise MasterKeyError(f"Data key {number} was changed in the store. Restore a backup.") from error


def _kek(master_key: bytes, number: int, purpose: str) -> bytes:
    return derived(master_key, f"kek/v1/{purpose}/{number}")
