"""The text form of an API key: ``plk_<id>_<secret><checksum>``, which scanners recognise and typos cannot pass.

Id, secret and checksum are base62 (0-9 A-Z a-z); the secret holds 192 random bits, the checksum is the CRC-32 of
everything before it in six characters.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Final, NamedTuple

from placet_server.ports import Entropy

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM: Final = re.compile(r"plk_([0-9A-Za-z]{11})_([0-9A-Za-z]{33})([0-9A-Za-z]{6})", re.ASCII)


class ApiKey(NamedTuple):
    """A key in its parts; ``text`` is what the caller presents."""

    id: str
    secret: str
    text: str

    @property
    def digest(self) -> bytes:
        """What the store keeps: SHA-256 suffices for a secret that nobody can guess."""
        return hashlib.sha256(self.secret.encode()).digest()


def new_api_key(entropy: Entropy) -> ApiKey:
    """A key that no one else has."""
    key_id = _base62(entropy.bytes(8), 11)
    secret = _base62(entropy.bytes(24), 33)
    stem = f"plk_{key_id}_{secret}"
    return ApiKey(key_id, secret, stem + _checksum(stem))


def read_api_key(text: str) -> ApiKey | None:
    """The parts of a key, or None when form or checksum are wrong."""
    match = _FORM.fullmatch(text)
    if match is None or _checksum(text[:-6]) != match[3]:
        return None
    return ApiKey(match[1], match[2], text)


def _checksum(stem: str) -> str:
    return _base62(zlib.crc32(stem.encode()).to_bytes(4, "big"), 6)


def _base62(data: bytes, length: int) -> str:
    number = int.from_bytes(data, "big")
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
