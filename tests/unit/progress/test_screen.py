"""The live part of a terminal, as rows: for each size, and for whatever is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.events import BuildStarted, CacheState, Event, LogLine, Progress, VertexDone, VertexStarted, Work
from builder.progress.fit import Marks, cut, marks, width
from builder.progress.screen import rows
from builder.progress.state import View, advanced

UNICODE = Marks()
EVENTS: list[Event] = [
    BuildStarted(9, time=100.0),
    VertexDone(0, "FROM base", CacheState.LOCAL, 0.0),
    VertexStarted(1, "[build 2/4] RUN make -j8 all install DESTDIR=/out PREFIX=/usr", 101.0),
    VertexStarted(2, "[test 2/2] RUN pytest", 160.0),
    *(LogLine(1, f"cc -c file{n}.c", 102.0) for n in range(20)),
    LogLine(2, "tests/test_a.py ....\x1b[32m PASSED\x1b[0m", 161.0),
    LogLine(2, "  0%\r 50%\r100%", 161.0),
    Progress(Work.PULL, "3f4a1b2c6d7e", 12_100_000, 30_400_000),
    Progress(Work.FETCH, "https://example.org/some/where/file.tar.gz", 5_000, 0),
    Progress(Work.PUSH, "done", 10, 10),
]
WIDE = """\
building 1/9 · 2 running                                                  1m 25s
▸ [build 2/4] RUN make -j8 all install DESTDIR=/out PREFIX=/usr           1m 24s
    cc -c file14.c
    cc -c file15.c
    cc -c file16.c
    cc -c file17.c
    cc -c file18.c
    cc -c file19.c
▸ [test 2/2] RUN pytest                                                    25.0s
    tests/test_a.py .... PASSED
    100%
▸ pull 3f4a1b2c6d7e                         ━━━━━━━───────────── 12.1MB / 30.4MB
▸ fetch https://example.org/some/where/file.tar.gz                           5kB
"""
NARROW = """\
building 1/9 - 2 running          1m 25s
> [build 2/4] RUN make -j8 all i~ 1m 24s
    cc -c file18.c
    cc -c file19.c
> [test 2/2] RUN pytest            25.0s
    100%
> pull 3f4a1b2c6d7e      12.1MB / 30.4MB
> fetch https://example.org/some/wh~ 5kB
"""
LOW = """\
building 1/9 · 2 running          1m 25s
▸ [build 2/4] RUN make -j8 all i… 1m 24s
  … 3 more
"""


def view(events: list[Event]) -> View:
    found = View()
    for event in events:
        found = advanced(found, event)
    return found


def drawn(columns: int, height: int, shown: Marks = UNICODE, events: list[Event] = EVENTS) -> str:
    return "".join(f"{row.text}\n" for row in rows(view(events), 185.0, columns, height, shown))


@pytest.mark.parametrize(
    ("columns", "height", "encoding", "expected"),
    [(80, 24, "utf-8", WIDE), (40, 8, "ascii", NARROW), (40, 3, "utf-8", LOW)],
)
def test_what_goes_on(columns: int, height: int, encoding: str, expected: str) -> None:
    assert drawn(columns, height, marks(encoding)) == expected


def test_there_are_no_more_rows_than_that() -> None:
    for height in range(30):
        assert drawn(80, height).count("\n") <= height


def test_work_without_a_build_has_no_head() -> None:
    assert drawn(80, 24, events=[Progress(Work.PUSH, "abc", 5, 10)]).startswith("▸ push abc")


def test_nothing_is_left_of_what_has_ended() -> None:
    assert drawn(80, 24, events=[Progress(Work.PUSH, "abc", 5, 10), Progress(Work.PUSH, "abc", 10, 10)]) == ""


@given(st.text(max_size=60), st.integers(0, 40), st.sampled_from(["utf-8", "ascii", "latin-1", "euc-jp"]))
def test_no_text_is_wider_than_its_room(text: str, columns: int, encoding: str) -> None:
    shown = cut(text, columns, marks(encoding))
    assert width(shown) <= columns
    shown.encode(marks(encoding).encoding)


def test_characters_of_two_columns_are_counted() -> None:
    assert cut("漢字漢字", 5, Marks()) == "漢字…"
    assert cut("漢字", 4, Marks()) == "漢字"
    assert cut("漢字", 4, marks("ascii")) == "??"
