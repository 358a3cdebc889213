from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet_server.domain.limits import LAST_DELAY_MS, RateLimit, Strain, delay
from placet_server.domain.policies import Policies
from placet_server.domain.refusals import RefusedError
from placet_server.testing import START


def _taken(limit: RateLimit, key: str, per_second: int, now: int, tries: int) -> int:
    for count in range(tries):
        try:
            limit.take(key, per_second, now)
        except RefusedError:
            return count
    return tries


def test_delays_double_from_half_a_minute_to_an_hour() -> None:
    """No delay below the free failures, then 30 s doubling, never above an hour however many failures."""
    assert [delay(failures, 5) // 1000 for failures in range(15)] == [
        *(0, 0, 0, 0, 0),
        *(30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600),
    ]
    assert delay(10**6, 5) == LAST_DELAY_MS


def test_a_strain_says_how_long_to_wait() -> None:
    """Nothing when it is over, the milliseconds while it lasts, None when no waiting helps."""
    policies = Policies()
    assert Strain.of(None, None) == Strain(0, 0)
    assert Strain(0, 0).wait(policies, START) == 0
    assert Strain(5, START + 30_000).wait(policies, START) == 30_000
    assert Strain(5, START + 30_000).wait(policies, START + 30_000) == 0
    assert Strain(100, 0).wait(policies, START) is None


@pytest.mark.parametrize("per_second", [1, 5, 50])
def test_dos_05_a_key_has_its_calls_per_second(per_second: int) -> None:
    """A burst of two seconds' worth at once, then the rate, counted apart for each key."""
    limit = RateLimit()
    assert _taken(limit, "a", per_second, START, 1000) == 2 * per_second
    assert _taken(limit, "b", per_second, START, 1000) == 2 * per_second
    assert _taken(limit, "a", per_second, START + 1000, 1000) == per_second
    assert _taken(limit, "a", per_second, START + 60_000, 1000) == 2 * per_second


def test_dos_05_a_refused_call_knows_when_to_come_back() -> None:
    """The refusal names a number of whole seconds after which the next call is taken."""
    limit = RateLimit()
    _taken(limit, "a", 1, START, 2)
    with pytest.raises(RefusedError) as refused:
        limit.take("a", 1, START)
    assert (refused.value.code, refused.value.retry_after) == ("rate_limited", 1)
    limit.take("a", 1, START + 1000)


def test_dos_05_memory_is_bounded() -> None:
    """However many keys call, only the last ones are remembered."""
    limit = RateLimit(keys=100)
    for number in range(10_000):
        limit.take(str(number), 1, START)
    assert len(limit._free_at) == 100


def test_tim_01_a_clock_set_back_locks_nobody_out() -> None:
    """After the clock went back a day a key waits no longer than a burst lasts."""
    limit = RateLimit()
    _taken(limit, "a", 1, START, 10)
    back = START - 86_400_000
    assert _taken(limit, "a", 1, back, 10) == 0
    assert _taken(limit, "a", 1, back + 2000, 10) == 2


@given(st.integers(1, 100), st.lists(st.integers(0, 500), max_size=200))
def test_dos_05_no_pattern_of_calls_gets_more(per_second: int, pauses: list[int]) -> None:
    """In any pattern of pauses (ms) a key gets at most the burst and the rate since its first call."""
    limit, now, count = RateLimit(), START, 0
    for pause in pauses:
        now += pause
        count += _taken(limit, "a", per_second, now, 1)
    assert count <= 2 * per_second + (now - START) * per_second / 1000 + 1
