"""What the vault keeps, one sealed record each. Times are milliseconds UTC."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import Struct

Outcome = Literal["approved", "denied", "expired", "cancelled", "superseded", "failed"]
"""How a request ended, as far as this device knows; ``failed`` when the device was removed before it could answer."""

By = Literal["this device", "another device", "the application", "time", "the server"]
"""Who ended a request, in words for a person."""


class Enrollment(Struct, frozen=True):
    """This person's device on one server: one key pair for signing, one for opening what is pushed.

    ``id`` is the server's device id, ``origin`` the server's public URL, ``pinned`` the thumbprint of the server key
    that was in the enrolment URI and ``server_key`` that key as a 65-byte point. ``name`` is what the enrolment URI
    calls the server; ``user`` the opaque user id in every request; ``device_name`` what this device called itself.
    The two secrets are 32-byte scalars; they exist in plain form in memory only.
    """

    KIND: ClassVar[str] = "enrollment"

    id: str
    origin: str
    pinned: str
    server_key: bytes
    name: str
    user: str
    org: str
    device_name: str
    thumbprint: str
    signing_secret: bytes
    push_secret: bytes
    push_auth: bytes
    certificate: str
    check: str
    active: bool
    created_at: int


class Token(Struct, frozen=True):
    """A soft token: ``secret`` in raw bytes, ``period`` in seconds; ``device`` names the enrolment that brought it."""

    KIND: ClassVar[str] = "token"

    id: str
    issuer: str
    account: str
    secret: bytes
    algorithm: str
    digits: int
    period: int
    created_at: int
    device: str | None = None

    @property
    def label(self) -> str:
        """The name by which a person asks for it: ``issuer:account``, or the part that there is."""
        return ":".join(part for part in (self.issuer, self.account) if part)


class Held(Struct, frozen=True):
    """A request that this device has acknowledged and that waits for an answer: exactly the signed document.

    ``sent`` are signed answers of which it is not known whether the server took them.
    """

    KIND: ClassVar[str] = "held"

    id: str
    device: str
    document: str
    arrived_at: int
    sent: tuple[str, ...] = ()


class Past(Struct, frozen=True):
    """A request that has ended: its document, how it ended, and this device's signed answer if it gave one.

    ``sent`` are answers of which it was not known whether the server took them when the time was over.
    """

    KIND: ClassVar[str] = "past"

    id: str
    device: str
    document: str
    outcome: Outcome
    by: By
    reason: str
    ended_at: int
    decision: str | None = None
    sent: tuple[str, ...] = ()


class Told(Struct, frozen=True):
    """Something a server told this person, kept because it is told once: ``notice`` is the server's id of it."""

    KIND: ClassVar[str] = "told"

    id: str
    origin: str
    notice: str
    kind: str
    text: str
    at: int


class Counter(Struct, frozen=True):
    """The last counter value that any decision of this vault carried."""

    KIND: ClassVar[str] = "counter"

    id: str
    value: int


Record = Enrollment | Token | Held | Past | Told | Counter
