"""What a step prints cannot do anything to the terminal it is shown on."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.progress.clean import clean, colored

COLOR = re.compile("\x1b\\[[0-9;:]*m")
# What sequences are made of, more often than chance would have it.
PIECES = st.sampled_from(
    [
        "\x1b",
        "[",
        "]",
        "m",
        "31",
        ";",
        "\x07",
        "\\",
        "\r",
        "\b",
        "\t",
        "a",
        "é",
        "\x9b",
        "\x9d",
        "P",
        "H",
        "\udcff",
        "\u202e",
    ]
)
LINES = st.lists(PIECES | st.text(max_size=3), max_size=20).map("".join)


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("plain", "plain"),
        ("a\tb", "a\tb"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hover", "over"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;bm90aGluZw==", ""),
        ("\x1bPq#0;2;0\x1b\\sixel", "sixel"),
        ("\x9b2Jx", "x"),
        ("10%\r20%\r30%", "30%"),  # apt, pip, curl
        ("10%\r20%\r", "20%"),
        ("\r\r", ""),
        ("|\b/\b-\bdone", "done"),  # npm's spinner
        ("\b\bx", "x"),
        ("\udcff\x00", "\\xff\\x00"),
        ("txt.exe\u202etxt", "txt.exe\\u202etxt"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_what_is_shown_of_a_line(printed: str, shown: str) -> None:
    assert clean(printed) == shown


def test_colours_may_stay_and_end_with_the_line() -> None:
    assert colored("\x1b[1;31merror\x1b[2K: x") == "\x1b[1;31merror: x\x1b[0m"
    assert colored("\x1b[38:5:9mx\x1b[0m") == "\x1b[38:5:9mx\x1b[0m"
    assert colored("\x1b[?25hx") == "x"
    assert colored("\x1b[31m\b\bA") == "A", "else a part of the sequence would stay"


@given(LINES)
def test_nothing_is_left_that_moves_anything(line: str) -> None:
    for shown in (clean(line), COLOR.sub("", colored(line))):
        assert all(char.isprintable() or char in "\t\u200c\u200d" for char in shown), shown
