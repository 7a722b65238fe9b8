from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from builder.linux.started import began, process_began

_TICK = 10_000_000


@given(st.integers(0, 10**12), st.integers(0, 10**10), st.integers(0, 10**9), st.integers(0, _TICK - 1))
def test_the_beginning_is_within_the_tick_and_no_later_than_what_was_used_allows(
    begun: int, waited: int, used: int, fine: int
) -> None:
    true = begun * _TICK + fine
    guess = began(true + used + waited, used, begun * _TICK, _TICK)
    assert begun * _TICK <= guess <= begun * _TICK + _TICK
    assert guess <= true + waited
    if not waited:
        assert guess == true, "who did nothing but work knows it"


def test_this_process_began_before_now() -> None:
    assert 0 < process_began() <= time.monotonic_ns() - time.process_time_ns()
