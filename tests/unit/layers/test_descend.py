"""Trees walked by descriptors."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.layers.descend import entries
from builder.layers.entry import Entry, Kind


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[int]:
    top = tmp_path / "top"
    (top / "b").mkdir(parents=True)
    (top / "b/file").write_text("12345")
    os.link(top / "b/file", top / "c")
    (top / "a").symlink_to("/etc/passwd")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(top / "socket"))
    fd = os.open(tmp_path, os.O_PATH)
    yield fd
    os.close(fd)


def walked(parent: int, name: str, top: str) -> list[Entry]:
    return [entry for entry, _ in entries(parent, name, top, mounts=True)]


def test_parents_first_by_name_with_hard_links(parent: int) -> None:
    found = walked(parent, "top", "x")
    assert [(e.path, e.kind, e.link) for e in found] == [
        ("x", Kind.DIRECTORY, ""),
        ("x/a", Kind.SYMLINK, "/etc/passwd"),
        ("x/b", Kind.DIRECTORY, ""),
        ("x/b/file", Kind.FILE, ""),
        ("x/c", Kind.HARDLINK, "x/b/file"),
    ]


def test_only_what_lies_in_it(parent: int) -> None:
    assert [e.path for e in walked(parent, "top", "")] == ["a", "b", "b/file", "c"]


def test_a_path_is_good_when_it_is_given(parent: int) -> None:
    for entry, path in entries(parent, "top", "x", mounts=True):
        if entry.kind is Kind.FILE:
            assert Path(path).read_text() == "12345"


def test_links_are_not_walked_through(parent: int, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("top")
    assert [(e.path, e.kind) for e in walked(parent, "link", "x")] == [("x", Kind.SYMLINK)]


def test_what_becomes_a_link_or_goes_away_meanwhile_is_not_followed(parent: int, tmp_path: Path) -> None:
    walk = entries(parent, "top", "x", mounts=True)
    assert [next(walk)[0].path, next(walk)[0].path] == ["x", "x/a"]
    (tmp_path / "top/b").rename(tmp_path / "elsewhere")
    (tmp_path / "top/b").symlink_to("/etc")
    (tmp_path / "top/c").unlink()
    assert [(e.path, e.kind) for e, _ in walk] == [("x/b", Kind.SYMLINK)]


def test_other_file_systems_are_shown_empty() -> None:
    root = os.open("/", os.O_PATH)
    try:
        found = [entry.path for entry, _ in entries(root, "dev", "x", mounts=False)]
        crossed = [entry.path for entry, _ in entries(root, "dev", "x", mounts=True)]
    finally:
        os.close(root)
    assert "x/pts" in found
    assert "x/pts/ptmx" in crossed
    assert "x/pts/ptmx" not in found


def test_what_is_not_there(parent: int) -> None:
    with pytest.raises(FileNotFoundError):
        walked(parent, "none", "x")


def test_a_socket_is_nothing(parent: int) -> None:
    assert walked(parent, "top/socket", "x") == []
