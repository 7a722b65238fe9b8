"""The live view, on terminals that are wide, narrow, low, made smaller, or gone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

from builder.events import (
    BuildDone,
    BuildFailed,
    BuildStarted,
    CacheState,
    Event,
    LogLine,
    Note,
    Progress,
    VertexDone,
    VertexFailed,
    VertexStarted,
    Warned,
    Work,
)
from builder.progress import tty
from builder.progress.tty import Tty
from tests.support.window import Window

BEGUN: list[Event] = [
    BuildStarted(4, time=100.0),
    VertexDone(0, "FROM base", CacheState.LOCAL, 0.0),
    VertexStarted(1, "[build 2/3] RUN make -j8 all install DESTDIR=/out PREFIX=/usr CC=clang V=1", 101.0),
    VertexStarted(2, "[test 2/2] RUN pytest", 102.0),
    *(LogLine(1, f"cc -c file{n}.c", 102.0) for n in range(9)),
    LogLine(2, "\x1b]0;mine\x07\x1b[2J\x1b[Hnothing \x1b[31mbad\x1b[0m\r", 102.0),
    Progress(Work.PULL, "3f4a1b2c6d7e", 12_100_000, 30_400_000),
    VertexDone(2, "[test 2/2] RUN pytest", CacheState.DONE, 8.0),
]
ENDED: list[Event] = [
    Progress(Work.PULL, "3f4a1b2c6d7e", 30_400_000, 30_400_000),
    Warned("a warning that is longer than a narrow terminal is wide", "Buildfile:3"),
    VertexDone(1, "[build 2/3] RUN make -j8 all install DESTDIR=/out PREFIX=/usr CC=clang V=1", CacheState.DONE, 80.0),
    Note("tagged hello:latest"),
    BuildDone(f"sha256:{'0123456789abcdef' * 4}", 1, 2, 85.0, ("hello:latest",), 12_400_000, 1_200_000, 41.2),
]
RUNS_WIDE = """\
✔ FROM base  CACHED (local)
✔ [test 2/2] RUN pytest  8.0s
building 2/4                                                              10.0s
▸ [build 2/3] RUN make -j8 all install DESTDIR=/out PREFIX=/usr CC=clang … 9.0s
    cc -c file3.c
    cc -c file4.c
    cc -c file5.c
    cc -c file6.c
    cc -c file7.c
    cc -c file8.c
▸ pull 3f4a1b2c6d7e                        ━━━━━━━───────────── 12.1MB / 30.4MB
"""
RUNS_NARROW = """\
✔ [test 2/2] RUN pytest  8.0s
building 2/4                      10.0s
▸ [build 2/3] RUN make -j8 all in… 9.0s
    cc -c file5.c
    cc -c file6.c
    cc -c file7.c
    cc -c file8.c
▸ pull 3f4a1b2c6d7e     12.1MB / 30.4MB
"""
DONE_WIDE = """\
✔ FROM base  CACHED (local)
✔ [test 2/2] RUN pytest  8.0s
! Buildfile:3: a warning that is longer than a narrow terminal is wide
✔ [build 2/3] RUN make -j8 all install DESTDIR=/out PREFIX=/usr CC=cla…  1m 20s
tagged hello:latest
✔ hello:latest  sha256:0123456789ab
  12.4MB, 1.2MB of it new · 1 of 3 steps cached, 41.2s saved · in 1m 25s
"""
DONE_NARROW = """\
than a narrow terminal is wide
✔ [build 2/3] RUN make -j8 all…  1m 20s
tagged hello:latest
✔ hello:latest  sha256:0123456789ab
  12.4MB, 1.2MB of it new
  1 of 3 steps cached, 41.2s saved
  in 1m 25s
