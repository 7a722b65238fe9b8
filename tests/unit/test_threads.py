"""Threads that end together: turns are kept, failures come up, and none is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from builder.threads import Beside, InTurn


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_what_is_done_in_turn_comes_in_turn() -> None:
    """The first takes longest, and others are done beside it."""
    seen: set[int] = set()

    def work(number: int) -> int:
        if number == 0:
            while len(seen) < 2:
                time.sleep(0.001)
        seen.add(number)
        return number

    turns = InTurn(lambda: work, 2)
    came = [done for number in range(10) for done in turns.put(number)]
    assert [*came, *turns.end()] == list(range(10))


def test_a_failure_in_turn_comes_up_where_it_is_taken() -> None:
    turns: InTurn[int, float] = InTurn(lambda: lambda number: 1 / number, 1)
    assert list(turns.put(0)) == []
    with pytest.raises(ZeroDivisionError):
        list(turns.end())
    turns.stop()


def test_one_thing_needs_no_thread() -> None:
    done: list[int] = []
    before = threading.active_count()
    beside = Beside(done.append, 2)
    beside.put(1)
    assert threading.active_count() == before
    beside.end()
    assert done == [1]


def test_all_is_done_beside_in_order() -> None:
    done: list[int] = []
    beside = Beside(done.append, 2)
    for number in range(50):
        beside.put(number)
    beside.end()
    assert done == list(range(50))


def test_a_failure_beside_comes_up_and_nothing_more_is_done() -> None:
    done: list[float] = []
    beside: Beside[int] = Beside(lambda number: done.append(1 / number), 1)
    with pytest.raises(ZeroDivisionError):
        for number in (1, 0, *range(1, 100)):
            beside.put(number)
    with pytest.raises(ZeroDivisionError):
        beside.end()
    assert done == [1.0]


def test_what_is_stopped_is_left() -> None:
    held, done = threading.Event(), list[int]()

    def work(number: int) -> None:
        held.wait()
        done.append(number)

    beside: Beside[int] = Beside(work, 4)
    for number in range(4):
        beside.put(number)
    timer = threading.Timer(0.05, held.set)
    timer.start()
    beside.stop()
    timer.join()
    assert len(done) <= 1
