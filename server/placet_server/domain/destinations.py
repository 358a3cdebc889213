"""Where a code or message goes: one spelling for each telephone number and e-mail address.

All limits are counted under this spelling, so a number written in another dress is no other number.
"""

from __future__ import annotations

import unicodedata
from typing import Final, Literal

from msgspec import Struct

from placet_server.domain.handles import SEPARATORS, canonical_email, canonical_phone
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import User

Kind = Literal["phone", "email"]

# ITU-T E.164 country codes as of 2024. One digit: zones 1 and 7; these have two; all others have three and begin with
# one of the pairs below. The table only says where a country code ends, so it need not know who holds one.
_TWO: Final = frozenset(
    "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86"  # noqa: SIM905 - a table of forty short words
    " 90 91 92 93 94 95 98".split()
)
_THREE: Final = frozenset(
    "21 22 23 24 25 26 29 35 37 38 42 50 59 67 68 69 80 85 87 88 96 97 99".split()  # noqa: SIM905 - as above
)
# Countries where the leading 0 is dialled from abroad, too, by the length of a number without it: identities drop the
# zero everywhere but in Italy, and a rule for identities must never change.
_ZERO_DIALLED: Final = {"225": 9, "229": 9, "241": 7, "242": 8}
_SHOWN: Final = 2
_SHORTEST: Final = 4
_DIGITS_MAX: Final = 15


class Destination(Struct, frozen=True, gc=False):
    """A telephone number in E.164 form (``+34600000000``), or an e-mail address in lower case with an ASCII domain."""

    kind: Kind
    address: str

    @property
    def country(self) -> int:
        """The country code of a number, 0 for an e-mail address."""
        return int(_country(self.address[1:]) or 0) if self.kind == "phone" else 0

    @property
    def national(self) -> str:
        """The digits of a number behind its country code."""
        return self.address[1 + len(_country(self.address[1:])) :]

    @property
    def prefix(self) -> str:
        """The number without its last four digits: what belongs to one block of ten thousand neighbours."""
        return self.address[:-4]

    @property
    def dialled(self) -> str:
        """What a gateway gets: the address, with a leading 0 of the number where it is dialled from abroad."""
        code = _country(self.address[1:]) if self.kind == "phone" else ""
        if code in _ZERO_DIALLED and len(self.national) == _ZERO_DIALLED[code]:
            return f"+{code}0{self.national}"
        return self.address


def phone(text: str, country_code: str | int | None = None) -> Destination:
    """A number in any international spelling; without ``country_code`` its first digits are the country code.

    ``+`` or ``00``, separators, full-width digits and one trunk ``0`` behind the country code make no difference.
    Raises ``invalid_destination``.
    """
    if country_code is None:
        country_code, text = _split(text)
        if not text.startswith("0") and _SHORTEST <= len(text) <= _DIGITS_MAX - len(country_code):
            # As canonical_phone would say, in half the time.
            return Destination("phone", f"+{country_code}{text}")
    try:
        code, national = canonical_phone(country_code, text)
    except RefusedError as error:
        raise RefusedError("invalid_destination", error.detail) from None
    if not _country(str(code)) == str(code):
        raise RefusedError("invalid_destination", f"There is no country code {code}.")
    return Destination("phone", f"+{code}{national}")


def email(text: str) -> Destination:
    """An e-mail address; letter case and the spelling of an international domain make no difference.

    Raises ``invalid_destination``.
    """
    try:
        return Destination("email", canonical_email(text))
    except RefusedError as error:
        raise RefusedError("invalid_destination", error.detail) from None


def of_user(user: User, kind: Kind) -> Destination | None:
    """The number or the first address of a user, or None."""
    if kind == "email":
        return Destination("email", user.emails[0]) if user.emails else None
    return None if user.phone is None else Destination("phone", f"+{user.country_code}{user.phone}")


def masked(destination: Destination) -> str:
    """What lists and logs show: the country code and the last two digits, or the first letter and the domain."""
    if destination.kind == "email":
        local, _, domain = destination.address.rpartition("@")
        return f"{local[:1]}***@{domain}"
    code = _country(destination.address[1:])
    national = destination.address[1 + len(code) :]
    return f"+{code}{'*' * (len(national) - _SHOWN)}{national[-_SHOWN:]}"


def _split(text: str) -> tuple[str, str]:
    """Country code and the rest of a number in international spelling."""
    plain = unicodedata.normalize("NFKC", text[:65]).translate(SEPARATORS)
    digits = plain.removeprefix("+") if plain.startswith("+") else plain.removeprefix("00")
    if not digits.isascii() or not digits.isdigit() or len(text) > 64 or len(digits) > _DIGITS_MAX + 1:
        raise RefusedError(
            "invalid_destination", "A number holds its country code and digits, such as +44 7700 900123."
        )
    code = _country(digits)
    if not code:
        raise RefusedError(
            "invalid_destination", "A number begins with its country code, such as +44 7700 900123."
        )
    return code, digits[len(code) :]


def _country(digits: str) -> str:
    """The country code with which these digits begin, or nothing."""
    if digits[:1] in {"1", "7"}:
        return digits[:1]
    if digits[:2] in _TWO:
        return digits[:2]
    return digits[:3] if digits[:2] in _THREE and len(digits) > 2 else ""
