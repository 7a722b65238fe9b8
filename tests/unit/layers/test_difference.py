"""Lines of `diff`."""

from __future__ import annotations

from collections.abc import Iterable

from builder.layers.difference import difference
from builder.layers.entry import Entry, Kind

BELOW = {
    "etc": ["old", "kept", "sub"],
    "etc/sub": ["x", "y"],
    "etc/old": [],
    "etc/kept": [],
    "etc/sub/x": [],
    "etc/sub/y": [],
}


def below(path: str) -> Iterable[str] | None:
    return BELOW.get(path)


def lines(*entries: Entry) -> list[str]:
    return [f"{kind} {path}" for kind, path in difference(entries, below)]


def test_added_changed_deleted_sorted() -> None:
    assert lines(
        Entry("etc", Kind.DIRECTORY),
        Entry("etc/old", Kind.WHITEOUT),
        Entry("etc/kept", Kind.FILE),
        Entry("etc/new", Kind.SYMLINK),
        Entry("a", Kind.DIRECTORY),
        Entry("a/b", Kind.FILE),
    ) == ["A /a", "A /a/b", "C /etc", "C /etc/kept", "A /etc/new", "D /etc/old"]


def test_a_directory_made_anew_deletes_what_it_lacks() -> None:
    assert lines(
        Entry("etc", Kind.DIRECTORY),
        Entry("etc", Kind.OPAQUE),
        Entry("etc/kept", Kind.FILE),
        Entry("etc/sub", Kind.DIRECTORY),
        Entry("etc/sub/y", Kind.FILE),
    ) == ["C /etc", "C /etc/kept", "D /etc/old", "C /etc/sub", "D /etc/sub/x", "C /etc/sub/y"]


def test_what_lies_beside_a_directory_made_anew_is_untouched() -> None:
    assert lines(
        Entry("a", Kind.DIRECTORY),
        Entry("a", Kind.OPAQUE),
        Entry("etc", Kind.DIRECTORY),
        Entry("etc/new", Kind.FILE),
    ) == ["A /a", "C /etc", "A /etc/new"]


def test_a_directory_in_place_of_a_file() -> None:
    assert lines(Entry("etc/old", Kind.DIRECTORY), Entry("etc/old/x", Kind.FILE)) == ["C /etc/old", "A /etc/old/x"]
