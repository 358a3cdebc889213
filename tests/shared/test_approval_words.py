from __future__ import annotations

from typing import get_args

import pytest

from placet_protocol.approval import FINAL_STATES, Event, State, next_state, number_digits, outcome
from placet_protocol.errors import MalformedError


def test_dec_07_final_states_are_the_only_successors_of_pending() -> None:
    """Each event ends a pending request in its own final state."""
    ends = {next_state("pending", event) for event in get_args(Event)}
    assert ends == FINAL_STATES
    assert len(get_args(Event)) == len(FINAL_STATES)


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_dec_07_nothing_follows_a_final_state(state: State) -> None:
    """No event changes a request that has ended."""
    assert [next_state(state, event) for event in get_args(Event)] == [None] * 5


def test_num_03_a_wrong_number_denies() -> None:
    """An approval counts with the right number only; a denial never becomes an approval."""
    assert outcome("approve", number_ok=True) == "approved"
    assert outcome("approve", number_ok=False) == "denied"
    assert outcome("deny", number_ok=True) == "denied"
    assert outcome("deny", number_ok=False) == "denied"


@pytest.mark.parametrize(
    "mode", ["", "None", "entry", "entry:", "entry:0", "entry:10", "entry:3 ", "entry:\u0663"]
)
def test_num_01_other_modes_are_refused(mode: str) -> None:
    """Only none and entry:2 to entry:6 are number modes."""
    with pytest.raises(MalformedError):
        number_digits(mode)
