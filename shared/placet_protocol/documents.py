"""The signed documents: for each ``typ`` a frozen struct, its payload bytes, and a reader that believes nothing.

Binary members are base64url texts, times are seconds UTC, ``v`` is 1. Unknown members, other types and values out of
bounds are refused when a document is read and when a struct is read from JSON. Readers raise the errors of
``placet_protocol.errors``; ``iss`` and ``aud`` of the server are its public origin, those of a device its thumbprint.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from msgspec import Meta, Struct

from placet_protocol import jose
from placet_protocol.approval import (
    FIELDS_MAX,
    LABEL_MAX,
    MESSAGE_MAX,
    NAME_MAX,
    VALUE_MAX,
    Outcome,
    Reason,
    Verb,
    number_digits,
)
from placet_protocol.canonical import joined
from placet_protocol.errors import MalformedError, MismatchError, WrongAudienceError
from placet_protocol.strictjson import typed

ENROLL: Final = "enroll+jwt"
DEVICE: Final = "device+jwt"
REQUEST: Final = "approval-request+jwt"
DECISION: Final = "approval-decision+jwt"
RECEIPT: Final = "decision-receipt+jwt"

ENROLL_LIMIT: Final = 8_192
DECISION_LIMIT: Final = 4_096
REQUEST_LIMIT: Final = 65_536
RECEIPT_LIMIT: Final = 262_144
"""Longest documents in characters. 20 fields of four-byte characters make a request of some 40,000."""

Seconds = Annotated[int, Meta(ge=0, le=253_402_300_799)]
Counter = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Id = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z")]
Url = Annotated[str, Meta(min_length=1, max_length=2048)]
Origin = Annotated[str, Meta(min_length=1, max_length=300)]
Hash = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{43}\Z")]
"""32 bytes: a thumbprint or a SHA-256."""
Bytes16 = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{22}\Z")]
Point = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{87}\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
Line = Annotated[str, Meta(max_length=VALUE_MAX)]
Jws = Annotated[str, Meta(min_length=1, max_length=REQUEST_LIMIT)]


class Push(Struct, frozen=True, forbid_unknown_fields=True):
    """Where and to which key a device wants its messages: ``endpoint`` is ``embedded`` or an https URL."""

    endpoint: Url
    p256dh: Point
    auth: Bytes16

    def __post_init__(self) -> None:
        jose.public_key_from_bytes(jose.unb64u(self.p256dh))
        jose.unb64u(self.auth)
        if self.endpoint != "embedded" and not self.endpoint.startswith("https://"):
            raise MalformedError("a push endpoint is embedded or an https URL")


class Enroll(Struct, frozen=True, forbid_unknown_fields=True):
    """A device asks to become one: signed with the key that its header carries. ``tkn`` is the URI's one-time token."""

    aud: Origin
    eid: Id
    tkn: Hash
    name: Name
    platform: Name
    push: Push
    jti: Id
    iat: Seconds
    v: Literal[1] = 1


class Jwk(Struct, frozen=True, forbid_unknown_fields=True):
    """A public P-256 key."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: Hash
    y: Hash


class Confirmation(Struct, frozen=True, forbid_unknown_fields=True):
    """The device's key and its thumbprint (RFC 7800); make one with ``confirmation(public_key)``."""

    jkt: Hash
    jwk: Jwk

    def __post_init__(self) -> None:
        if jose.thumbprint(self.public_key()) != self.jkt:
            raise MismatchError("jkt is not the thumbprint of jwk")

    def public_key(self) -> EllipticCurvePublicKey:
        """The device's signing key; raises ``MalformedError`` when it is no point of the curve."""
        return jose.public_key_from_jwk(msgspec.to_builtins(self.jwk))


class DeviceCertificate(Struct, frozen=True, forbid_unknown_fields=True):
    """The server says whose device a key belongs to. ``salt`` (16 bytes) makes the check digits unpredictable."""

    iss: Origin
    did: Id
    sub: Id
    org: Id
    cnf: Confirmation
    eid: Id
    salt: Bytes16
    nbf: Seconds
    v: Literal[1] = 1


class RelyingParty(Struct, frozen=True, forbid_unknown_fields=True):
    """Which application asks."""

    id: Id
    name: Name


