from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from builder import spans


@pytest.fixture
def recording() -> Iterator[None]:
    spans.begin()
    yield
    spans.ended()


def double(number: int) -> int:
    return 2 * number


def test_what_nobody_asked_for_is_not_recorded_and_makes_no_object() -> None:
    names = ["a", "b"]
    with spans.span("diff") as first, spans.span("tar", 3) as second:
        assert first is second
        first.note("bytes", 5)
        assert first.metered("hash", double) is double
        assert first.drawn("diff", names) is names
    assert spans.carried(double) is double
    assert spans.errand() is None
    spans.passed("command", 1, 2)
    assert not spans.recording()
    assert spans.ended()[0] == []


@pytest.mark.usefixtures("recording")
def test_a_span_has_its_step_its_place_and_its_numbers() -> None:
    with spans.working_for(7), spans.span("tar") as now:
        now.note("bytes", 5)
        now.note("bytes", 6)
        hashing = now.metered("hash", double)
        assert [hashing(n) for n in (1, 2)] == [2, 4]
        with spans.span("sync"):
            pass
    with spans.span("export"):
        pass
    sync, tar, export = spans.ended()[0]
    assert (sync.phase, tar.phase, export.phase) == ("sync", "tar", "export")
    assert (sync.step, tar.step, export.step) == (7, 7, spans.WHOLE)
    assert (tar.process, tar.thread) == (os.getpid(), threading.get_native_id())
    assert tar.start <= sync.start <= sync.end <= tar.end <= export.start
    assert tar.numbers == {"bytes": 11}
    assert 0 < tar.shares["hash"] <= tar.end - tar.start
    assert pickle.loads(pickle.dumps(tar)) == tar


@pytest.mark.usefixtures("recording")
def test_a_span_is_kept_when_what_it_is_around_fails() -> None:
    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError), spans.span("diff") as now:
        now.metered("hash", fail)()
    (found,) = spans.ended()[0]
    assert "hash" in found.shares
    assert found.numbers == {spans.FAILED: 1}


@pytest.mark.usefixtures("recording")
def test_another_thread_works_for_the_same_step_when_it_is_carried() -> None:
    def work() -> None:
        with spans.span("compress"):
            pass

    with spans.working_for(3):
        threads = [threading.Thread(target=work), threading.Thread(target=spans.carried(work))]
        for thread in threads:
            thread.start()
            thread.join()
    assert [found.step for found in spans.ended()[0]] == [spans.WHOLE, 3]


@pytest.mark.usefixtures("recording")
def test_many_threads_lose_no_span() -> None:
    def work() -> None:
        for _ in range(200):
            with spans.span("hash"):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(spans.ended()[0]) == 1600


@pytest.mark.usefixtures("recording")
def test_what_another_process_gathers_is_added() -> None:
    with spans.working_for(4):
        errand = spans.errand()

    def other() -> list[spans.Span]:
        spans.follow(errand)
        spans.passed("command", 10, 30)
        return spans.gathered()

    gathered = copy_context().run(other)
    assert spans.gathered() == []
    spans.follow(None)
    assert not spans.recording()
    spans.begin()
    spans.add(gathered)
    (found,) = spans.ended()[0]
    assert (found.step, found.start, found.end) == (4, 10, 30)
    spans.add(gathered)
    assert spans.ended()[0] == []


@pytest.mark.usefixtures("recording")
def test_what_is_metered_inside_is_not_counted_twice() -> None:
    def inner() -> None:
        time.sleep(0.02)

    with spans.span("tar") as now:
        compressing = now.metered("compress", inner)
        now.metered("hash", lambda: compressing())()
        assert list(now.drawn("diff", iter([1, None, 2]))) == [1, None, 2]
    (found,) = spans.ended()[0]
    assert found.shares["compress"] >= 20_000_000
    assert sum(found.shares.values()) <= found.end - found.start
    assert set(found.shares) == {"compress", "hash", "diff"}


def test_what_steps_are_is_kept_where_something_is_recorded() -> None:
    spans.vertices(["a"], [[]])
    assert spans.ended()[1] == spans.Vertices()
    spans.begin()
    spans.vertices(["a", "b"], [[], [0]])
    assert spans.ended()[1] == spans.Vertices(("a", "b"), ((), (0,)))
    spans.begin()
    assert spans.ended()[1] == spans.Vertices()
