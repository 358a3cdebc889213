"""What telephone numbers tell by their range, from the tables of phonenumbers (libphonenumber).

Only for display and policy: the tables change with every release, so no identity may depend on them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from placet_server.ports import PhoneInfo

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

_UNKNOWN: Final = PhoneInfo("unknown")


class NumberRanges:
    """A ``PhoneBook`` over the tables of the installed release; the first look loads them, in some tens of ms."""

    def info(self, address: str) -> PhoneInfo:
        """Type and carrier of an E.164 number, its region (ISO 3166), and how people write it internationally."""
        return _info(address)


@lru_cache(4096)
def _info(address: str) -> PhoneInfo:
    import phonenumbers  # a server that is never asked need not hold the tables
    from phonenumbers import carrier

    try:
        number = phonenumbers.parse(address)
    except phonenumbers.NumberParseException:
        return _UNKNOWN
    return PhoneInfo(
        _type(number),
        carrier.name_for_number(number, "en"),
        phonenumbers.region_code_for_number(number) or "",
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL),
    )


def _type(number: PhoneNumber) -> Literal["mobile", "landline", "voip", "unknown"]:
    from phonenumbers import PhoneNumberType, number_type

    found = number_type(number)
    if found == PhoneNumberType.MOBILE:
        return "mobile"
    if found == PhoneNumberType.VOIP:
        return "voip"
    return "landline" if found == PhoneNumberType.FIXED_LINE else "unknown"
