"""Work that children share."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from builder import forked


def _where(text: str) -> bytes:
    return f"{text} {os.getpid()}".encode()


def test_all_is_done_and_in_order() -> None:
    found = [each.decode().split() for each in forked.each(_where, ["a", "b", "c"])]
    assert [text for text, _ in found] == ["a", "b", "c"]
    assert found[0][1] == str(os.getpid())
    assert len({pid for _, pid in found}) == 3
    assert forked.each(_where, []) == []


def test_what_does_not_fit_a_pipe() -> None:
    assert [len(each) for each in forked.each(lambda size: bytes(size), [1 << 20, 3 << 20, 0])] == [1 << 20, 3 << 20, 0]


def test_with_threads_nothing_is_forked() -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        assert forked.each(_where, ["a", "b"]) == [_where("a"), _where("b")]
    finally:
        ended.set()
        thread.join()


def test_what_a_child_fails_at_is_done_here() -> None:
    here = os.getpid()

    def killed(text: str) -> bytes:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return text.encode()

    assert forked.each(killed, ["a", "b", "c"]) == [b"a", b"b", b"c"]


def test_what_fails_is_raised_here_and_no_child_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    here, fork, made = os.getpid(), os.fork, list[int]()

    def noted() -> int:
        pid = fork()
        made.append(pid)
        return pid

    monkeypatch.setattr(forked.os, "fork", noted)

    def failing(text: str) -> bytes:
        if os.getpid() == here:
            raise KeyError(text)
        signal.pause()
        return b""

    with pytest.raises(KeyError, match="a"):
        forked.each(failing, ["a", "b", "c"])
    assert len(made) == 2
    for pid in made:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_where_no_child_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError

    monkeypatch.setattr(forked.os, "fork", refused)
    before = os.listdir("/proc/self/fd")
    assert forked.each(_where, ["a", "b"]) == [_where("a"), _where("b")]
    assert os.listdir("/proc/self/fd") == before
