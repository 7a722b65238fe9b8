"""What a container has printed, line by line."""

from __future__ import annotations

import pytest

from builder.cli.streams import last, pieces
from builder.runtime.log import ERR, LOST, OUT, Record

RECORDS = [
    Record(LOST, 0, b"12"),
    Record(OUT, 1, b"one\ntwo, be"),
    Record(ERR, 2, b"err\n"),
    Record(OUT, 3, b"gun\n\rthree\n"),
    Record(OUT, 4, b"four"),
]


def test_lines_of_streams_that_interrupt_each_other() -> None:
    middle: set[int] = set()
    found = [(p.stream, p.nanoseconds, p.data, p.begins) for p in pieces(RECORDS, middle)]
    assert found == [
        (OUT, 1, b"one\n", True),
        (OUT, 1, b"two, be", True),
        (ERR, 2, b"err\n", True),
        (OUT, 3, b"gun\n", False),
        (OUT, 3, b"\rthree\n", True),
        (OUT, 4, b"four", True),
    ]
    assert middle == {OUT}


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, b""),
        (1, b"four"),
        (2, b"\rthree\nfour"),
        (3, b"err\n\rthree\nfour"),
        (4, b"two, beerr\ngun\n\rthree\nfour"),
        (99, b"one\ntwo, beerr\ngun\n\rthree\nfour"),
    ],
)
def test_the_last_lines(count: int, shown: bytes) -> None:
    assert b"".join(piece.data for piece in last(list(pieces(RECORDS, set())), count)) == shown