"""


@pytest.fixture(autouse=True)
def ten_seconds_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tty, "time", SimpleNamespace(time=lambda: 110.0, monotonic=time.monotonic))


@contextmanager
def drawing(terminal: Window, encoding: str = "utf-8", *, color: bool = False) -> Iterator[Tty]:
    out = open(os.dup(terminal.slave), "w", encoding=encoding, errors="backslashreplace")  # noqa: SIM115 may fail
    draw = Tty(out, color=color)
    try:
        yield draw
    finally:
        draw.close()
        with suppress(OSError):  # what was not written to a terminal that has gone
            out.close()


def feed(draw: Tty, events: list[Event]) -> None:
    for event in events:
        draw(event)


@pytest.mark.parametrize(
    ("columns", "lines", "runs", "done"), [(80, 24, RUNS_WIDE, DONE_WIDE), (40, 8, RUNS_NARROW, DONE_NARROW)]
)
def test_a_build(columns: int, lines: int, runs: str, done: str) -> None:
    with Window(columns, lines) as terminal, drawing(terminal) as draw:
        feed(draw, BEGUN)
        assert terminal.until(lambda text: text == runs) == runs
        assert terminal.cursor_hidden()
        feed(draw, ENDED)
        assert terminal.until(lambda text: text.endswith(done)).endswith(done)
        assert not terminal.cursor_hidden()


def test_what_runs_is_never_higher_than_the_terminal() -> None:
    many: list[Event] = [VertexStarted(n, f"step {n}", 100.0) for n in range(50)]
    with Window(80, 6) as terminal, drawing(terminal) as draw:
        feed(draw, [BuildStarted(50, time=100.0), *many])
        text = terminal.until(lambda text: "more" in text)
        assert text.splitlines()[0].startswith("building 0/50 · 50 running")
        assert text.splitlines()[-1] == "  … 47 more"
        feed(draw, [VertexDone(n, f"step {n}", CacheState.DONE, 1.0) for n in range(50)])
        draw(BuildFailed("it failed", 1.0))
        done = terminal.until(lambda text: all(row.startswith("✔ step ") for row in text.splitlines()))
        assert done.splitlines()[-1] == "✔ step 49  1.0s"


@pytest.mark.parametrize(("columns", "lines"), [(1, 1), (2, 2), (9, 3), (500, 2)])
def test_any_size_will_do(columns: int, lines: int) -> None:
    with Window(columns, lines) as terminal, drawing(terminal) as draw:
        feed(draw, [*BEGUN, *ENDED])


def test_a_terminal_is_made_smaller_and_larger() -> None:
    with Window(80, 24) as terminal, drawing(terminal) as draw:
        feed(draw, BEGUN)
        terminal.until(lambda text: text == RUNS_WIDE)
        # This one does not wrap what it cannot show any more, so more is cleared than the live rows.
        terminal.resize(40, 24)
        assert "▸ [build 2/3] RUN make -j8 all in… 9.0s\n" in terminal.until(lambda text: "all in… 9.0s" in text)
        terminal.resize(100, 30)
        assert "PREFIX=/usr CC=clang V=1" in terminal.until(lambda text: "V=1" in text)
        feed(draw, ENDED)
        assert terminal.until(lambda text: "in 1m 25s" in text).count("▸") == 0


def test_a_terminal_that_has_gone_ends_nothing() -> None:
    with Window(80, 24) as terminal, drawing(terminal) as draw:
        feed(draw, BEGUN)
        terminal.hang_up()
        feed(draw, [*BEGUN, *ENDED])


def test_nothing_paints_while_nothing_runs() -> None:
    with Window(80, 24) as terminal, drawing(terminal) as draw:
        feed(draw, [Progress(Work.CONTEXT, ".", 1, 10)])
        assert "context ." in terminal.until(lambda text: "context" in text)
        assert painters() == [], "contexts are read by processes that are forked"
        feed(draw, BEGUN)
        assert len(painters()) == 1
        feed(draw, ENDED)
        draw.close()
        assert painters() == []


def painters() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "painter"]


def test_a_terminal_that_knows_ascii_only() -> None:
    with Window(80, 24) as terminal, drawing(terminal, "ascii") as draw:
        feed(draw, [*BEGUN[:4], LogLine(1, "caf\u00e9", 102.0)])
        assert "> [test 2/2] RUN pytest" in terminal.until(lambda text: "caf?" in text)
        feed(draw, [VertexFailed(2, "[test 2/2] RUN pytest", "exit code: 1", 1.0)])
        assert "x [test 2/2] RUN pytest  1.0s\n" in terminal.until(lambda text: "x [test" in text)
        assert terminal.text().isascii()


def test_colours(capsys: pytest.CaptureFixture[str]) -> None:
    with Window(80, 24) as terminal, drawing(terminal, color=True) as draw:
        feed(draw, [VertexDone(0, "FROM base", CacheState.LOCAL, 0.0)])
        assert "FROM base" in terminal.until(lambda text: text != "")
        assert terminal.written == "\x1b[32m✔ FROM base\x1b[0m\x1b[2m  CACHED (local)\x1b[0m\r\n".encode()
