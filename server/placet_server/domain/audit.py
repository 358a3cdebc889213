"""Entries of the audit log, as canonical events and their RFC 6962 leaf hashes."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from placet_server.ports import Leaf

_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_LEAF: Final = b"\x00"
_MAX_INT: Final = 2**53 - 1


def leaf(now: int, kind: str, org: str, subject: str, /, **facts: str | int) -> Leaf:
    """The entry that says what happened (``kind``) to what (``subject``, an id) at ``now`` (ms UTC).

    ``facts`` are ids, states, times and hashes, never personal data: the log is copied to places from which nothing can
    be erased. The body is RFC 8785 JSON, which for ASCII names is JSON with sorted members; the hash is
    SHA-256(0x00 ‖ body) as in RFC 6962 §2.1.
    """
    event = {"at": now, "facts": facts, "kind": kind, "org": org, "subject": subject, "v": 1}
    for fact in facts.values():
        assert isinstance(fact, str) or abs(fact) <= _MAX_INT
    body = _ENCODER.encode(event)
    return Leaf(now, kind, body.decode(), hashlib.sha256(_LEAF + body).digest())
