"""Soft tokens from otpauth URIs, and the text behind an argument that may be a URI or a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from placet_authenticator.errors import ImportFailedError
from placet_authenticator.records import Token
from placet_protocol import otpauth
from placet_protocol.errors import ProtocolError

SHOWN: Final = 60
"""So much of a text that is of no use is repeated."""


def text_of(argument: str) -> str:
    """A URI as it is, or the text of the QR code when the argument is the path of a picture.

    Raises ``ImportFailedError``.
    """
    if "://" in argument:
        return argument.strip()
    try:
        path = Path(argument).expanduser()
        there = path.exists()
    except (OSError, RuntimeError, ValueError):  # too long for a path, of nobody's home, or with a NUL in it
        there = False
    if not there:
        shown = argument if len(argument) <= SHOWN else f"{argument[: SHOWN - 1]}…"
        raise ImportFailedError(
            f"this is neither a URI nor a file: {shown}",
            "Give the whole URI, in a shell in quotes, or the path of a picture of its QR code",
        )
    from placet_authenticator.importing import qr  # loads the picture readers

    return qr.read(path)


def token(uri: str, *, token_id: str, now: int, device: str | None = None) -> Token:
    """The soft token that an ``otpauth://totp/`` URI describes. Raises ``ImportFailedError`` if it does not."""
    try:
        parsed = otpauth.parse(uri)
    except ProtocolError as error:
        raise ImportFailedError(
            f"this is not a soft token: {error}", "Ask for a URI that starts with otpauth://totp/"
        ) from error
    return Token(
        id=token_id,
        issuer=parsed.issuer,
        account=parsed.account,
        secret=parsed.secret,
        algorithm=parsed.algorithm,
        digits=parsed.digits,
        period=parsed.period,
        created_at=now,
        device=device,
    )
