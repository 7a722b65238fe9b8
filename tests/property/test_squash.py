"""Layers merged into one show what they showed, on anything: against a model that applies them one after the other."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.digest import Digest, Reader
from builder.errors import BadInputError
from builder.layers.entry import Entry, Kind
from builder.layers.extract import extract_layer
from builder.layers.squash import squash
from builder.layers.tarread import read_entries
from builder.layers.tarwrite import WrittenLayer, copy_layer
from builder.layers.unpacked import on_disk

# --- layers --------------------------------------------------------------------------------------

_NAMES = st.sampled_from(["a", "b", "a-b", "c"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_KINDS = st.sampled_from([Kind.FILE] * 4 + [Kind.DIRECTORY] * 3 + [Kind.WHITEOUT] * 3 + [Kind.SYMLINK, Kind.FIFO])
_XATTRS = st.sampled_from([(), (("user.x", b"\0y"),)])


class Made(NamedTuple):
    entry: Entry
    data: bytes = b""


@st.composite
def layers(draw: st.DrawFn) -> list[Made]:
    """A layer as programs write them: all parents are named, nothing twice."""
    found: dict[str, Made] = {}
    for path in draw(st.lists(_PATHS, max_size=7)):
        above = path.split("/")[:-1]
        parents = ["/".join(above[: i + 1]) for i in range(len(above))]
        if path in found or any(p in found and found[p].entry.kind is not Kind.DIRECTORY for p in parents):
            continue
        for parent in parents:
            found.setdefault(parent, Made(_plain(draw, parent, Kind.DIRECTORY)))
        kind = draw(_KINDS)
        data = draw(st.binary(max_size=700)) if kind is Kind.FILE else b""
        found[path] = Made(Entry(path, kind) if kind is Kind.WHITEOUT else _plain(draw, path, kind, len(data)), data)
    made = [found[path] for path in sorted(found, key=lambda p: p.split("/"))]
    made += [
        Made(_linked(draw, one.entry, found)) for one in made if one.entry.kind is Kind.FILE and draw(st.booleans())
    ]
    opaque = [one.entry.path for one in made if one.entry.kind is Kind.DIRECTORY and draw(st.integers(0, 3)) == 0]
    return [one for one in made if one.entry.path] + [Made(Entry(path, Kind.OPAQUE)) for path in opaque]


def _plain(draw: st.DrawFn, path: str, kind: Kind, size: int = 0) -> Entry:
    mode, owner, time = draw(st.sampled_from([0o755, 0o4700])), draw(st.integers(0, 2)), draw(st.integers(0, 9))
    link = "../x" if kind is Kind.SYMLINK else ""
    return Entry(path, kind, mode, owner, owner, size, time, link=link, xattrs=draw(_XATTRS), nanoseconds=time)


def _linked(draw: st.DrawFn, entry: Entry, found: dict[str, Made]) -> Entry:
    above = draw(st.sampled_from(["", *(p for p, one in found.items() if one.entry.kind is Kind.DIRECTORY)]))
    name = f"{above}/{entry.path.replace('/', '.')}.link".lstrip("/")
    return Entry(name, Kind.HARDLINK, entry.mode, entry.uid, entry.gid, mtime=entry.mtime, link=entry.path)


def tar(layer: Sequence[Made]) -> bytes:
    out = io.BytesIO()
    copy_layer(((one.entry, io.BytesIO(one.data)) for one in layer), out, "uncompressed")
    return out.getvalue()


def squashed(above: Sequence[bytes], below: Sequence[bytes]) -> tuple[bytes, WrittenLayer]:
    """`above` merged on `below`, both bottom first."""
    out = io.BytesIO()
    with tempfile.TemporaryFile() as spool:
        written = squash(_readers(above), _readers(below), spool, out, "uncompressed")
    return out.getvalue(), written


def _readers(tars: Sequence[bytes]) -> list[Reader]:
    return [io.BytesIO(data) for data in reversed(tars)]


# --- the model -----------------------------------------------------------------------------------


class File:
    def __init__(self, entry: Entry, data: bytes) -> None:
        self.seen = (entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime, entry.nanoseconds, entry.link)
        self.more = (entry.xattrs, hashlib.sha256(data).hexdigest())


def applied(tars: Sequence[bytes]) -> dict[str, File]:
    """The tree that layers make, bottom first: deletions of a layer are of those below it."""
    tree: dict[str, File] = {}
    for data in tars:
        entries = [(entry, content.read()) for entry, content in read_entries(io.BytesIO(data))]
        for entry, _ in entries:
            if entry.kind in (Kind.WHITEOUT, Kind.OPAQUE):
                remove(tree, entry.path, itself=entry.kind is Kind.WHITEOUT)
        for entry, content in entries:
            if entry.kind in (Kind.WHITEOUT, Kind.OPAQUE):
                continue
            before = tree.get(entry.path)
            if before is not None and {before.seen[0], entry.kind} != {Kind.DIRECTORY}:
                remove(tree, entry.path, itself=True)
            tree[entry.path] = tree[entry.link] if entry.kind is Kind.HARDLINK else File(entry, content)
    return tree


def remove(tree: dict[str, File], path: str, *, itself: bool) -> None:
    for name in [n for n in tree if n.startswith(f"{path}/") or (itself and n == path)]:
        del tree[name]


def shown(tree: dict[str, File]) -> dict[str, object]:
    names: dict[int, list[str]] = {}
    for path in sorted(tree):
        names.setdefault(id(tree[path]), []).append(path)
    return {path: (file.seen, file.more, names[id(file)]) for path, file in sorted(tree.items())}


# --- what must hold ------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(st.lists(layers(), max_size=3), st.lists(layers(), min_size=1, max_size=4))
def test_one_layer_shows_what_many_showed(below: list[list[Made]], above: list[list[Made]]) -> None:
    lower, upper = list(map(tar, below)), list(map(tar, above))
    merged, written = squashed(upper, lower)
    assert shown(applied([*lower, merged])) == shown(applied([*lower, *upper]))
    assert squashed(upper, lower) == (merged, written)
    assert written.diff_id == Digest.of(merged)
    # It deletes what is there, and nothing else.
    tree = applied(lower)
    gone = [entry for entry, _ in read_entries(io.BytesIO(merged)) if entry.kind is Kind.WHITEOUT]
    assert {entry.path for entry in gone} <= tree.keys()


@settings(max_examples=150, deadline=None)
@given(st.lists(layers(), max_size=2), st.lists(layers(), min_size=2, max_size=4))
def test_in_whatever_groups(below: list[list[Made]], above: list[list[Made]]) -> None:
    lower, upper = list(map(tar, below)), list(map(tar, above))
    first, _ = squashed(upper[:-1], lower)
    whole, _ = squashed([first, upper[-1]], lower)
    assert shown(applied([*lower, whole])) == shown(applied([*lower, *upper]))


@settings(max_examples=60, deadline=None)
@given(st.lists(layers(), min_size=1, max_size=4))
def test_entries_come_in_the_order_of_layers(above: list[list[Made]]) -> None:
    merged, _ = squashed(list(map(tar, above)), [])
    order = [
        (entry.path.split("/"), entry.kind is Kind.OPAQUE)
        for entry, _ in read_entries(io.BytesIO(merged))
        if entry.kind is not Kind.WHITEOUT
    ]
    assert order == sorted(order)


# --- what programs do not write, but unpacking takes ---------------------------------------------


def file(path: str, data: bytes = b"x") -> Made:
    return Made(Entry(path, Kind.FILE, 0o644, size=len(data)), data)


def kinds(data: bytes) -> dict[str, Kind]:
    return {entry.path: entry.kind for entry, _ in read_entries(io.BytesIO(data)) if entry.kind is not Kind.OPAQUE}


def test_directories_that_no_entry_names_stay_unnamed(tmp_path: Path) -> None:
    merged, _ = squashed([tar([file("a/b/c")]), tar([file("a/d")])], [tar([file("a/e")])])
    assert kinds(merged) == {"a/b/c": Kind.FILE, "a/d": Kind.FILE}


@pytest.mark.parametrize("under", [Kind.FILE, Kind.WHITEOUT, Kind.SYMLINK])
def test_one_that_takes_the_place_of_something_is_named_and_opaque(under: Kind, tmp_path: Path) -> None:
    """As unpacking makes it: else what lies below would show in it."""
    lower = tar([Made(Entry("a", under, 0o777, link="x" if under is Kind.SYMLINK else ""))])
    merged, _ = squashed([lower, tar([file("a/b")])], [tar([file("a/old")])])
    (tmp_path / "out").mkdir()
    extract_layer(io.BytesIO(merged), str(tmp_path / "out"))
    found = on_disk(str(tmp_path / "out"))
    assert {key for key in found if key[0]} == {("a", False), ("a", True), ("a/b", False)}
    assert found["a", False].mode == 0o755


def test_the_root_has_its_mode_and_what_it_hides_is_hidden(tmp_path: Path) -> None:
    top = [Made(Entry("", Kind.DIRECTORY, 0o700, mtime=5)), Made(Entry("", Kind.OPAQUE)), file("new")]
    merged, _ = squashed([tar([file("old"), file("older")]), tar(top), tar([file("newest")])], [tar([file("oldest")])])
    assert kinds(merged) == {"": Kind.DIRECTORY, "new": Kind.FILE, "newest": Kind.FILE}
    (tmp_path / "out").mkdir()
    extract_layer(io.BytesIO(merged), str(tmp_path / "out"))
    assert (tmp_path / "out").stat().st_mode & 0o7777 == 0o700
    assert ("", True) in {(e.path, e.kind is Kind.OPAQUE) for e, _ in read_entries(io.BytesIO(merged))}


def test_of_several_entries_for_a_path_the_last_counts() -> None:
    directory = Made(Entry("a", Kind.DIRECTORY, 0o700))
    layer = [directory, file("a/b"), file("a", b"file"), file("c"), directory, file("a/d"), file("c", b"again")]
    merged, _ = squashed([tar(layer)], [])
    assert kinds(merged) == {"a": Kind.DIRECTORY, "a/d": Kind.FILE, "c": Kind.FILE}


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ([Made(Entry("a", Kind.SYMLINK, link="b")), file("a/x")], "'a/x' goes through 'a'"),
        ([file("a"), Made(Entry("b", Kind.HARDLINK, link="gone"))], "'b' is a link to 'gone'"),
    ],
)
def test_what_only_unpacking_can_tell_is_refused(layer: list[Made], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        squashed([tar(layer)], [])


def test_a_cut_layer_is_refused() -> None:
    with pytest.raises(BadInputError, match="cut off"):
        squashed([tar([file("a", b"x" * 2000)])[:1500]], [])
