"""The otpauth URI of a soft token: whoever reads it can make its codes."""

from __future__ import annotations

from typing import Final

from placet_authenticator.errors import ExportFailedError
from placet_authenticator.records import Token
from placet_protocol import otpauth
from placet_protocol.errors import MalformedError
from placet_protocol.text import visible

_LABEL_MAX: Final = 256


def uri(token: Token) -> str:
    """The token as ``otpauth://totp/…``, every parameter written out; the secret is in it.

    A colon in the issuer becomes a space, because the label uses it as its separator. Raises ``ExportFailedError``.
    """
    try:
        return otpauth.format(
            otpauth.SoftTokenUri(
                token.secret,
                visible(token.issuer).replace(":", " ")[:_LABEL_MAX],
                visible(token.account)[:_LABEL_MAX],
                token.algorithm,  # type: ignore[arg-type]  # one of three names, as its import checked
                token.digits,
                token.period,
            )
        )
    except MalformedError as error:
        raise ExportFailedError(f"this token cannot be written as a URI: {error}") from error
