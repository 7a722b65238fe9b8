from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError
from builder.layers import packs as cutting
from builder.layers.compress import packed, unpacked
from builder.layers.entry import Entry, Kind
from builder.layers.packread import restore
from builder.layers.packs import LONG, MOST, Pack, missing, packs, runs
from builder.layers.tarwrite import header
from tests.support.tree import tree

_NAME = st.text("ab.ž\udcff \n", min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))
_PATH = st.lists(_NAME | st.sampled_from(["n" * 120, ".wh.x", ".wh..wh..opq"]), min_size=1, max_size=3).map("/".join)
_TIME = st.integers(-(2**60), 2**61)
_ATTRIBUTES = st.dictionaries(st.sampled_from(["user.a", "user.ž"]), st.binary(max_size=9), max_size=2)
_LEAF = st.tuples(
    st.sampled_from(["file", "symlink", "fifo", "twin"]),
    st.binary(max_size=2000),
    st.sampled_from([0o644, 0o755, 0o4755, 0o000]),
    _TIME,
    _ATTRIBUTES,
)
Made = list[tuple[str, tuple[str, bytes, int, int, dict[str, bytes]]]]
_TREE: st.SearchStrategy[Made] = st.lists(st.tuples(_PATH, _LEAF), max_size=12)


def made(found: Made, top: Path) -> Path:
    """A tree of `found` in `top`; what another entry stands in the way of is left out."""
    top.mkdir()
    files: list[Path] = []
    for path, (kind, data, mode, mtime, attributes) in found:
        place = top / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(place):
                continue
        except (FileExistsError, NotADirectoryError):
            continue
        if kind == "twin" and files:
            os.link(files[0], place)
            continue
        if kind == "symlink":
            os.symlink(os.fsdecode(data.replace(b"\0", b"x")[:200] or b"x"), place)
        elif kind == "fifo":
            os.mkfifo(place)
            place.chmod(mode)
        else:
            place.write_bytes(data)
            for name, value in attributes.items():
                os.setxattr(place, name, value)
            place.chmod(mode)
            files.append(place)
        os.utime(place, ns=(mtime, mtime), follow_symlinks=False)
    return top


def exact(top: Path) -> dict[str, object]:
    """The tree, with times to the nanosecond and its own directory."""
    times = {path: os.lstat(top / path).st_mtime_ns for path in [".", *tree(top)]}
    return {"nodes": tree(top), "times": times, "top": stat.S_IMODE(top.stat().st_mode)}


def wanted(found: list[Pack]) -> list[tuple[Digest, bool]]:
    return [(Digest.of(pack.data), pack.goes_on) for pack in found]


