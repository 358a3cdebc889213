"""Codes of soft tokens, also of foreign ones that newer rules would refuse."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import pyotp

from placet_authenticator.errors import NotFoundError
from placet_authenticator.records import Token

_DIGESTS: Final = {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256, "SHA512": hashlib.sha512}


class ForeignTotp(pyotp.TOTP):
    """RFC 6238 for whatever a site handed out: 80-bit secrets and periods above two minutes included.

    pyotp refuses both by default (NIST SP 800-63B-4, 3.1.4.1): right for who makes secrets, not for who must answer
    with the ones there are.
    """

    def __init__(self, secret: bytes, *, algorithm: str, digits: int, period: int) -> None:
        self._raw = secret
        super().__init__(base64.b32encode(secret).decode(), digits=digits, digest=_DIGESTS[algorithm])
        self.interval = period

    def byte_secret(self) -> bytes:
        """The secret as it was imported, whatever its length."""
        return self._raw


class Code(NamedTuple):
    """What to type now, how many milliseconds it lasts, and what comes after it."""

    digits: str
    lasts_ms: int
    following: str


def code(token: Token, now: int) -> Code:
    """The token's code at ``now`` (ms UTC)."""
    totp = ForeignTotp(token.secret, algorithm=token.algorithm, digits=token.digits, period=token.period)
    step, passed = divmod(now, token.period * 1000)
    return Code(totp.generate_otp(step), token.period * 1000 - passed, totp.generate_otp(step + 1))


def matching(tokens: Iterable[Token], words: str) -> list[Token]:
    """Tokens whose label holds every word of the search, case aside; in the order given."""
    wanted = words.casefold().split()
    return [token for token in tokens if all(word in token.label.casefold() for word in wanted)]


def named(tokens: Sequence[Token], name: str) -> Token:
    """The one token that ``name`` means: its id, its exact label, issuer or account, or the only match of a search.

    Raises ``NotFoundError`` when there is none or more than one.
    """
    folded = name.casefold()
    exact = [
        token
        for token in tokens
        if token.id == name
        or folded in {token.label.casefold(), token.issuer.casefold(), token.account.casefold()}
    ]
    found = exact or matching(tokens, name)
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFoundError(f"there is no token named {name!r}", "See all: placet code --list")
    raise NotFoundError(
        f"{len(found)} tokens match {name!r}: "
        + ", ".join(f"{token.label} ({token.id})" for token in found[:5]),
        "Use the full label, or the id in parentheses",
    )
