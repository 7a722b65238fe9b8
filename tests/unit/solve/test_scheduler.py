from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from builder.errors import CanceledError
from builder.solve import scheduler
from builder.stopping import Stop


class Toy:
    """Vertices that count how they are called."""

    def __init__(self, cached: set[int] = frozenset(), fail: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        self.cached, self.fail = cached, fail
        self.looked: list[int] = []
        self.ran: list[int] = []
        self.prepared = 0
        self.most = self.now = 0
        self.canceled = threading.Event()
        self._lock = threading.Lock()
        self.begun: Callable[[], object] = lambda: None
        self.meet: threading.Barrier | None = None

    def lookup(self, vertex: int) -> bool:
        self.looked.append(vertex)
        return vertex in self.cached

    def prepare(self) -> None:
        assert threading.active_count() == 1
        self.prepared += 1

    def execute(self, vertex: int) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            if self.meet is not None and vertex in (1, 2):
                self.meet.wait(10)
            if vertex in self.fail:
                raise ValueError(vertex)
            self.begun()
            if vertex == 9 and self.canceled.wait(10):
                raise CanceledError("canceled")
            self.ran.append(vertex)
        finally:
            with self._lock:
                self.now -= 1

    def cancel(self, error: BaseException) -> None:
        self.canceled.set()


DIAMOND = [[], [0], [0], [1, 2]]


def test_inputs_come_first_and_each_vertex_once() -> None:
    toy = Toy()
    scheduler.run(DIAMOND, [0, 1, 2, 3], toy, 4)
    assert toy.ran[0] == 0
    assert toy.ran[-1] == 3
    assert sorted(toy.ran) == sorted(toy.looked) == [0, 1, 2, 3]
    assert toy.prepared == 1


def test_what_is_cached_starts_no_thread() -> None:
    toy = Toy(cached={0, 1, 2, 3})
    scheduler.run(DIAMOND, [0, 1, 2, 3], toy, 4)
    assert (toy.ran, toy.prepared) == ([], 0)


def test_independent_vertices_run_at_once() -> None:
    toy = Toy()
    toy.meet = threading.Barrier(2)  # broken, and so failing, when they do not
    scheduler.run(DIAMOND, [0, 1, 2, 3], toy, 2)
    assert toy.most == 2


def test_no_more_at_once_than_allowed() -> None:
    toy = Toy()
    scheduler.run([[], [], [], [], []], [0, 1, 2, 3, 4], toy, 1)
    assert toy.most == 1


def test_only_what_is_needed() -> None:
    toy = Toy()
    scheduler.run(DIAMOND, [0, 1], toy, 4)
    assert sorted(toy.looked) == [0, 1]


def test_the_first_failure_stops_everything() -> None:
    toy = Toy(fail={0})
    inputs: list[list[int]] = [[] for _ in range(10)] + [[0]]
    with pytest.raises(ValueError, match="0"):
        scheduler.run(inputs, [0, 9, 10], toy, 2)
    assert toy.canceled.is_set()
    assert 10 not in toy.looked
    assert toy.now == 0


def test_a_keyboard_interrupt_cancels_what_runs() -> None:
    toy = Toy()
    main = threading.main_thread().ident
    assert main is not None
    toy.begun = lambda: signal.pthread_kill(main, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        scheduler.run([[] for _ in range(10)], [9], toy, 2)
    assert toy.canceled.is_set()
    assert toy.now == 0


def test_another_thread_can_stop_it() -> None:
    toy, stop = Toy(), Stop()
    toy.begun = stop.ask
    with pytest.raises(CanceledError):
        scheduler.run([[]] * 10, [9], toy, 4, stop)
    assert toy.canceled.is_set()
    assert toy.ran == []


def test_what_was_stopped_before_does_not_begin() -> None:
    toy, stop = Toy(), Stop()
    stop.ask()
    with pytest.raises(CanceledError):
        scheduler.run(DIAMOND, [0, 1, 2, 3], toy, 4, stop)
    assert toy.looked == []
