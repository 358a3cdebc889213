"""Soft tokens from otpauth URIs and from secrets alone, and the text behind an argument that may be a picture."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Final

from placet_authenticator.errors import ImportFailedError
from placet_authenticator.records import Token
from placet_protocol import otpauth
from placet_protocol.errors import ProtocolError, TextError
from placet_protocol.text import clean

SHOWN: Final = 60
"""So much of a text that is of no use is repeated."""
NAME_MAX: Final = 256
_GAPS: Final = re.compile(r"[\s-]+")
_BASE32: Final = re.compile(r"([A-Z2-7]{16,128})={0,6}")


def text_of(argument: str, *, secrets: bool = False) -> str:
    """A URI as it is, or the text of the QR code when the argument is the path of a picture.

    With ``secrets`` also a secret alone, as ``secret_alone`` takes it. Raises ``ImportFailedError``, also for what may
    be a secret and is the name of a file here.
    """
    if "://" in argument:
        return argument.strip()
    alone = secrets and secret_alone(argument) is not None
    try:
        path = Path(argument).expanduser()
        there = path.exists()
    except (OSError, RuntimeError, ValueError):  # too long for a path, of nobody's home, or with a NUL in it
        there = False
    if alone and there:
        raise ImportFailedError(
            "this may be a secret, and there is a file of that name",
            "Write ./ before the name of a file, or a blank after each four letters of a secret",
        )
    if alone:
        return argument
    if not there and secrets and not {"/", "."} & set(argument):  # a secret with a slip is not repeated
        raise ImportFailedError(
            "this is neither a URI, nor a secret, nor a file",
            "A secret is at least 16 letters and digits from 2 to 7; paste the whole of it",
        )
    if not there:
        shown = argument if len(argument) <= SHOWN else f"{argument[: SHOWN - 1]}…"
        raise ImportFailedError(
            f"this is neither a URI nor a file: {shown}",
            "Give the whole URI, in a shell in quotes, or the path of a picture of its QR code",
        )
    from placet_authenticator.importing import qr  # loads the picture readers

    return qr.read(path)


def secret_alone(text: str) -> bytes | None:
    """The secret that a site shows beside its QR code: base32 of 80 to 640 bits and nothing else, None for other texts.

    In any case, with padding or without, in groups of one length with blanks or hyphens between, as no sentence is.
    """
    groups = _GAPS.split(text.strip())
    length = len(groups[0])
    if any(len(each) != length for each in groups[:-1]) or len(groups[-1]) > length or not text.isascii():
        return None
    found = _BASE32.fullmatch("".join(groups).upper())
    if found is None:
        return None
    try:
        return base64.b32decode(found[1] + "=" * (-len(found[1]) % 8))
    except binascii.Error:
        return None


def named(secret: bytes, name: str, *, token_id: str, now: int) -> Token:
    """The usual soft token (SHA1, 6 digits, 30 s) of a secret alone; ``name`` is an account, or ``issuer:account``.

    Raises ``ImportFailedError`` for a name that is empty, too long or cannot be shown.
    """
    try:
        shown = clean(name).strip()
    except TextError as error:
        raise ImportFailedError(f"the name cannot be used: {error.detail}", "Type it anew") from error
    issuer, colon, account = (part.strip() for part in shown.partition(":"))
    account = account if colon else issuer
    if not account or len(shown) > NAME_MAX:
        raise ImportFailedError(
            f"a name has 1 to {NAME_MAX} characters", "Use the site and your name there, as in GitHub:ada"
        )
    return Token(token_id, issuer if colon else "", account, secret, "SHA1", 6, 30, created_at=now)


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
