"""docker cp's rules: what its two sides mean, and where files go."""

from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.runtime.placing import Place, Side, State, place, side, sides

HERE = "/here"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-", Side(stream=True)),
        ("file", Side(path="/here/file")),
        ("./a:b", Side(path="/here/a:b")),
        ("/a:b", Side(path="/a:b")),
        ("../x/", Side(path="/x", directory=True)),
        (".", Side(path="/here", directory=True, content=True)),
        ("..", Side(path="/", directory=True, content=True)),
        ("dir/.", Side(path="/here/dir", directory=True, content=True)),
        ("dir/", Side(path="/here/dir", directory=True)),
        ("c:/etc/passwd", Side("c", "/etc/passwd")),
        ("c:etc/passwd", Side("c", "/etc/passwd")),
        ("c:/etc/.", Side("c", "/etc", directory=True, content=True)),
        ("c:/etc/", Side("c", "/etc", directory=True)),
        ("c:/etc/..", Side("c", "/", directory=True, content=True)),
        ("c:/../../x", Side("c", "/x")),
        ("c://x", Side("c", "/x")),
        ("c:", Side("c", "/", directory=True, content=True)),
        ("c:/", Side("c", "/", directory=True, content=True)),
        ("c:/a:b", Side("c", "/a:b")),
    ],
)
def test_a_side(text: str, expected: Side) -> None:
    assert side(text, HERE) == expected


def test_one_side_is_a_container() -> None:
    assert sides("c:/x", "-", HERE) == (Side("c", "/x"), Side(stream=True))
    assert sides("x", "c:/x", HERE) == (Side(path="/here/x"), Side("c", "/x"))
    for pair in (("a:/x", "b:/x"), ("x", "y"), ("-", "-"), ("", "c:/x")):
        with pytest.raises(UsageError):
            sides(*pair, HERE)


@pytest.mark.parametrize(
    ("source", "is_directory", "destination", "state", "expected"),
    [
        # a file
        ("s", False, "c:/d", State.MISSING, Place("/", "d")),
        ("s", False, "c:/d/e", State.FILE, Place("/d", "e")),
        ("s", False, "c:/d", State.DIRECTORY, Place("/d", "s")),
        ("s", False, "c:/d/", State.DIRECTORY, Place("/d", "s")),
        ("s", False, "c:/d/", State.MISSING, "the directory c:/d does not exist"),
        ("s", False, "c:/d/.", State.MISSING, "the directory c:/d does not exist"),
        ("s", False, "c:/d/", State.FILE, "c:/d is not a directory"),
        # a directory
        ("s", True, "c:/d", State.MISSING, Place("/", "d")),
        ("s", True, "c:/d/", State.MISSING, Place("/", "d")),
        ("s/.", True, "c:/d", State.MISSING, Place("/", "d")),
        ("s", True, "c:/d", State.DIRECTORY, Place("/d", "s")),
        ("s/", True, "c:/d", State.DIRECTORY, Place("/d", "s")),
        ("s/.", True, "c:/d", State.DIRECTORY, Place("/d", "")),
        (".", True, "c:/", State.DIRECTORY, Place("/", "")),
        ("/", True, "c:/d", State.DIRECTORY, Place("/d", "")),
        ("s", True, "c:/d", State.FILE, "a directory cannot be copied onto the file c:/d"),
    ],
)
def test_a_place(source: str, is_directory: bool, destination: str, state: State, expected: Place | str) -> None:
    taken, given = sides(source, destination, HERE)
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=expected):
            place(taken, is_directory, given, state)
    else:
        assert place(taken, is_directory, given, state) == expected
