"""What is taken over of a copy that was made before: the bytes of a whole copy, and the files that differ."""

from __future__ import annotations

import io
import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.digest import Digest
from builder.layers import frames
from builder.layers.copybefore import Before, Stretch, decoded, encoded, steps
from builder.layers.copyjob import ContextEntry, Fixed
from builder.layers.copylayer import Copied, write_again, write_planned
from builder.layers.copyplan import Item
from builder.layers.copytarget import Source
from builder.layers.entry import Entry, Kind
from builder.layers.frameread import DamagedBlobError, FrameReader
from builder.linux.files import stat_key

# Paths with the number of the state that each is in.
Tree = dict[str, int]


@pytest.fixture(autouse=True)
def short_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MOST", 8 << 10), ("_LEAST", 2 << 10), ("_USUAL", 2 << 10)):
        monkeypatch.setattr(frames, name, value)


def items_of(tree: Tree, where: Path) -> list[Item]:
    """A plan: the first letter of a name says what it is."""
    items = []
    for path, state in sorted(tree.items(), key=lambda pair: pair[0].replace("/", "\0")):
        name = path.rpartition("/")[2]
        if name.startswith("d"):
            items.append(Item(Entry(path, Kind.DIRECTORY, 0o755 - state % 2, mtime=1)))
        elif name.startswith("l"):
            items.append(Item(Entry(path, Kind.SYMLINK, 0o777, mtime=1, link=f"to{state}")))
        else:
            data = random.Random(path + str(state)).randbytes(len(path) * 700 * (1 + state % 3))
            host = where / f"{Digest.of(path.encode()).short}-{state}"
            host.write_bytes(data)
            digest = Digest.of(data)
            fixed = Fixed(0o644, 0, digest=digest, state=stat_key(host.stat()), size=len(data))
            source = Source(ContextEntry(path, path, Kind.FILE, fixed=fixed), str(host))
            entry = Entry(path, Kind.FILE, 0o644, 0, 0, len(data), state, digest, nanoseconds=5)
            items.append(Item(entry, source))
    return items


def whole(items: list[Item], at: Path) -> tuple[Copied, bytes]:
    at.mkdir()
    out = io.BytesIO()
    return write_planned(items, str(at), out, "zstd"), out.getvalue()


def before_of(copied: Copied, above: frozenset[str] = frozenset()) -> Before:
    written = copied.written
    return Before(
        written.diff_id.hex, written.blob.hex, written.blob_size, "", copied.frames, copied.begins, above,
        written.entries,
    )  # fmt: skip


def shown(*directories: Path) -> dict[str, tuple[object, ...]]:
    """What directories show one above the other, the lowest first."""
    found: dict[str, tuple[object, ...]] = {}
    for directory in directories:
        for path in directory.rglob("*"):
            status = path.lstat()
            content: object = ""
            if path.is_symlink():
                content = os.readlink(path)
            elif path.is_file():
                content = path.read_bytes()
            found[str(path.relative_to(directory))] = (status.st_mode, status.st_mtime_ns, content)
    return found


_TREES = st.dictionaries(
    st.sampled_from(
        [f"{d}{name}" for d in ("", "d1/", "d1/d2/", "d3/") for name in ("a", "b", "c", "l", "f", "g", "h")]
    ),
    st.integers(0, 5),
    min_size=12,
)


_EDITS = st.dictionaries(
    st.sampled_from(["a", "d1/b", "d1/d2/c", "d1/l", "d3/f", "d1", "new", "d3/x"]), st.integers(6, 9), max_size=2
)


def with_parents(tree: Tree) -> Tree:
    found = dict(tree)
    for path in tree:
        while "/" in path:
            path = path.rpartition("/")[0]
            found.setdefault(path, 0)
    return found


@given(_TREES, _EDITS, st.booleans())
@settings(max_examples=50, deadline=None)
def test_what_is_taken_over_makes_what_a_whole_copy_makes(tree: Tree, edits: Tree, anew: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        first = items_of(with_parents(tree), where)
        copied, blob = whole(first, where / "first")
        items = items_of(with_parents({**tree, **edits}), where)
        wanted, wanted_blob = whole(items, where / "whole")
        found = steps(items, before_of(copied))
        (where / "blob").write_bytes(blob)
        (where / "above").mkdir()
        out = io.BytesIO()
        with (
            (where / "blob").open("rb", buffering=0) as file,
            FrameReader(file.fileno(), copied.written.blob, copied.frames) as reader,
        ):
            again = write_again(found.steps, reader, str(where / "above"), out, "zstd", whole=anew)
        assert again.written == wanted.written
        assert again.frames == wanted.frames
        assert again.begins == wanted.begins
        assert out.getvalue() == wanted_blob
        if anew:
            assert shown(where / "above") == shown(where / "whole")
        elif found.stands:
            assert shown(where / "first", where / "above") == shown(where / "whole")


def test_a_stretch_is_what_is_as_it_was(tmp_path: Path) -> None:
    items = items_of(with_parents({"a": 1, "d1/b": 1, "d1/c": 1, "f": 1, "g": 1}), tmp_path)
    copied, _ = whole(items, tmp_path / "first")
    before = before_of(copied)
    assert [type(step) for step in steps(items, before).steps] == [Stretch]
    edited = items_of(with_parents({"a": 1, "d1/b": 1, "d1/c": 2, "f": 1, "g": 1}), tmp_path)
    found = steps(edited, before)
    assert [step.entry.path if isinstance(step, Item) else len(step.entries) for step in found.steps] == [3, "d1/c", 2]
    assert found.stands
    assert not steps(edited[:-1], before).stands
    assert steps(items[:-1], before).pays
    assert not steps(edited[3:5], before).pays
    assert not steps(items[:2], before).pays
    assert steps(edited[:-1], before_of(copied, frozenset(["g"]))).stands


@pytest.mark.parametrize("change", ["other", "short", "long", "frame"])
def test_another_blob_is_noticed(tmp_path: Path, change: str) -> None:
    items = items_of(dict.fromkeys("abcefgh", 1), tmp_path)
    copied, blob = whole(items, tmp_path / "first")
    assert len(copied.frames) > 2
    wrong = {
        "other": blob[:-1] + bytes([blob[-1] ^ 1]),
        "short": blob[:-1],
        "long": blob + b"x",
        "frame": blob[: copied.frames[0].packed] * 2 + blob[2 * copied.frames[0].packed :],
    }[change]
    (tmp_path / "blob").write_bytes(wrong)
    with (
        (tmp_path / "blob").open("rb", buffering=0) as file,
        FrameReader(file.fileno(), copied.written.blob, copied.frames) as reader,
        pytest.raises(DamagedBlobError),
    ):
        reader.finish()


def test_what_is_kept_is_read_again_or_not_at_all(tmp_path: Path) -> None:
    items = items_of(dict.fromkeys("abl", 1), tmp_path)
    before = before_of(whole(items, tmp_path / "first")[0])
    data = encoded(before)
    assert decoded(data) == before
    for wrong in (b"", data[:-1], data[:20], data[:-1] + b"x", b"pybuild copy 0" + data[14:]):
        assert decoded(wrong) is None
