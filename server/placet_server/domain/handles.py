"""One spelling for each phone number and e-mail address, so that a person is found again and limits cannot be dodged.

Version 1 of the rule; frozen, because the blind indexes of existing users depend on it. It is not a check that a
number exists: numbering plans change, identities must not.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from placet_server.domain.refusals import RefusedError

SEPARATORS: Final = str.maketrans("", "", " \t-.()/\u2010\u2012\u2013\u2014\u2015\u2212")
_COUNTRY: Final = re.compile(r"(?:\+|00)?([1-9][0-9]{0,2})", re.ASCII)
_LOCAL: Final = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Other letters in IDNA 2003, which Python speaks, and letters of their own in IDNA 2008: straße.de is not strasse.de.
_DEVIATING: Final = frozenset("ßς\u200c\u200d")
_ITALY: Final = 39  # the leading zero of a fixed line belongs to the number


def canonical_phone(country_code: str | int, phone: str) -> tuple[int, str]:
    """Country code and national digits.

    Strips separators, ``+`` or ``00`` with the country code where the number repeats it, and one trunk ``0`` (not for
    country code 39). Full-width and other Unicode digits count as digits. Raises ``invalid_request``.
    """
    match = _COUNTRY.fullmatch(unicodedata.normalize("NFKC", str(country_code)[:16]).strip())
    if match is None:
        raise RefusedError("invalid_request", "country_code has one to three digits, such as 44.")
    code_text = match[1]
    code = int(code_text)
    text = unicodedata.normalize("NFKC", phone[:65]).translate(SEPARATORS)
    digits = text.removeprefix("+")
    if len(phone) > 64 or not digits.isascii() or not digits.isdigit():
        raise RefusedError(
            "invalid_request", "phone may hold digits, spaces, dashes, dots and one leading + only."
        )
    if text.startswith(("+", "00")):
        digits = text[1:] if text.startswith("+") else text[2:]
        if not digits.startswith(code_text):
            raise RefusedError("invalid_request", "phone begins with another country code than country_code.")
        digits = digits[len(code_text) :]
    if code != _ITALY:
        digits = digits.removeprefix("0")
    if not 4 <= len(digits) <= 15 - len(code_text):
        raise RefusedError("invalid_request", "phone has too few or too many digits for a telephone number.")
    return code, digits


def canonical_email(text: str) -> str:
    """The address in lower case, its domain in IDNA ASCII form without a trailing dot; raises ``invalid_request``."""
    local, at, domain = unicodedata.normalize("NFKC", text[:321]).strip().lower().rpartition("@")
    if not _DEVIATING.isdisjoint(domain):
        raise RefusedError("invalid_request", "email: write its domain in its ASCII form, xn--….")
    try:
        ascii_domain = domain.removesuffix(".").encode("idna").decode("ascii")
    except UnicodeError:
        ascii_domain = ""
    labels = ascii_domain.split(".")
    good = (
        at == "@"
        and _LOCAL.fullmatch(local) is not None
        and len(local) <= 64
        and len(ascii_domain) <= 253
        and len(labels) > 1
        and all(_LABEL.fullmatch(label) for label in labels)
    )
    if not good:
        raise RefusedError("invalid_request", "email is not an address such as name@example.com.")
    return f"{local}@{ascii_domain}"
