"""Seals single values for the store, bound to the place they belong to, and makes keyed hashes to find them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal, NamedTuple, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from placet_protocol.canonical import joined
from placet_server.crypto.masterkey import derived
from placet_server.ports import Entropy, Purpose, UnsealableError

KeyPurpose = Purpose | Literal["mac"]
"""What a data key is for: the sealing purposes, and ``mac``, from which all keyed hashes are derived."""

PURPOSES: Final[tuple[KeyPurpose, ...]] = (*get_args(Purpose), "mac")

_VERSION: Final = 1
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEAD_BYTES: Final = 1 + _ID_BYTES
_HEAD_LENGTH: Final = _HEAD_BYTES.to_bytes(4, "big")
_INDEX_BYTES: Final = 16
_BLOCK_BYTES: Final = 64  # of SHA-256
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class DataKey(NamedTuple):
    """A random 256-bit key of the store, unwrapped."""

    id: int
    purpose: KeyPurpose
    secret: bytes

    def __repr__(self) -> str:
        return f"DataKey(id={self.id}, purpose={self.purpose!r})"


class _Cipher(NamedTuple):
    purpose: KeyPurpose
    head: bytes
    aead: AESGCM


class _KeyedHash:
    """HMAC-SHA-256 (RFC 2104) under one key, which is hashed once: a third of the time of a call that begins anew."""

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER))
        self._outer = hashlib.sha256(block.translate(_OUTER))

    def __call__(self, data: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()


class KeySealer:
    """A ``Sealer`` over data keys; of each purpose the key with the highest id seals, and all of them open.

    A sealed value is ``version (1) · key id (4) · nonce (12) · ciphertext · tag (16)``, AES-256-GCM. Product, table,
    row and key id are authenticated with it, so it opens in its own place only.
    """

    def __init__(self, keys: Iterable[DataKey], entropy: Entropy) -> None:
        self._entropy = entropy
        self._by_head: dict[bytes, _Cipher] = {}
        self._current: dict[KeyPurpose, _Cipher] = {}
        mac_root = b""
        for key in sorted(keys):
            if key.purpose == "mac":
                mac_root = key.secret
                continue
            head = bytes((_VERSION,)) + key.id.to_bytes(_ID_BYTES, "big")
            cipher = _Cipher(key.purpose, head, AESGCM(key.secret))
            self._by_head[head] = self._current[key.purpose] = cipher
        self._keyed = lru_cache(maxsize=256)(lambda label: _KeyedHash(derived(mac_root, label)))

    def seal(self, purpose: Purpose, table: str, row: str, plaintext: bytes) -> bytes:
        """AES-256-GCM under the purpose's current data key, bound to table and row."""
        cipher = self._current[purpose]
        nonce = self._entropy.bytes(_NONCE_BYTES)
        return cipher.head + nonce + cipher.aead.encrypt(nonce, plaintext, _place(cipher.head, table, row))

    def open(self, purpose: Purpose, table: str, row: str, sealed: bytes) -> bytes:
        """The plaintext; raises ``UnsealableError`` if the value was changed, moved or sealed by another key."""
        head = sealed[:_HEAD_BYTES]
        cipher = self._by_head.get(head)
        if (
            cipher is None
            or cipher.purpose != purpose
            or len(sealed) < _HEAD_BYTES + _NONCE_BYTES + _TAG_BYTES
        ):
            raise UnsealableError(f"{table} {row}: not sealed by a {purpose} key of this store")
        nonce = sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES]
        try:
            return cipher.aead.decrypt(nonce, sealed[_HEAD_BYTES + _NONCE_BYTES :], _place(head, table, row))
        except InvalidTag as error:
            raise UnsealableError(
                f"{table} {row}: the sealed value was changed or belongs to another row"
            ) from error

    def index(self, column: str, value: str) -> bytes:
        """16 bytes by which an equal value of the same column is found, and nothing else."""
        return self._keyed(f"mac/index/{column}")(value.encode())[:_INDEX_BYTES]

    def mac(self, label: str, *parts: bytes) -> bytes:
        """32 bytes of HMAC-SHA-256 over the length-prefixed parts, under the key of that label."""
        return self._keyed(f"mac/label/{label}")(joined(parts))


def _place(head: bytes, table: str, row: str) -> bytes:
    name = row.encode()
    return _prefix(table) + len(name).to_bytes(4, "big") + name + _HEAD_LENGTH + head


@lru_cache(maxsize=64)
def _prefix(table: str) -> bytes:
    return joined((b"placet", table.encode()))
