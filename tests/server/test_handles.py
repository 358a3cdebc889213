from __future__ import annotations

import pytest

from placet_server.domain.handles import canonical_email, canonical_phone
from placet_server.domain.refusals import RefusedError


@pytest.mark.parametrize(
    "phone",
    [
        "2079460000",
        "02079460000",
        "020 7946 0000",
        "(020) 7946-0000",
        "020.7946.0000",
        "+442079460000",
        "+44 20 7946 0000",
        "+44 (0)20 7946 0000",
        "00442079460000",
        "0044 (0) 20 7946 0000",
        "２０７９４６００００",
        "020\u20117946\u20110000",
        "020\u00a07946\u00a00000",
    ],
)
def test_otp_07_spellings_of_a_phone_are_one(phone: str) -> None:
    """A phone is one handle however it is written."""
    for country_code in (44, "44", "+44", "0044", " 44 "):
        assert canonical_phone(country_code, phone) == (44, "2079460000")


def test_the_leading_zero_of_an_italian_number_stays() -> None:
    """In country code 39 the zero belongs to the number; elsewhere one trunk zero goes."""
    assert canonical_phone(39, "06 1234 5678") == (39, "0612345678")
    assert canonical_phone(39, "+39 06 1234 5678") == (39, "0612345678")
    assert canonical_phone(1, "405-342-5699") == (1, "4053425699")


@pytest.mark.parametrize(
    ("country_code", "phone"),
    [
        (44, ""),
        (44, "123"),
        (44, "call me"),
        (44, "+49 30 1234567"),
        (44, "0" * 20),
        (44, "1" * 14),
        (44, "1" * 100),
        (44, "2079\r\n460000"),
        (44, "20794600;ext=1"),
        ("", "2079460000"),
        ("0", "2079460000"),
        ("4444", "2079460000"),
        ("x", "2079460000"),
        (-44, "2079460000"),
    ],
)
def test_what_is_no_phone_is_refused(country_code: int | str, phone: str) -> None:
    """Too short, too long, letters, another country, control characters: invalid_request."""
    with pytest.raises(RefusedError) as refused:
        canonical_phone(country_code, phone)
    assert refused.value.code == "invalid_request"


@pytest.mark.parametrize(
    "text",
    ["Ada@Example.com", " ada@example.com ", "ADA@EXAMPLE.COM.", "ａda@example.com"],
)
def test_otp_07_spellings_of_an_email_are_one(text: str) -> None:
    """Letter case, a trailing dot and compatibility characters do not make another address."""
    assert canonical_email(text) == "ada@example.com"


def test_an_international_domain_has_one_form() -> None:
    """Unicode and ASCII spelling of a domain are the same handle."""
    assert canonical_email("ada@Bücher.example") == canonical_email("ada@xn--bcher-kva.example")


@pytest.mark.parametrize(
    "domain", ["straße.example", "STRAẞE.example", "βόλος.example", "na\u200cme.example"]
)
def test_a_domain_that_two_standards_read_differently_is_not_guessed(domain: str) -> None:
    """What IDNA 2003 and 2008 take for two domains could be two people's; the ASCII form says which one is meant."""
    with pytest.raises(RefusedError, match="ASCII form"):
        canonical_email(f"ada@{domain}")
    assert canonical_email("ada@xn--strae-oqa.example") == "ada@xn--strae-oqa.example"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@localhost",
        "a da@example.com",
        "ada@exa mple.com",
        "ada@example.com\r\nBcc: x@y.example",
        "ada@-x.example",
        "ada@x..example",
        "a@b@c.example",
        "<ada@example.com>",
        ".ada@example.com",
        "a" * 65 + "@example.com",
        "ada@" + "x" * 64 + ".example",
        "ada@" + "x." * 200 + "example",
        "\udcff@example.com",
    ],
)
def test_what_is_no_email_is_refused(text: str) -> None:
    """Everything that is not one address with a domain: invalid_request."""
    with pytest.raises(RefusedError) as refused:
        canonical_email(text)
    assert refused.value.code == "invalid_request"
