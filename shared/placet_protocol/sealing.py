"""Sealing to a device's push key: single messages (RFC 8291) and the socket's stream of them (RFC 9180).

Ephemeral keys and salts are arguments: take fresh ones for every message or connection.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import ECDH, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from placet_protocol.canonical import joined
from placet_protocol.errors import MalformedError, OutOfTurnError, UnopenableError
from placet_protocol.jose import public_key_bytes, public_key_from_bytes

WEB_PUSH_PLAINTEXT_MAX: Final = 3_993
"""Longest plaintext, padding included, of a message that every push service takes: 4,096 bytes sealed."""

_SALT: Final = 16
_POINT: Final = 65
_TAG: Final = 16
_HEADER: Final = _SALT + 4 + 1 + _POINT
_RECORD: Final = 4_096
_LAST_RECORD: Final = b"\x02"

# RFC 9180 §7: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM; base mode.
_KEM: Final = b"KEM\x00\x10"
_SUITE: Final = b"HPKE\x00\x10\x00\x01\x00\x01"
_BASE: Final = b"\x00"


def seal(
    plaintext: bytes,
    p256dh: bytes,
    auth: bytes,
    *,
    ephemeral_key: EllipticCurvePrivateKey,
    salt: bytes,
    pad_to: int = 0,
) -> bytes:
    """One ``aes128gcm`` message of one record to a device's push key (65 bytes) and its 16 bytes of ``auth``.

    The plaintext is padded to at least ``pad_to`` bytes; the result is 103 bytes longer. Records grow with the
    plaintext, so only own paths carry more than ``WEB_PUSH_PLAINTEXT_MAX``. RFC 8291 §3, RFC 8188 §2.
    """
    if len(salt) != _SALT or len(auth) != _SALT:
        raise MalformedError("salt and auth are 16 bytes each")
    sender_point = public_key_bytes(ephemeral_key.public_key())
    shared = ephemeral_key.exchange(ECDH(), public_key_from_bytes(p256dh))
    key, nonce = _content_keys(shared, auth, p256dh, sender_point, salt)
    record = plaintext + _LAST_RECORD + bytes(max(0, pad_to - len(plaintext)))
    size = max(_RECORD, len(record) + _TAG)
    header = salt + size.to_bytes(4, "big") + _POINT.to_bytes(1, "big") + sender_point
    return header + AESGCM(key).encrypt(nonce, record, None)


def unseal(body: bytes, private_key: EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """The plaintext of an ``aes128gcm`` message of one record; raises ``UnopenableError`` for everything else."""
    salt, size, point = (
        body[:_SALT],
        int.from_bytes(body[_SALT : _SALT + 4], "big"),
        body[_HEADER - _POINT : _HEADER],
    )
    record = body[_HEADER:]
    if len(record) <= _TAG or body[_SALT + 4] != _POINT or len(record) > size:
        raise UnopenableError("not one aes128gcm record")
    try:
        shared = private_key.exchange(ECDH(), public_key_from_bytes(point))
    except MalformedError as error:
        raise UnopenableError(error.detail) from error
    own_point = public_key_bytes(private_key.public_key())
    key, nonce = _content_keys(shared, auth, own_point, point, salt)
    padded = _decrypted(AESGCM(key), nonce, record, None).rstrip(b"\x00")
    if not padded.endswith(_LAST_RECORD):
        raise UnopenableError("the record has no end")
    return padded[:-1]


def socket_info(did: str, nonce: str) -> bytes:
    """The ``info`` of a socket's stream: it binds the keys to device and connection (its challenge's nonce)."""
    return b"placet socket v1" + joined([did.encode(), nonce.encode()])


class Context:
    """One direction of an HPKE stream: the sender seals, the recipient opens, in the same order (RFC 9180 §5.2).

    ``key`` is 16 bytes, ``base_nonce`` 12; get one from ``sender`` or ``recipient``.
    """

    def __init__(self, key: bytes, base_nonce: bytes, *, sends: bool) -> None:
        self._cipher = AESGCM(key)
        self._base_nonce = int.from_bytes(base_nonce, "big")
        self._sends = sends
        self._sequence = 0

    def seal(self, plaintext: bytes, aad: bytes = b"") -> bytes:
        """The next message sealed, 16 bytes longer; raises ``OutOfTurnError`` at the receiving end."""
        if not self._sends:  # both ends sealing under one key would use a nonce twice
            raise OutOfTurnError("the recipient of a stream does not seal")
        sealed = self._cipher.encrypt(self._nonce(), plaintext, aad)
        self._sequence += 1
        return sealed

    def open(self, ciphertext: bytes, aad: bytes = b"") -> bytes:
        """The next message; raises ``UnopenableError`` if it is another one, and still waits for the right one."""
        if self._sends:
            raise OutOfTurnError("the sender of a stream does not open")
        plaintext = _decrypted(self._cipher, self._nonce(), ciphertext, aad)
        self._sequence += 1
        return plaintext

    def _nonce(self) -> bytes:
        return (self._base_nonce ^ self._sequence).to_bytes(12, "big")


def sender(p256dh: bytes, info: bytes, ephemeral_key: EllipticCurvePrivateKey) -> tuple[bytes, Context]:
    """``enc`` (65 bytes, for the recipient) and the sealing end of a stream to a device's push key."""
    enc = public_key_bytes(ephemeral_key.public_key())
    shared = ephemeral_key.exchange(ECDH(), public_key_from_bytes(p256dh))
    key, base_nonce = _schedule(shared, enc + p256dh, info)
    return enc, Context(key, base_nonce, sends=True)


