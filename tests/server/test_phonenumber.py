from __future__ import annotations

import subprocess
import sys

import pytest

from placet_server.phonenumber import NumberRanges
from placet_server.ports import PhoneInfo


@pytest.mark.parametrize(
    ("address", "kind", "region", "display"),
    [
        ("+34600000000", "mobile", "ES", "+34 600 00 00 00"),
        ("+442079460958", "landline", "GB", "+44 20 7946 0958"),
        ("+12015550123", "unknown", "US", "+1 201-555-0123"),
        ("+33901020304", "voip", "FR", "+33 9 01 02 03 04"),
    ],
)
def test_a_number_tells_type_region_and_spelling(address: str, kind: str, region: str, display: str) -> None:
    """Mobiles, landlines and internet lines are told apart where the numbering plan does; else the type is unknown."""
    info = NumberRanges().info(address)
    assert (info.type, info.region, info.display) == (kind, region, display)


def test_a_range_tells_its_first_carrier() -> None:
    """The carrier is the one to whom the range was given, '' where ranges have none."""
    assert NumberRanges().info("+34600000000").carrier == "Vodafone"
    assert NumberRanges().info("+442079460958").carrier == ""


@pytest.mark.parametrize("address", ["", "+", "+999123", "ana@example.org", "+1" + "9" * 40])
def test_what_is_no_number_is_unknown(address: str) -> None:
    """Nothing that is asked fails."""
    assert NumberRanges().info(address) == PhoneInfo("unknown")


def test_the_tables_are_loaded_when_asked_for() -> None:
    """A server that nobody asks about a number holds no tables."""
    program = "import sys, placet_server.phonenumber; print('phonenumbers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
