"""Finds a secret in what somebody could copy, however it is written there."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Iterator, Mapping
from urllib.parse import quote


def written(secret: str | bytes) -> dict[str, bytes]:
    """The ways in which a secret could stand in a file, by name; base64 wherever in a longer text it begins."""
    raw = secret.encode() if isinstance(secret, str) else secret
    ways = {
        "raw": raw,
        "reversed": raw[::-1],
        "hexadecimal": raw.hex().encode(),
        "HEXADECIMAL": raw.hex().upper().encode(),
        "base32": base64.b32encode(raw).rstrip(b"="),
    }
    for shift in range(3):  # whole groups only: their neighbours colour the first and the last
        inner = raw[(3 - shift) % 3 :]
        inner = inner[: len(inner) - len(inner) % 3]
        ways[f"base64 +{shift}"] = base64.b64encode(inner)
        ways[f"base64url +{shift}"] = base64.urlsafe_b64encode(inner)
    if isinstance(secret, str):
        ways["UTF-16"] = secret.encode("utf-16-le")
        ways["UTF-16 big endian"] = secret.encode("utf-16-be")
        ways["NFD"] = unicodedata.normalize("NFD", secret).encode()
        ways["percent"] = quote(secret, safe="").encode()
        ways["JSON"] = "".join(char if char.isascii() else f"\\u{ord(char):04x}" for char in secret).encode()
    return ways


def leaks(secrets: Mapping[str, str | bytes], places: Mapping[str, bytes]) -> Iterator[str]:
    """Which secret stands in which place, and how it is written there."""
    for name, secret in secrets.items():
        for way, text in written(secret).items():
            assert len(text) >= 6, f"{name} is too short to be found by {way}"
            for place, content in places.items():
                if text in content:
                    yield f"{name} ({way}) in {place}"
