"""Who gets a code or a message, as applications name them: a telephone number, an e-mail address, or a user."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Final

from msgspec import Meta, Struct

from placet_server.domain import destinations
from placet_server.domain.destinations import Destination
from placet_server.domain.refusals import RefusedError
from placet_server.domain.verified import PURPOSE
from placet_server.web.native_users import TfaId
from placet_server.web.wire import shown

PURPOSE_MAX: Final = 64
_VERIFICATION: Final = PURPOSE.removeprefix("\0")

Phone = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=40,
        description="With its country code, such as +44 7700 900123, unless country_code is given.",
    ),
]
CountryCode = Annotated[int, Meta(ge=1, le=9999)] | Annotated[str, Meta(min_length=1, max_length=8)]
Email = Annotated[str, Meta(min_length=3, max_length=254)]
Purpose = Annotated[
    str,
    Meta(
        min_length=1, max_length=PURPOSE_MAX, description="What the code is for; it is good for nothing else."
    ),
]
Ip = Annotated[
    str, Meta(min_length=2, max_length=45, description="Address of the person's session, as you know it.")
]
Secret = Annotated[str, Meta(pattern="^[!-~]{1,64}$", description="What the person typed.")]


class NumberBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A telephone number."""

    phone: Phone
    country_code: CountryCode | None = None

    def destination(self) -> Destination:
        """The number in its one spelling; raises ``invalid_destination``."""
        return destinations.phone(self.phone, self.country_code)


class RecipientBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Exactly one of ``phone``, ``email`` and ``tfa_id``; ``country_code`` goes with ``phone``."""

    phone: Phone | None = None
    country_code: CountryCode | None = None
    email: Email | None = None
    tfa_id: TfaId | None = None

    def destination(self) -> Destination | None:
        """The number or address in its one spelling, None when a user is named.

        Raises ``invalid_destination``, and ``invalid_request`` when there is nobody or more than one.
        """
        if [self.phone, self.email, self.tfa_id].count(None) != 2:
            raise RefusedError("invalid_request", "Name exactly one of phone, email and tfa_id.")
        return self.perhaps()

    def perhaps(self) -> Destination | None:
        """As ``destination``, but nobody may be named."""
        if [self.phone, self.email, self.tfa_id].count(None) < 2:
            raise RefusedError("invalid_request", "Name only one of phone, email and tfa_id.")
        if self.country_code is not None and self.phone is None:
            raise RefusedError("invalid_request", "country_code goes with phone.")
        if self.phone is not None:
            return destinations.phone(self.phone, self.country_code)
        return None if self.email is None else destinations.email(self.email)


def purpose_of(text: str | None) -> str:
    """What a code is for in one spelling, "" for nothing in particular.

    Raises ``invalid_text``, and ``invalid_request`` for the name under which codes of phone verifications are shown.
    """
    purpose = "" if text is None else shown("purpose", text, PURPOSE_MAX)
    if purpose == _VERIFICATION:
        raise RefusedError("invalid_request", f"purpose: {purpose!r} is that of /v1/phone_verifications.")
    return purpose


def ip_of(text: str | None) -> str | None:
    """An IPv4 or IPv6 address in its shortest spelling; raises ``invalid_request``."""
    if text is None:
        return None
    try:
        return str(ip_address(text))
    except ValueError:
        raise RefusedError("invalid_request", "recipient_ip is no IPv4 or IPv6 address.") from None
