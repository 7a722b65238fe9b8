"""Tables fit whatever terminal there is."""

from __future__ import annotations

import io
import os
import pty
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.cli.images import spell
from builder.cli.tables import aligned, fit, fit_json, table, terminal_width, width

HEAD = ("IMAGE ID", "CREATED BY", "SIZE")
ROWS = [("abc", "RUN apt-get install --no-install-recommends python3 gcc make", "12MB"), ("d", "COPY . /", "1kB")]


@contextmanager
def terminal(columns: int, encoding: str = "utf-8") -> Iterator[TextIO]:
    """A terminal so wide."""
    ours, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(its, "w", encoding=encoding) as out:
        yield out
    os.close(ours)


def pipe(encoding: str = "utf-8") -> TextIO:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def test_a_pipe_gets_all() -> None:
    assert table(HEAD, ROWS, ("CREATED BY",), pipe()).splitlines()[1] == f"abc        {ROWS[0][1]}   12MB"
    assert table(HEAD, ROWS, (), None).splitlines()[2].split() == ["d", "COPY", ".", "/", "1kB"]


@pytest.mark.parametrize("columns", [76, 60, 50])
def test_words_give_way_on_a_terminal(columns: int) -> None:
    with terminal(columns) as out:
        lines = table(HEAD, ROWS, ("CREATED BY",), out).splitlines()
    assert max(map(len, lines)) <= columns
    assert "…" in lines[1]
    assert lines[1].endswith("12MB")


def test_without_words_a_table_stays_as_it_is_unless_the_terminal_is_narrow() -> None:
    with terminal(70) as out:
        assert table(HEAD, ROWS, (), out) == table(HEAD, ROWS, (), pipe())
    with terminal(40) as out:
        shown = table(HEAD, ROWS, (), out)
        assert table(HEAD, [], (), out) == "IMAGE ID   CREATED BY   SIZE"
    assert shown.split("\n\n")[1] == "IMAGE ID     d\nCREATED BY   COPY . /\nSIZE         1kB"


def test_a_terminal_that_tells_no_width_or_is_gone() -> None:
    with terminal(0) as out:
        assert terminal_width(out) is None
    assert terminal_width(out) is None  # closed


def test_wide_characters_take_two_columns() -> None:
    assert width("漢字e\u0301") == 5
    assert aligned([("漢字", "x"), ("abcde", "y")]) == "漢字    x\nabcde   y"


def test_rows_may_have_fewer_cells() -> None:
    assert aligned([["a", "b"], ["long"], [], ["c", "d"]]) == "a      b\nlong\n\nc      d"


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("a\x1b[31mb\nc\td\x9b", "utf-8", "a\\x1b[31mb\\nc\\td\\x9b"),
        ("\u202eevil\u2028", "utf-8", "\\u202eevil\\u2028"),
        ("bad\udcff", "utf-8", "bad\\xff"),
        ("naïve…", "utf-8", "naïve…"),
        ("naïve… └─ 漢", "ascii", "na?ve... `- ?"),
        ("naïve…", "latin-1", "naïve..."),
    ],
)
def test_what_cannot_be_shown_is_spelt_out(text: str, encoding: str, shown: str) -> None:
    assert fit(text, pipe(encoding)) == shown


def test_json_stays_json() -> None:
    assert fit_json('"\x9b漢\U0001f600\x7f"', pipe()) == '"\\u009b漢😀\\u007f"'
    assert fit_json('"漢\U0001f600"', pipe("ascii")) == '"\\u6f22\\ud83d\\ude00"'


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "Less than a second"),
        (0.9, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_durations_are_spelt_as_docker_spells_them(seconds: float, words: str) -> None:
    assert spell(seconds) == words


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=4), st.sampled_from(["ascii", "utf-8", "koi8-r"]))
def test_any_table_can_be_written_and_steers_nothing(rows: list[tuple[str, str, str]], encoding: str) -> None:
    out = pipe(encoding)
    text = table(HEAD, rows, (), out)
    out.write(text)
    out.flush()
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert len(text.split("\n")) == len(rows) + 1