def taken(found: list[Pack], to: Path, there: Path | None = None) -> list[int]:
    """A tree made of packs at `to`, of what is `there` where it can be; gives which packs were fetched."""
    fetched: list[int] = []

    def fetch(number: int) -> bytes:
        fetched.append(number)
        return found[number].data

    to.mkdir()
    here = list(runs(packs(str(there), []))) if there else []
    restore(str(to), missing(wanted(found), here), fetch, str(there))
    return fetched


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs as small as trees of tests need them."""
    shrink(monkeypatch.setattr)


def shrink(set_: Callable[[object, str, int], None]) -> None:
    for name, value in (("LONG", 1000), ("MOST", 4000), ("_LEAST", 600), ("_USUAL", 1500)):
        set_(cutting, name, value)


@settings(max_examples=60, deadline=None)
@given(before=_TREE, after=_TREE)
def test_a_tree_is_what_it_was_wherever_it_is_taken(before: Made, after: Made) -> None:
    with TemporaryDirectory() as base, pytest.MonkeyPatch.context() as patch:
        shrink(patch.setattr)
        source, other = made(before, Path(base) / "source"), made([*after, *before], Path(base) / "other")
        left_out: list[str] = []
        found = list(packs(str(source), left_out))
        assert left_out == []
        taken(found, Path(base) / "empty")
        taken(found, Path(base) / "onto", other)
        # What is in one directory with the tree taken from it shares inodes, so links must be compared apart.
        assert exact(Path(base) / "empty") == exact(source)
        assert exact(Path(base) / "onto") == exact(source)
        assert list(packs(str(Path(base) / "onto"), [])) == found
        assert taken(found, Path(base) / "again", source) == []


def test_a_pack_is_never_longer_than_it_may_be(tmp_path: Path, small: None) -> None:
    for number in range(60):
        (tmp_path / f"f{number}").write_bytes(b"x" * (number * 23))
    found = list(packs(str(tmp_path), []))
    assert len(found) > 10
    assert all(len(pack.data) <= 4000 for pack in found)


def test_what_is_edited_costs_its_own_pack_and_what_is_new_those_around_it(tmp_path: Path, small: None) -> None:
    top = tmp_path / "t"
    top.mkdir()
    for number in range(200):
        (top / f"f{number:03}").write_bytes(os.urandom(300))
        os.utime(top / f"f{number:03}", (0, 0))
    os.utime(top, (0, 0))
    before = set(wanted(list(packs(str(top), []))))
    assert len(before) > 50
    (top / "f100").write_bytes(os.urandom(300))
    os.utime(top / "f100", (0, 0))
    edited = set(wanted(list(packs(str(top), []))))
    assert len(edited - before) == 1
    (top / "f1005").write_bytes(b"new")
    (top / "f050").unlink()
    os.utime(top, (0, 0))
    assert 1 < len(set(wanted(list(packs(str(top), [])))) - edited) <= 6


def test_a_long_file_is_cut_and_only_its_changed_pieces_are_new(tmp_path: Path) -> None:
    top = tmp_path / "t"
    top.mkdir()
    data = os.urandom(LONG * 2 + 100)
    (top / "long").write_bytes(data)
    os.utime(top / "long", (0, 0))
    before = list(packs(str(top), []))
    assert [pack.goes_on for pack in before] == [False, True, True, False]
    assert b"".join(pack.data for pack in before[1:])[512 : 512 + len(data)] == data
    with (top / "long").open("r+b") as file:
        file.seek(LONG + 5)
        file.write(b"changed")
    os.utime(top / "long", (0, 0))
    after = list(packs(str(top), []))
    assert [b != a for b, a in zip(before, after, strict=True)] == [False, False, True, False]
    # A file of which a piece differs is fetched whole, however many of its pieces are there.
    assert missing(wanted(before), list(runs(iter(after))))[1:] == [1, 2, 3]
    assert max(len(pack.data) for pack in before) <= MOST


def test_devices_and_what_hangs_on_them_are_left_out_and_sockets_are_nothing(tmp_path: Path) -> None:
    top = tmp_path / "t"
    top.mkdir()
    os.mknod(top / "a", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.link(top / "a", top / "b")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(top / "s"))
    (top / "z").write_text("z")
    left_out: list[str] = []
    (pack,) = packs(str(top), left_out)
    assert [entry.path for entry in pack.entries] == ["", "z"]
    assert left_out == ["a", "b"]


def test_a_file_that_does_not_keep_still_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "busy", "c"):
        (tmp_path / name).write_text(name)
    os.link(tmp_path / "busy", tmp_path / "busy2")
    real, states = cutting._state, iter(range(1000))

    def moving(status: os.stat_result) -> tuple[int, ...]:
        return (next(states),) if status.st_nlink == 2 else real(status)

    monkeypatch.setattr(cutting, "_state", moving)
    left_out: list[str] = []
    (pack,) = packs(str(tmp_path), left_out)
    assert [entry.path for entry in pack.entries] == ["", "a", "c"]
    assert left_out == ["busy", "busy2"]


def test_a_long_file_that_grows_is_an_error(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_bytes(bytes(2500))
    found = packs(str(tmp_path), [])
    next(found)
    next(found)
    (tmp_path / "log").write_bytes(bytes(1500))
    with pytest.raises(BadInputError, match="/log was written to while it was read"):
        list(found)


# --- what must not be trusted ----------------------------------------------------------------------


def tar(*entries: Entry) -> bytes:
    return b"".join(header(entry) + bytes(entry.size + -entry.size % 512) for entry in entries)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (tar(Entry("../out", Kind.FILE)), "climbs out"),
        (tar(Entry("l", Kind.SYMLINK, link="/etc"), Entry("l/passwd", Kind.FILE)), "leads out of the archive's root"),
        (tar(Entry("h", Kind.HARDLINK, link="../../etc/passwd")), "climbs out"),
        (tar(Entry("h", Kind.HARDLINK, link="nothing")), "not in it"),
        (tar(Entry("null", Kind.CHAR, device=(1, 3))), "a device"),
        (tar(Entry("disk", Kind.BLOCK, device=(8, 0))), "a device"),
        (tar(Entry("f", Kind.FILE, size=2000))[:1000], "cut off"),
        (b"x" * 512, "not a tar archive"),
        (tar(Entry("a", Kind.FILE)) + bytes(1024) + tar(Entry("b", Kind.FILE)), "after the end"),
    ],
)
def test_a_pack_that_is_no_clean_tar_is_refused(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    with pytest.raises(BadInputError, match=said):
        restore(str(tmp_path / "to"), [0], lambda number: data, "")
    assert sorted(os.listdir(tmp_path)) == ["to"]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (packed(bytes(200 << 20)), "does not hold the 1000 bytes"),
        (packed(bytes(999)), "does not hold the 1000 bytes"),
        (packed(bytes(1000))[:-1], "damaged"),
        (packed(bytes(1000)) + packed(bytes(1000)), "damaged"),
        # A stream does not say how long it is.
        (zstandard.ZstdCompressor().compressobj().compress(bytes(1000)), "damaged|does not hold"),
        (b"nonsense", "damaged"),
        (b"", "damaged"),
    ],
)
def test_a_frame_takes_no_more_memory_than_it_should(frame: bytes, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        unpacked(frame, 1000)


def test_a_frame_is_the_same_for_the_same_bytes() -> None:
    data = os.urandom(1000) * 3
    assert packed(data) == packed(data)
    assert unpacked(packed(data), 3000) == data


def test_a_pack_is_known_only_where_an_entry_may_begin(tmp_path: Path) -> None:
    """A long file may hold the very bytes of a pack that is there: they are its content, not files."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "f").write_bytes(bytes(400))
    (known,) = packs(str(here), [])
    found = [Pack(tar(replace(Entry("long", Kind.FILE), size=0)), (), goes_on=True), known]
    (run,) = runs(iter([known]))
    assert missing(wanted(found), [run]) == [0, 1]
    assert missing(wanted([known, known]), [run]) == [run, run]


def test_a_link_to_what_was_kept_never_changes_the_old_tree(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "f").write_text("old")
    os.utime(old / "f", (5, 5))
    os.utime(old, (5, 5))
    (run,) = runs(packs(str(old), []))
    before = exact(old)
    hostile = tar(Entry("f", Kind.FILE, 0o600, 7, 7, 1), Entry("g", Kind.HARDLINK, link="f"), Entry("f", Kind.FIFO))
    (tmp_path / "new").mkdir()
    restore(str(tmp_path / "new"), [run, 0], lambda number: hostile, str(old))
    assert exact(old)["nodes"] == before["nodes"]
    assert exact(old)["times"] == before["times"]
