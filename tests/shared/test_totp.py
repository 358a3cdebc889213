from __future__ import annotations

import base64

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet_protocol.totp import Algorithm, hotp, step

# RFC 4226 appendix D.
SECRET = b"12345678901234567890"
HOTP = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
# RFC 6238 appendix B: seconds since 1970, and the code by algorithm; each secret fills its hash's length.
TOTP = [
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]
SECRETS: dict[Algorithm, bytes] = {
    "SHA1": SECRET,
    "SHA256": (SECRET * 2)[:32],
    "SHA512": (SECRET * 4)[:64],
}


@pytest.mark.parametrize(("counter", "code"), list(enumerate(HOTP)))
def test_tot_01_the_codes_of_rfc_4226(counter: int, code: str) -> None:
    """Appendix D: ten counters, ten codes."""
    assert hotp(SECRET, counter) == code


@pytest.mark.parametrize("row", TOTP, ids=lambda row: str(row[0]))
def test_tot_01_the_codes_of_rfc_6238(row: tuple[int, str, str, str]) -> None:
    """Appendix B: six dates, three algorithms, eight digits."""
    seconds, *codes = row
    for (algorithm, secret), code in zip(SECRETS.items(), codes, strict=True):
        assert hotp(secret, step(seconds * 1000), 8, algorithm) == code


@given(st.binary(min_size=14, max_size=40), st.integers(0, 2**40), st.sampled_from([6, 7, 8]))
def test_pyotp_makes_the_same_codes(secret: bytes, counter: int, digits: int) -> None:
    """An independent implementation agrees, leading zeros included."""
    other = pyotp.HOTP(base64.b32encode(secret).decode(), digits=digits)
    assert hotp(secret, counter, digits) == other.at(counter)


@pytest.mark.parametrize(
    ("now", "period", "expected"), [(0, 30, 0), (29_999, 30, 0), (30_000, 30, 1), (60_000, 60, 1)]
)
def test_a_step_begins_on_its_millisecond(now: int, period: int, expected: int) -> None:
    """Steps are counted from 1970 in whole periods."""
    assert step(now, period) == expected
