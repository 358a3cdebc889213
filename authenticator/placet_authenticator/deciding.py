"""Makes the signed answer to exactly the request document that was shown."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from placet_authenticator.calls import Signer
from placet_authenticator.errors import AuthenticatorError
from placet_authenticator.inbox import Entry
from placet_protocol import jose
from placet_protocol.approval import Reason, Verb
from placet_protocol.documents import DECISION, Decision, payload

UI: Final = "placet-terminal/1"

Verified = Literal["none", "pin", "os"]
"""How this device knew its person: not at all in this run, by the passphrase, or by the operating system's store."""


class Answer(Struct, frozen=True):
    """What the person wants; make one with ``approve`` or ``deny``."""

    verb: Verb
    reason: Reason
    number: str | None = None

    def check(self, entry: Entry) -> None:
        """Raises ``NumberError`` unless the number has the form that the request asks for."""
        if self.verb == "deny":
            return
        number = self.number or ""
        if entry.digits and not (len(number) == entry.digits and number.isascii() and number.isdigit()):
            raise NumberError(
                f"this request asks for the {entry.digits} digits that {entry.application} shows you",
                f"Add --number followed by {entry.digits} digits; there is one try",
            )
        if not entry.digits and number:
            raise NumberError("this request asks for no number", "Leave --number out")


def approve(number: str | None = None) -> Answer:
    """Yes, with the number that the application shows if the request asks for one."""
    return Answer("approve", "ok", number)


def deny(reason: Literal["declined", "mistake", "not_me"] = "declined") -> Answer:
    """No; ``not_me`` also holds further requests of the application for a while."""
    return Answer("deny", reason)


class NumberError(AuthenticatorError):
    """The number is missing, has another length or is not asked for: nothing was sent."""

    exit_code = 2


def decision(
    entry: Entry,
    answer: Answer,
    signer: Signer,
    *,
    counter: int,
    now: int,
    jti: str,
    uv: Verified = "none",
) -> str:
    """The decision document. ``counter`` is fresh from the vault, ``now`` in ms UTC, ``jti`` a fresh id.

    Raises ``NumberError`` when the answer does not fit the request.
    """
    answer.check(entry)
    said = Decision(
        iss=signer.thumbprint,
        aud=entry.origin,
        jti=jti,
        iat=now // 1000,
        ctr=counter,
        rid=entry.rid,
        non=entry.nonce,
        rqh=entry.digest,
        dec=answer.verb,
        rsn=answer.reason,
        num=answer.number if answer.verb == "approve" and entry.digits else None,
        uv=uv,
        ui=UI,
    )
    return jose.sign(signer.key, DECISION, payload(said), kid=signer.thumbprint)
