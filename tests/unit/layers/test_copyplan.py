"""A copy by a plan makes what the same copy makes in a root."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError, BuildfileError
from builder.layers.changes import changes
from builder.layers.copyjob import Choice, ContextEntry, ContextSource, CopyJob, Fixed, Inline
from builder.layers.copylayer import write_planned
from builder.layers.copyop import copy_into, copy_to
from builder.layers.copyplan import Item, Plan, Unplanned, inherits
from builder.layers.entry import Entry, Kind
from builder.layers.tarwrite import WrittenLayer, write_layer
from builder.layers.unpacked import on_disk
from builder.linux.files import stat_key

TIME = 1_700_000_000_123_456_789
LONG = bytes(range(256)) * 6_000


@contextmanager
def directory(path: Path | str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def planned(root: Path, *jobs: CopyJob, source: str | None = None) -> list[Item]:
    with directory(root) as fd:
        plan = Plan(fd)
        for job in jobs:
            copy_to(plan, fd, job, source)
        return plan.items()


def made(items: list[Item], at: Path) -> WrittenLayer:
    at.mkdir()
    return write_planned(items, str(at), io.BytesIO(), "zstd").written


def file(path: str, target: str, where: Path, mode: int = 0o644, *, settled: bool = True) -> ContextEntry:
    found = where / path
    digest = Digest.of(found.read_bytes())
    state = stat_key(found.stat()) if settled else None
    return ContextEntry(path, target, Kind.FILE, fixed=Fixed(mode, TIME, digest=digest, state=state))


def job(where: Path, *entries: ContextEntry, to: str = "/d/", name: str = "x", **more: object) -> CopyJob:
    return CopyJob(to, str(where), (ContextSource(name, entries),), **more)  # type: ignore[arg-type]


TOP = ContextEntry("", "", Kind.DIRECTORY)


def folder(target: str, mode: int = 0o755, *, parent: bool = False) -> ContextEntry:
    return ContextEntry(target, target, Kind.DIRECTORY, parent, Fixed(mode, TIME))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    where = tmp_path / "context"
    where.mkdir()
    (where / "a").write_bytes(b"a")
    (where / "long").write_bytes(LONG)
    (where / "empty").write_bytes(b"")
    return where


# --- the same as in a root ------------------------------------------------------------------------

_NAMES = st.sampled_from(["a", "b", "a.b", "a-", "ž"])
_MODES = st.sampled_from([0o644, 0o755, 0o4755, 0o1777, 0o2750, 0o600, 0])


@st.composite
def trees(draw: st.DrawFn) -> list[tuple[str, Kind, int, int]]:
    """Paths with kinds, modes and lengths, parents first, in the order of a walk."""
    found: list[tuple[str, Kind, int, int]] = []

    def fill(above: str, depth: int) -> None:
        for name in sorted(draw(st.sets(_NAMES, max_size=3))):
            kind = draw(st.sampled_from([Kind.FILE, Kind.SYMLINK, Kind.FIFO] + [Kind.DIRECTORY] * (depth > 0)))
            size = draw(st.sampled_from([0, 1, 511, 512, 70_000, 2_500_000])) if kind is Kind.FILE else 0
            found.append((f"{above}{name}", kind, draw(_MODES), size))
            if kind is Kind.DIRECTORY:
                fill(f"{above}{name}/", depth - 1)

    fill("", 2)
    return found


def source_of(tree: list[tuple[str, Kind, int, int]], where: Path, name: str) -> ContextSource:
    entries = [TOP]
    (where / name).mkdir()
    for target, kind, mode, size in tree:
        path = where / name / target
        if kind is Kind.FILE:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{name}{target}".encode().ljust(size, b".")[:size])
            entries.append(file(f"{name}/{target}", target, where, mode, settled=size != 511))
            continue
        link = f"to {target}" if kind is Kind.SYMLINK else ""
        entries.append(ContextEntry(f"{name}/{target}", target, kind, fixed=Fixed(mode, TIME, link)))
    return ContextSource(name, tuple(entries))


@given(st.lists(trees(), min_size=1, max_size=3), st.sampled_from(["", "7:8"]), st.sampled_from(["", "u+w,g-r"]))
@settings(max_examples=60, deadline=None)
def test_a_plan_is_what_becomes_of_it_in_a_root(
    several: list[list[tuple[str, Kind, int, int]]], chown: str, chmod: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        (where / "root").mkdir()
        sources = tuple(source_of(tree, where, str(number)) for number, tree in enumerate(several))
        wanted = CopyJob("/d/e/", name, sources, inline=(Inline("in", b"line"),), chown=chown, chmod=chmod)
        (where / "other").mkdir()
        try:
            copy_into(str(where / "other"), wanted)
        except BuildfileError as error:
            with pytest.raises(BuildfileError, match=error.message.replace("/", ".")[:30]):
                planned(where / "root", wanted)
            return
        layer = made(planned(where / "root", wanted), where / "made")
        out = write_layer(changes(str(where / "other"), ()), io.BytesIO(), "zstd")
        assert [_timeless(entry) for entry in layer.entries] == [_timeless(entry) for entry in out.entries]
        assert layer.content_id == out.content_id
        assert on_disk(str(where / "made")) == on_disk(str(where / "other"))
        again = write_layer(changes(str(where / "made"), ()), io.BytesIO(), "zstd")
        assert again.diff_id == layer.diff_id
        assert again.blob == layer.blob


def _timeless(entry: Entry) -> Entry:
    """In whole seconds, as tars have them; without times of what was made just now."""
    new = entry.kind is Kind.DIRECTORY or entry.path.endswith("/in")
    return replace(entry, mtime=0 if new else entry.mtime, nanoseconds=0)


# --- what is there already ------------------------------------------------------------------------


def test_directories_that_are_there_are_told_of_only_as_far_as_something_is_in_them(root: Path, context: Path) -> None:
    (root / "d" / "same").mkdir(parents=True)
    (root / "d" / "other").mkdir()
    (root / "d" / "with").mkdir()
    (root / "d").chmod(0o711)
    entries = (TOP, folder("other", 0o700), folder("same"), folder("with", parent=True), file("a", "with/a", context))
    items = planned(root, job(context, *entries))
    assert [(item.entry.path, item.entry.mode) for item in items] == [
        ("d", 0o711),
        ("d/other", 0o700),
        ("d/with", 0o755),
        ("d/with/a", 0o644),
    ]
    layer = made(items, root.parent / "made")
    assert [entry.path for entry in layer.entries] == [item.entry.path for item in items]
    assert os.stat(root.parent / "made" / "d" / "with").st_mtime_ns == TIME
    assert not (root.parent / "made" / "d" / "same").exists()


def test_attributes_of_a_directory_stay_beside_those_that_come(root: Path, context: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / "in").mkdir()
    os.setxattr(root / "d" / "in", "user.b", b"old")
    os.setxattr(root / "d" / "in", "user.c", b"old")
    comes = ContextEntry(
        "in", "in", Kind.DIRECTORY, fixed=Fixed(0o755, TIME, xattrs=(("user.a", b"1"), ("user.b", b"2")))
    )
    found = planned(root, job(context, TOP, comes))[-1].entry
    assert found.xattrs == (("user.a", b"1"), ("user.b", b"2"), ("user.c", b"old"))


@pytest.mark.parametrize("there", ["file", "link"])
def test_a_file_is_replaced_and_a_link_on_the_way_to_the_destination_is_followed(
    root: Path, context: Path, there: str
) -> None:
    (root / "real").mkdir()
    (root / "d").symlink_to("real")
    if there == "file":
        (root / "real" / "a").write_text("old")
    else:
        (root / "real" / "a").symlink_to("/elsewhere")
    items = planned(root, job(context, TOP, file("a", "a", context)))
    assert [(item.entry.path, item.entry.kind) for item in items] == [("real", "dir"), ("real/a", "file")]


def test_what_collides_is_refused_as_in_a_root(root: Path, context: Path) -> None:
    (root / "d" / "a").mkdir(parents=True)
    (root / "d" / "b").write_text("")
    with pytest.raises(BuildfileError, match="cannot replace the directory a"):
        planned(root, job(context, TOP, file("a", "a", context)))
    with pytest.raises(BuildfileError, match="cannot copy directory d/b over"):
        planned(root, job(context, TOP, folder("b")))
    with pytest.raises(BuildfileError, match="/d/b/c cannot be a directory: b is a file"):
        planned(root, job(context, TOP, file("a", "a", context), to="/d/b/c/"))


def test_a_single_file_gets_the_name_of_its_destination(root: Path, context: Path) -> None:
    one = file("a", "", context)
    assert [i.entry.path for i in planned(root, job(context, one, to="/d/new"))] == ["d", "d/new"]
    assert [i.entry.path for i in planned(root, job(context, one, to="/d/", name="dir/x"))] == ["d", "d/x"]
    (root / "d").mkdir()
    assert [i.entry.path for i in planned(root, job(context, one, to="/d", name="dir/x"))] == ["d", "d/x"]
    assert [i.entry.path for i in planned(root, job(context, one, to="/"))] == ["x"]


# --- links, and what cannot be planned ------------------------------------------------------------


def linked(context: Path) -> tuple[ContextEntry, ...]:
    one = file("a", "one", context)
    assert one.fixed is not None
    return TOP, one, ContextEntry("a", "two", Kind.FILE, fixed=replace(one.fixed, link="one"))


def test_hard_links_stay_links(root: Path, context: Path) -> None:
    layer = made(planned(root, job(context, *linked(context))), root.parent / "made")
    assert [(e.path, e.kind, e.link) for e in layer.entries[1:]] == [
        ("d/one", "file", ""),
        ("d/two", "hardlink", "d/one"),
    ]
    there = root.parent / "made" / "d"
    assert os.path.samefile(there / "one", there / "two")


def test_a_file_with_other_names_that_is_replaced_is_not_planned(root: Path, context: Path) -> None:
    again = ContextSource("y", (TOP, file("long", "one", context)))
    both = replace(job(context, *linked(context)), sources=(*job(context, *linked(context)).sources, again))
    with pytest.raises(Unplanned):
        planned(root, both)


def test_what_adds_an_archive_is_not_planned(root: Path, context: Path) -> None:
    with pytest.raises(Unplanned):
        planned(root, job(context, file("a", "", context), unpack=True))


def test_where_files_inherit_rules_nothing_is_planned(root: Path, context: Path) -> None:
    (root / "d").mkdir()
    assert not inherits(str(root / "d"))
    # struct posix_acl_xattr_header and its three entries, as u::rwx,g::r-x,o::r-x
    rules = b"\x02\0\0\0" + b"".join(bytes([tag, 0, bits, 0]) + b"\xff" * 4 for tag, bits in ((1, 7), (4, 5), (32, 5)))
    os.setxattr(root / "d", "system.posix_acl_default", rules)
    assert inherits(str(root / "d"))
    with pytest.raises(Unplanned):
        planned(root, job(context, TOP, file("a", "a", context)))


# --- from a stage ---------------------------------------------------------------------------------


def test_of_a_stage_owners_attributes_and_links_are_kept(root: Path, tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    (stage / "s").mkdir(parents=True)
    (stage / "s" / "one").write_bytes(LONG)
    os.link(stage / "s" / "one", stage / "s" / "two")
    os.setxattr(stage / "s" / "one", "user.a", b"1")
    os.chown(stage / "s" / "one", 5, 6)
    os.mkfifo(stage / "s" / "fifo")
    wanted = CopyJob("/d/", choice=Choice(("s",)))
    layer = made(planned(root, wanted, source=str(stage)), tmp_path / "made")
    (tmp_path / "other").mkdir()
    copy_into(str(tmp_path / "other"), wanted, str(stage))
    assert on_disk(str(tmp_path / "made")) == on_disk(str(tmp_path / "other"))
    found = {entry.path: entry for entry in layer.entries}
    assert (found["d/one"].uid, found["d/one"].digest, found["d/two"].link) == (5, Digest.of(LONG), "d/one")


# --- what changes meanwhile -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "long"])
@pytest.mark.parametrize("settled", [True, False])
def test_what_changed_since_is_refused(root: Path, context: Path, name: str, settled: bool) -> None:
    items = planned(root, job(context, TOP, file(name, name, context, settled=settled)))
    status = os.stat(context / name)
    content = (context / name).read_bytes()
    (context / name).write_bytes(b"A" + content[1:])
    os.utime(context / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(BadInputError, match="changed while it was being copied"):
        made(items, root.parent / "made")


@pytest.mark.parametrize(("name", "size"), [("a", 0), ("a", 2), ("long", 1_200_000), ("empty", 1)])
def test_what_grew_or_shrank_is_refused(root: Path, context: Path, name: str, size: int) -> None:
    items = planned(root, job(context, TOP, file(name, name, context)))
    os.truncate(context / name, size)
    with pytest.raises(BadInputError, match="changed while it was being copied"):
        made(items, root.parent / "made")


@pytest.mark.parametrize("name", ["a", "long"])
def test_what_was_touched_and_holds_the_same_is_copied(root: Path, context: Path, name: str) -> None:
    items = planned(root, job(context, TOP, file(name, name, context)))
    os.utime(context / name)
    layer = made(items, root.parent / "made")
    assert layer.entries[-1].digest == Digest.of((context / name).read_bytes())
    assert (root.parent / "made" / "d" / name).read_bytes() == (context / name).read_bytes()


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "nothing"])
def test_what_is_no_file_any_more_is_refused(root: Path, context: Path, kind: str) -> None:
    items = planned(root, job(context, TOP, file("a", "a", context)))
    (context / "a").unlink()
    with suppress(KeyError):
        {"fifo": os.mkfifo, "directory": os.mkdir, "link": lambda path: os.symlink("long", path)}[kind](context / "a")
    with pytest.raises(BadInputError, match="changed while it was being copied"):
        made(items, root.parent / "made")


def test_nothing_is_left_open_when_it_fails(root: Path, context: Path) -> None:
    items = planned(root, job(context, TOP, folder("in"), file("a", "in/a", context), file("long", "in/b", context)))
    (context / "long").write_bytes(b"other")
    before = os.listdir("/proc/self/fd"), len(os.listdir("/proc/self/task"))
    with pytest.raises(BadInputError):
        made(items, root.parent / "made")
    assert (os.listdir("/proc/self/fd"), len(os.listdir("/proc/self/task"))) == before
