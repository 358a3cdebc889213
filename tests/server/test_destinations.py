from __future__ import annotations

import pytest

from placet_server.domain import destinations
from placet_server.domain.destinations import Destination, masked
from placet_server.domain.refusals import RefusedError
from placet_server.domain.values import User

SPELLINGS = [
    "+447700900123",
    "00447700900123",
    "447700900123",
    "+44 7700 900123",
    "+44 (0) 7700 900123",
    "+44-7700-900-123",
    "+44.7700.900.123",
    "+44/7700/900123",
    " +44 7700 900123 ",
    "+44\u00a07700\u00a0900\u00a0123",
    "+44\u20117700\u2013900123",
    "\uff0b\uff14\uff14\uff17\uff17\uff10\uff10\uff19\uff10\uff10\uff11\uff12\uff13",
    "+4407700900123",
    "004407700900123",
    "4407700900123",
    "+44\u20097700\u2009900123",
    "(+44)7700900123",
    "+44 77 00 90 01 23",
    "0044 (0)7700-900 123",
    "+44\t7700\t900123",
]
ADDRESSES = [
    "Ada@Example.org",
    "ada@example.org.",
    " ada@EXAMPLE.ORG ",
    "\uff41\uff44\uff41@example.org",
    "ada@ex\uff41mple.org",
]


def _refused(text: str, country_code: str | None = None) -> bool:
    try:
        destinations.phone(text, country_code)
    except RefusedError as error:
        return error.code == "invalid_destination"
    return False


@pytest.mark.parametrize("text", SPELLINGS)
def test_otp_07_twenty_spellings_are_one_number(text: str) -> None:
    """Whatever dress a number wears it is the same destination."""
    assert destinations.phone(text) == Destination("phone", "+447700900123")


@pytest.mark.parametrize("text", ["7700900123", "07700 900123", "+44 7700 900123", "00447700900123"])
def test_a_country_code_beside_the_number_gives_the_same(text: str) -> None:
    """National and international spellings beside a country code meet the international one alone."""
    assert destinations.phone(text, "44") == destinations.phone("+447700900123")


@pytest.mark.parametrize("text", ADDRESSES)
def test_otp_07_spellings_of_an_address_are_one(text: str) -> None:
    """Letter case, width and a trailing dot make no other e-mail address."""
    assert destinations.email(text) == Destination("email", "ada@example.org")


@pytest.mark.parametrize(
    ("text", "country", "national"),
    [
        ("+12015550123", 1, "2015550123"),
        ("+79161234567", 7, "9161234567"),
        ("+34600000000", 34, "600000000"),
        ("+35812345678", 358, "12345678"),
        ("+390612345678", 39, "0612345678"),
        ("+8801712345678", 880, "1712345678"),
    ],
)
def test_a_country_code_ends_where_the_plan_says(text: str, country: int, national: str) -> None:
    """One, two and three digits of country code are told apart without looking at the number."""
    found = destinations.phone(text)
    assert (found.country, found.national) == (country, national)
    assert found.prefix == text[:-4]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "0",
        "0612345678",
        "+289123456",
        "+899123456",
        "+34",
        "+3412",
        "+341234567890123456",
        "abc",
        "+34600000000x12",
        "+34 600 000 000\n+34 1",
        "+34600\x00000",
        "ana@example.org",
        "9" * 500,
        "+34\u200b600000000",
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    """Too short, too long, without a country code, or with anything between: no destination."""
    assert _refused(text)


@pytest.mark.parametrize(
    "text", ["", "@", "ana", "ana@localhost", "a b@example.org", "ana@example.org, x@y.zz", "a\r\nb@c.de"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """No list, no line end, no host alone gets into an address."""
    with pytest.raises(RefusedError) as refused:
        destinations.email(text)
    assert refused.value.code == "invalid_destination"


@pytest.mark.parametrize(
    ("text", "dialled"),
    [
        ("+225 07 12 34 56 78", "+2250712345678"),
        ("+2250712345678", "+2250712345678"),
        ("+24101234567", "+24101234567"),
        ("+44 7700 900123", "+447700900123"),
        ("+39 06 1234 5678", "+390612345678"),
    ],
)
def test_a_zero_that_belongs_to_the_number_is_dialled(text: str, dialled: str) -> None:
    """Identity drops the leading zero, the gateway gets it back where it is dialled from abroad."""
    assert destinations.phone(text).dialled == dialled


def test_lists_show_little_of_a_destination() -> None:
    """Masked, a number keeps country and two digits, an address one letter and its domain."""
    assert masked(destinations.phone("+34600000012")) == "+34*******12"
    assert masked(destinations.email("ada.lovelace@example.org")) == "a***@example.org"


def test_a_user_is_reached_by_what_they_have() -> None:
    """A user's number or first address is their destination, None where there is none."""
    user = User("id", "default", 1, 0, False, 0, None, 44, "7700900123", ("ada@example.org", "b@example.org"))
    assert destinations.of_user(user, "phone") == Destination("phone", "+447700900123")
    assert destinations.of_user(user, "email") == Destination("email", "ada@example.org")
    nobody = User("id", "default", 1, 0, False, 0)
    assert destinations.of_user(nobody, "phone") is None
    assert destinations.of_user(nobody, "email") is None
