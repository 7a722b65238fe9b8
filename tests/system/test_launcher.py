"""The launcher's children: one always waits, and takes another call only when the last has left nothing in it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from builder import forked, spans
from builder.errors import BadInputError, CanceledError, HostError
from builder.layers.copyjob import ContextSource
from builder.sandbox.launcher import Call, Launcher
from tests.support import calls


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    started = Launcher.start(("tests.support.calls",), user_namespace=False)
    yield started
    started.close()


def until_reused(launcher: Launcher, first: int) -> int:
    """The number of the child that has the next calls, once `first` has had time to clear up."""
    for _ in range(200):
        number = launcher.call(calls.clear_up, None).result()
        if number == first:
            break
        time.sleep(0.01)
    return number


def gone(pid: int) -> bool:
    for _ in range(500):
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            time.sleep(0.01)
            continue
        return True
    return False


def test_a_child_that_has_cleared_up_takes_another_call(launcher: Launcher) -> None:
    first = launcher.call(calls.clear_up, None).result()
    assert until_reused(launcher, first) == first


def test_a_call_says_how_far_it_is(launcher: Launcher, tmp_path: Path) -> None:
    heard: list[int] = []
    assert launcher.call(calls.move, None, 3, str(tmp_path / "mark")).result(heard.append) == "there"
    assert heard == [0, 1, 2]


def test_a_call_does_not_wait_for_who_does_not_listen(launcher: Launcher, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    call = launcher.call(calls.move, None, 20_000, str(mark))
    deadline = time.monotonic() + 30
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert mark.exists()
    assert call.result() == "there"


def test_a_child_that_ends_with_its_call_takes_none(launcher: Launcher) -> None:
    numbers = [launcher.call(calls.own_number, None).result() for _ in range(5)]
    assert len(set(numbers)) == 5


def test_a_child_that_leaves_a_process_takes_no_other_call(launcher: Launcher) -> None:
    first = launcher.call(calls.leave_a_process, None).result()
    assert gone(first)
    assert first not in {launcher.call(calls.clear_up, None).result() for _ in range(5)}


def test_a_child_that_cannot_clear_up_takes_no_other_call(launcher: Launcher) -> None:
    first = launcher.call(calls.fail_after_answering, None).result()
    assert gone(first)
    assert launcher.call(calls.clear_up, None).result() != first


def test_what_a_call_prints_ends_with_its_answer_whoever_was_forked_meanwhile(launcher: Launcher) -> None:
    # Each next call comes while the child before clears up, so that a new one is forked for it while the launcher
    # has the call's pipe open.
    running: list[Call[None]] = []
    for _ in range(6):
        reader, writer = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        running.append(launcher.call(calls.clear_up, (null, writer, writer), 0.3))
        os.close(writer)
        os.close(null)
        ended = threading.Event()
        said: list[bytes] = []

        def read(source: int, said: list[bytes] = said, ended: threading.Event = ended) -> None:
            with os.fdopen(source, "rb") as stream:
                said.append(stream.read())
            ended.set()

        threading.Thread(target=read, args=(reader,), daemon=True).start()
        assert ended.wait(20), "somebody holds the pipe open"
        assert said == [b"said"]
    for call in running:
        call.result()


def test_calls_at_once_each_have_a_child(launcher: Launcher) -> None:
    running = [launcher.call(calls.wait_for_signal, None) for _ in range(8)]
    assert len({call.pid for call in running}) == 8
    for call in running:
        call.signal(signal.SIGTERM)
    assert [call.result() for call in running] == [signal.SIGTERM] * 8


def test_a_signal_is_for_one_call(launcher: Launcher) -> None:
    call = launcher.call(calls.clear_up, None, 0.2)
    call.signal(signal.SIGTERM)  # it comes when nobody waits for it
    first = call.result()
    assert until_reused(launcher, first) == first
    assert launcher.call(calls.no_signal_waits, None).result()


def test_cancelling_does_not_disturb_the_clearing_up(launcher: Launcher, tmp_path: Path) -> None:
    call = launcher.call(calls.clear_up, None, 0.3, str(tmp_path / "mark"))
    time.sleep(0.1)
    call.cancel()
    with pytest.raises(CanceledError):
        call.result()
    launcher.close()
    assert (tmp_path / "mark").exists()


def test_what_clears_up_is_waited_for_at_the_end(tmp_path: Path) -> None:
    launcher = Launcher.start(("tests.support.calls",), user_namespace=False)
    launcher.call(calls.clear_up, None, 0.5, str(tmp_path / "mark")).result()
    launcher.close()
    assert (tmp_path / "mark").exists()


def test_an_answer_that_nobody_takes_does_not_hold_up_the_end() -> None:
    launcher = Launcher.start(("tests.support.calls",), user_namespace=False)
    call = launcher.call(calls.clear_up, None)
    time.sleep(0.2)
    launcher.close()
    assert call.result() > 0


def test_what_waits_does_first_what_it_is_told(launcher: Launcher, tmp_path: Path) -> None:
    launcher.warm(Path.touch, tmp_path / "ready")
    launcher.call(calls.own_number, None).result()
    assert (tmp_path / "ready").exists()


def test_a_child_that_was_killed_while_it_waited_is_replaced(launcher: Launcher) -> None:
    first = launcher.call(calls.clear_up, None).result()
    assert until_reused(launcher, first) == first
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    numbers = {launcher.call(calls.own_number, None).result() for _ in range(4)}
    assert len(numbers) == 4 and first not in numbers


def test_children_end_with_the_launcher() -> None:
    launcher = Launcher.start(("tests.support.calls",), user_namespace=False)
    running = [launcher.call(calls.wait_for_signal, None) for _ in range(3)]
    clearing = launcher.call(calls.clear_up, None).result()
    launcher.close()
    assert all(gone(pid) for pid in (*(call.pid for call in running), clearing))
    for call in running:
        with pytest.raises(HostError):
            call.result()


def test_where_the_time_of_a_call_went_comes_back_with_it(launcher: Launcher) -> None:
    assert launcher.call(calls.timed, None, False).result()  # nobody asked: nothing is recorded
    spans.begin()
    with spans.working_for(5):
        child = launcher.call(calls.timed, None, False).result()
    with pytest.raises(BadInputError):
        launcher.call(calls.timed, None, True).result()
    first, second = (found for found in spans.ended()[0] if found.phase == "diff")
    assert (first.phase, first.step, first.process) == ("diff", 5, child)
    assert (second.step, second.process == child) == (spans.WHOLE, False)


def test_children_that_die_while_they_wait_are_not_replaced_before_a_call_comes(
    launcher: Launcher, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    launcher.warm(calls.die, str(log))
    for _ in range(2):
        with pytest.raises(HostError):
            launcher.call(calls.own_number, None).result()
    assert log.read_text().count("died") <= 3


def test_what_was_made_ready_is_taken_away_before_the_launcher_has_ended(tmp_path: Path) -> None:
    started, log = Launcher.start(("tests.support.calls",), user_namespace=False), tmp_path / "log"
    started.warm(calls.make_ready, str(log))
    answered = started.call(calls.clear_up, None).result()
    ended = started.call(calls.own_number, None).result()
    started.close()
    assert {answered, ended} <= set(map(int, log.read_text().split()))


def test_nothing_waits_in_a_launcher_that_rests(launcher: Launcher, tmp_path: Path) -> None:
    log = tmp_path / "log"
    launcher.warm(calls.make_ready, str(log))
    answered = launcher.call(calls.clear_up, None, 0.2).result()
    launcher.rest()
    # The last one was clearing up.
    assert gone(answered)
    ended = log.read_text().split()
    assert str(answered) in ended
    later = launcher.call(calls.clear_up, None).result()
    assert str(later) not in ended


def test_what_was_made_ready_is_taken_away_from_what_lasts(launcher: Launcher, tmp_path: Path) -> None:
    log = tmp_path / "log"
    launcher.warm(calls.make_ready, str(log))
    number, gone_before = launcher.call(calls.last, None, str(log)).result()
    assert gone_before
    assert gone(number)
    assert log.read_text().split() == [str(number)]


def test_what_was_offered_before_it_was_forked_is_not_sent() -> None:
    value, later = calls.Unsent(), ContextSource("later", ())
    value.content = "there"
    forked.offer(value)
    launcher = Launcher.start(("tests.support.calls",), user_namespace=False)
    try:
        assert launcher.call(calls.content_of, None, value).result() == "there"
        forked.offer(later)
        assert launcher.call(calls.name_of, None, later).result() == "later"
    finally:
        launcher.close()


def test_work_of_one_handle_is_canceled_apart_from_that_of_another(launcher: Launcher) -> None:
    one, other = launcher.lent(), launcher.lent()
    call, beside = one.call(calls.wait_for_signal, None), other.call(calls.wait_for_signal, None)
    one.cancel()
    with pytest.raises(CanceledError):
        call.result()
    assert one.call(calls.own_number, None).result(), "it may still clear up"
    one.close()
    assert launcher.lives()
    beside.signal(signal.SIGTERM)
    assert beside.result() == signal.SIGTERM


def test_a_fresh_interpreter_is_started_where_nothing_may_be_forked() -> None:
    launcher = Launcher.start(("tests.support.calls",), user_namespace=False, fork=False)
    try:
        assert launcher.call(calls.own_number, None).result()
        assert Path(f"/proc/{launcher._pid}/cmdline").read_bytes().split(b"\0")[1] == b"-c"
    finally:
        launcher.close()


def test_a_value_nobody_waits_for_holds_no_one_up() -> None:
    started = Launcher.start(("tests.support.calls",), user_namespace=False)
    call = started.call(bytes, None, 10_000_000)
    while not call.ended():  # it answers, and cannot go on: so much does not fit into a socket
        time.sleep(0.01)
    closing = threading.Thread(target=started.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()
    call.leave()
