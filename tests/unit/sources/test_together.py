"""Work that ends together: results in order, the first failure, and nothing that is waited for in vain."""

from __future__ import annotations

import threading

import pytest

from builder.errors import BadInputError, CanceledError
from builder.sandbox.launcher import Call
from builder.sources.together import Together


def test_results_come_in_order_from_no_more_threads_than_allowed() -> None:
    most = 3
    running: set[int] = set()
    seen: list[int] = []
    turn = threading.Barrier(most)

    def work(number: int) -> int:
        running.add(number)
        turn.wait(30)  # all of them are at it
        seen.append(len(running))
        turn.wait(30)
        running.discard(number)
        return number * 2

    assert Together().each(work, range(9), most) == [number * 2 for number in range(9)]
    assert max(seen) == most


def test_the_first_failure_is_raised_and_nothing_new_is_begun() -> None:
    together = Together()
    waiting = threading.Event()
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise BadInputError("first")
        waiting.wait(30)
        raise BadInputError("later")

    with pytest.raises(BadInputError, match="first"):
        together.each(work, range(5), 2)
    assert together.canceled
    assert 4 not in begun
    waiting.set()


def test_nothing_to_do() -> None:
    assert Together().each(str, (), 4) == []


def test_a_call_that_comes_when_all_is_canceled_is_not_begun() -> None:
    """Nobody would wait until it has cleared up."""
    together = Together()
    together.cancel()
    begun: list[int] = []

    def begin() -> Call[None]:
        begun.append(1)
        raise AssertionError("begun")

    with pytest.raises(CanceledError), together.holding(begin):
        pass
    assert not begun
