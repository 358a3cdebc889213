"""Soft tokens from otpauth URIs, and the text behind an argument that may be a URI or a picture."""

from __future__ import annotations

from pathlib import Path

from placet_authenticator.errors import ImportFailedError
from placet_authenticator.records import Token
from placet_protocol import otpauth
from placet_protocol.errors import ProtocolError


def text_of(argument: str) -> str:
    """A URI as it is, or the text of the QR code when the argument is the path of a picture.

    Raises ``ImportFailedError``.
    """
    if "://" in argument:
        return argument.strip()
    path = Path(argument).expanduser()
    if not path.exists():
        raise ImportFailedError(
            f"{argument} is neither a URI nor a file", "Give the URI in quotes, or a picture of its QR code"
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