class Context(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the application says that the action began; each part may be unknown."""

    ip: Line | None = None
    place: Line | None = None
    agent: Line | None = None


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """One question, as the person sees it.

    ``non`` is 16 random bytes, ``hdh`` commits to the hidden details, ``num`` is ``none`` or ``entry:N``: the number
    itself is in no document.
    """

    iss: Origin
    rid: Id
    sub: Id
    rp: RelyingParty
    iat: Seconds
    exp: Seconds
    non: Bytes16
    msg: Annotated[str, Meta(min_length=1, max_length=MESSAGE_MAX)]
    vis: Annotated[
        tuple[tuple[Annotated[str, Meta(max_length=LABEL_MAX)], Line], ...],
        Meta(max_length=FIELDS_MAX),
    ]
    hdh: Hash
    ctx: Context
    num: str
    v: Literal[1] = 1

    def __post_init__(self) -> None:
        number_digits(self.num)
        if self.exp <= self.iat:
            raise MalformedError("a request ends after it begins")


class Decision(Struct, frozen=True, forbid_unknown_fields=True):
    """A person's answer, signed by the device: ``rqh`` is the SHA-256 of exactly the request that was shown.

    ``ctr`` grows with every answer of the device; ``num`` holds the typed digits when the request asks for them;
    ``uv`` is how the device knew its person; ``ui`` names the program.
    """

    iss: Hash
    aud: Origin
    jti: Id
    iat: Seconds
    ctr: Counter
    rid: Id
    non: Bytes16
    rqh: Hash
    dec: Verb
    rsn: Reason
    uv: Literal["none", "pin", "os"]
    ui: Annotated[str, Meta(max_length=NAME_MAX)]
    num: Annotated[str, Meta(pattern=r"\A[0-9]{2,6}\Z")] | None = None
    v: Literal[1] = 1

    def __post_init__(self) -> None:
        if (self.dec == "approve") != (self.rsn == "ok"):
            raise MalformedError("the reason of an approval is ok, that of a denial is another")


class Receipt(Struct, frozen=True, forbid_unknown_fields=True):
    """The server's proof of an outcome: the documents themselves, the hash of the audit leaf, and a salt.

    With ``salt`` the holder of the hidden details can show that they are the ones of ``hdh``.
    """

    iss: Origin
    rid: Id
    outcome: Outcome
    reason: Literal["ok", "declined", "mistake", "not_me", "wrong_number"]
    decided_at: Seconds
    request: Jws
    decision: Jws
    device: Jws
    leaf: Hash
    salt: Bytes16
    v: Literal[1] = 1


Document = Enroll | DeviceCertificate | Request | Decision | Receipt
_T = TypeVar("_T", bound=Struct)


def payload(document: Document) -> bytes:
    """The JSON bytes to sign; raises ``MalformedError`` when a value is out of bounds."""
    data = msgspec.json.encode(document)
    try:
        msgspec.json.decode(data, type=type(document))
    except msgspec.ValidationError as error:
        raise MalformedError(str(error)) from error
    return data


def confirmation(key: EllipticCurvePublicKey) -> Confirmation:
    """How a certificate names the key of its device."""
    return Confirmation(jose.thumbprint(key), Jwk(**jose.public_jwk(key)))


def read_enroll(document: str, *, aud: str, eid: str) -> tuple[Enroll, EllipticCurvePublicKey]:
    """An enrolment made for this server and this invitation, and the key that it proves to hold.

    The token is the caller's to compare.
    """
    embedded = jose.open_embedded(document, ENROLL, ENROLL_LIMIT)
    enroll = _typed(embedded.payload, Enroll)
    _meant(aud=(enroll.aud, aud), eid=(enroll.eid, eid))
    return enroll, embedded.public_key


def read_device_certificate(
    document: str, key: EllipticCurvePublicKey, *, iss: str | None
) -> DeviceCertificate:
    """A certificate by the server's key; ``iss`` None leaves the origin to the caller, here and below."""
    certificate = _typed(jose.open(document, key, DEVICE), DeviceCertificate)
    _meant(iss=(certificate.iss, iss))
    return certificate


def read_request(document: str, key: EllipticCurvePublicKey, *, iss: str | None) -> Request:
    """A question by the server's key. Its texts still go through ``text.visible`` before they are shown."""
    request = _typed(jose.open(document, key, REQUEST, REQUEST_LIMIT), Request)
    _meant(iss=(request.iss, iss))
    return request


def read_decision(document: str, key: EllipticCurvePublicKey, *, aud: str) -> Decision:
    """An answer by this device's key to this server; whether it fits its request is for ``belongs``."""
    decision = _typed(jose.open(document, key, DECISION, DECISION_LIMIT), Decision)
    _meant(aud=(decision.aud, aud), iss=(decision.iss, jose.kid_of(document, DECISION)))
    return decision


def read_receipt(document: str, key: EllipticCurvePublicKey, *, iss: str | None) -> Receipt:
    """A receipt by the server's key, its inner documents not yet read: ``receipt.verify`` does all of it."""
    receipt = _typed(jose.open(document, key, RECEIPT, RECEIPT_LIMIT), Receipt)
    _meant(iss=(receipt.iss, iss))
    return receipt


def request_hash(document: str) -> bytes:
    """SHA-256 of the ASCII bytes of a request exactly as it was received."""
    return hashlib.sha256(document.encode("ascii")).digest()


def check_code(eid: str, jkt: str, server_kid: str, salt: bytes) -> str:
    """The six digits that device and application show after an enrolment: they agree only if nobody stood between.

    First eight bytes of SHA-256 over the length-prefixed enrolment id, device thumbprint, server thumbprint and the
    certificate's 16 bytes of salt, as big-endian integer modulo 1,000,000.
    """
    digest = hashlib.sha256(joined([eid.encode(), jkt.encode(), server_kid.encode(), salt])).digest()
    return f"{int.from_bytes(digest[:8], 'big') % 1_000_000:06}"


def _typed(members: dict[str, Any], kind: type[_T]) -> _T:
    if "v" not in members:
        raise MalformedError("the version v is missing")
    return typed(members, kind)


def _meant(**pairs: tuple[str, str | None]) -> None:
    for name, (found, wanted) in pairs.items():
        if wanted is not None and found != wanted:
            raise WrongAudienceError(f"{name} names another one")
