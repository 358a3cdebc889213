"""The frozen values that the core's operations take and give. Times are milliseconds UTC, ids are text."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct

from placet_server.domain.policies import Policies

Scope = Literal["approvals", "users", "codes", "devices:admin", "log:read", "admin"]
ApprovalStatus = Literal["pending", "approved", "denied", "expired", "cancelled", "superseded"]
FINAL_STATES: Final = frozenset({"approved", "denied", "expired", "cancelled", "superseded"})
DeviceStatus = Literal["pending", "active", "revoked"]
EnrollmentStatus = Literal["open", "redeemed", "confirmed", "void", "expired"]
TokenStatus = Literal["pending", "confirmed"]
Verification = Literal["matched", "mismatch", "used", "throttled", "no_token"]


class Webhook(Struct, frozen=True):
    """An endpoint that wants to know.

    ``secret`` is the ``whsec_`` text that signs for it, None when what is kept of it does not open: nothing is sent then.
    Nothing is sent to one that is not ``active``, either: it answered that it wants no more.
    """

    id: str
    application: str
    url: str
    secret: str | None
    created_at: int
    active: bool = True


class Application(Struct, frozen=True):
    """A relying application with its policies and active webhook endpoints.

    ``secret`` is the ``whsec_`` text that signs what goes to the callback URLs of its requests, None when what is kept of
    it does not open, or the application was removed.
    """

    id: str
    org: str
    name: str
    policies: Policies
    webhooks: tuple[Webhook, ...]
    created_at: int
    secret: str | None = None


class Caller(Struct, frozen=True):
    """Who is calling: an application by one of its keys.

    ``face`` is the dialect that the key opens; ``settings`` are the credential's own options and switches on that face;
    ``key`` names the secret that was presented; ``price`` is what a send costs in 1/10,000, None where nothing is counted;
    ``networks`` are those from which the credential may be used, () for any.
    """

    application: Application
    credential: str
    scopes: frozenset[str]
    face: str = "native"
    settings: dict[str, Any] = {}
    key: str = ""
    price: int | None = None
    networks: tuple[str, ...] = ()

    @property
    def org(self) -> str:
        """The organization whose users this caller may see."""
        return self.application.org


class UserRef(Struct, frozen=True):
    """A person as questions and codes need them, without personal data.

    ``devices`` is how many can answer for them, as of the reading; ``confirmed`` once any factor succeeded.
    """

    id: str
    org: str
    tfa_id: int
    devices: int
    confirmed: bool


class User(UserRef, frozen=True):
    """A person who can be asked.

    ``country_code`` and ``phone`` are canonical digits.
    """

    created_at: int
    name: str | None = None
    country_code: int | None = None
    phone: str | None = None
    emails: tuple[str, ...] = ()


class Device(Struct, frozen=True):
    """A person's authenticator.

    ``endpoint`` is ``embedded`` or the URL of a push service; ``p256dh`` (65 bytes) and ``auth`` (16 bytes) are its
    push keys.
    """

    id: str
    org: str
    user_id: str
    jkt: str
    public_key: bytes
    status: DeviceStatus
    ctr: int
    certificate: str
    name: str
    platform: str
    endpoint: str
    p256dh: bytes
    auth: bytes
    created_at: int
    revoked_at: int | None = None


class Enrollment(Struct, frozen=True):
    """One invitation for one device. ``uri`` holds the one-time token and exists only in the answer that made it."""

    id: str
    user_id: str
    status: EnrollmentStatus
    created_at: int
    expires_at: int
    device: str | None = None
    uri: str | None = None


class Redeemed(Struct, frozen=True):
    """What a device gets for a good enrolment document.

    Its certificate and, when policy gives one, the sealed otpauth URI of its soft token.
    """

    device: Device
    certificate: str
    sealed: bytes | None


class ApprovalDraft(Struct, frozen=True):
    """A question as an application asks it, already clean text within limits.

    ``visible`` keeps order; ``number`` is ``none`` or ``entry:N``; ``ttl`` is in seconds; ``webhook_url`` gets this
    request's events beside the application's endpoints; ``callback_credential`` is the face credential whose own callback
    hears of its end.
    """

    message: str
    ttl: int
    number: str
    visible: tuple[tuple[str, str], ...] = ()
    hidden: dict[str, Any] = {}
    ip: str | None = None
    place: str | None = None
    agent: str | None = None
    logos: tuple[tuple[str, str], ...] = ()
    callback_url: str | None = None
    supersede: bool = False
    callback_credential: str | None = None


class Approval(Struct, frozen=True):
    """One question and what became of it. ``status`` is as of the time it was read at."""

    id: str
    org: str
    application: str
    user_id: str
    tfa_id: int
    status: ApprovalStatus
    reason: str | None
    created_at: int
    expires_at: int
    decided_at: int | None
    device: str | None
    seen_at: int | None
    draft: ApprovalDraft


class Created(Struct, frozen=True):
    """A new question; ``number`` is what the application shows to the person, in this answer only."""

    approval: Approval
    number: str | None
    devices: int


class Decided(Struct, frozen=True):
    """The state that a decision led to; ``repeated`` when the same document had been taken before."""

    approval: str
    status: ApprovalStatus
    reason: str | None
    decided_at: int
    repeated: bool = False


class SoftToken(Struct, frozen=True):
    """A TOTP secret of a user, without the secret."""

    id: str
    user_id: str
    name: str
    status: TokenStatus
    created_at: int


class NewSoftToken(Struct, frozen=True):
    """A new soft token; ``uri`` holds the secret and exists only in this value."""

    token: SoftToken
    uri: str


class Page(Struct, frozen=True):
    """``items`` of a list; ``next`` is the cursor after which the next page starts, None at the end."""

    items: tuple[Any, ...]
    next: str | None