def recipient(enc: bytes, private_key: EllipticCurvePrivateKey, info: bytes) -> Context:
    """The opening end of a stream; raises ``UnopenableError`` when ``enc`` is no point of the curve."""
    try:
        shared = private_key.exchange(ECDH(), public_key_from_bytes(enc))
    except MalformedError as error:
        raise UnopenableError(error.detail) from error
    key, base_nonce = _schedule(shared, enc + public_key_bytes(private_key.public_key()), info)
    return Context(key, base_nonce, sends=False)


def _content_keys(
    shared: bytes, auth: bytes, receiver_point: bytes, sender_point: bytes, salt: bytes
) -> tuple[bytes, bytes]:
    """Key and nonce of the one record (RFC 8291 §3.4)."""
    secret = _mac(_mac(auth, shared), b"WebPush: info\x00" + receiver_point + sender_point + b"\x01")
    pseudo_random = _mac(salt, secret)
    key = _mac(pseudo_random, b"Content-Encoding: aes128gcm\x00\x01")[:16]
    return key, _mac(pseudo_random, b"Content-Encoding: nonce\x00\x01")[:12]


def _schedule(shared: bytes, kem_context: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and base nonce of a stream (RFC 9180 §4.1, §5.1)."""
    secret = _labeled_extract(_KEM, b"", b"eae_prk", shared)
    shared_secret = _labeled_expand(_KEM, secret, b"shared_secret", kem_context, 32)
    context = (
        _BASE
        + _labeled_extract(_SUITE, b"", b"psk_id_hash", b"")
        + _labeled_extract(_SUITE, b"", b"info_hash", info)
    )
    secret = _labeled_extract(_SUITE, shared_secret, b"secret", b"")
    key = _labeled_expand(_SUITE, secret, b"key", context, 16)
    return key, _labeled_expand(_SUITE, secret, b"base_nonce", context, 12)


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return _mac(salt, b"HPKE-v1" + suite + label + material)


def _labeled_expand(suite: bytes, secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand of at most one block, which is all that this suite needs."""
    return _mac(secret, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01")[:length]


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _decrypted(cipher: AESGCM, nonce: bytes, ciphertext: bytes, aad: bytes | None) -> bytes:
    try:
        return cipher.decrypt(nonce, ciphertext, aad)
    except (InvalidTag, ValueError) as error:
        raise UnopenableError("sealed to another key, changed or out of order") from error
