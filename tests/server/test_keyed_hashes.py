"""The keyed hashes of the store are HMAC-SHA-256, as everybody else computes it."""

from __future__ import annotations

import hmac
import random

from placet_protocol.canonical import joined
from placet_server.crypto.masterkey import derived
from placet_server.crypto.sealer import DataKey, KeySealer
from placet_server.testing import SeededEntropy


def test_indexes_and_macs_are_hmac_sha_256() -> None:
    """For texts and parts of any length, also longer than a block, and again and again under the same label."""
    root = bytes(range(32))
    sealer = KeySealer([DataKey(1, "mac", root)], SeededEntropy())
    draw = random.Random(7)
    for size in (0, 1, 31, 32, 55, 56, 63, 64, 65, 127, 128, 1000):
        for label in ("code", "é", ""):
            value = "x" * size
            expected = hmac.digest(derived(root, f"mac/index/{label}"), value.encode(), "sha256")[:16]
            assert sealer.index(label, value) == expected
            parts = [draw.randbytes(size), b"", draw.randbytes(3)]
            expected = hmac.digest(derived(root, f"mac/label/{label}"), joined(parts), "sha256")
            assert sealer.mac(label, *parts) == expected
