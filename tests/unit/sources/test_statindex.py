"""When a remembered digest is trusted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import BadInputError
from builder.lang.ignore import Ignore
from builder.layers.choice import Part
from builder.linux.filesystem import filesystem
from builder.sources import hashing, statindex
from builder.sources.statindex import contents, read_last
from builder.sources.walk import STATE, Walk, packed
from builder.store.open import Store
from builder.store.stats import Contents, StatTable

REMEMBERED = Digest.of(b"remembered")
SECOND = 1_000_000_000


@pytest.fixture
def table(tmp_path: Path) -> Iterator[StatTable]:
    store = Store.open(tmp_path / "store")
    yield store.stats
    store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "files" / "file"
    found.parent.mkdir()
    found.write_text("content")
    return found


def hashed(table: StatTable, path: Path, *, paranoid: bool = False) -> tuple[Digest, bool]:
    """What is in a file, and whether it is settled."""
    walk = Walk(str(path.parent), Ignore(), top=False, git=False)
    walk.add(path.name, path.name, Part(path.name, "", (), required=True))
    held = contents(table, walk, paranoid=paranoid)
    (one,) = held.values()
    return one.digest(0), read_last(walk, held) is not None


def read(table: StatTable, path: Path) -> bool:
    """Whether the file is read rather than known."""
    found, _ = hashed(table, path)
    assert found in (REMEMBERED, Digest.of(path.read_bytes()))
    return found != REMEMBERED


def remember(table: StatTable, path: Path, state: bytes, at: int | None = None) -> None:
    moment = time.time_ns() if at is None else at
    table.remember([(str(path.parent), Contents(state, bytes.fromhex(REMEMBERED.hex), {}, moment))])


def known(table: StatTable, path: Path) -> bytes:
    """The digests that are remembered of the directory a file is in."""
    found = table.directories([str(path.parent)]).get(str(path.parent))
    return b"" if found is None else found.digests


def test_what_is_remembered_is_not_read(table: StatTable, path: Path) -> None:
    remember(table, path, packed(path.stat()))
    assert not read(table, path)
    path.chmod(0o600)
    assert read(table, path)


@pytest.mark.parametrize("attribute", range(7), ids=["device", "inode", "size", "mtime", "ctime", "mode", "links"])
def test_every_part_of_the_state_counts(table: StatTable, path: Path, attribute: int) -> None:
    state = list(STATE.unpack(packed(path.stat())))
    state[attribute] += 1
    remember(table, path, STATE.pack(*state))
    assert read(table, path)


@pytest.mark.parametrize(
    ("ctime", "later", "settled"),
    [
        (5 * SECOND + 1, 0, False),
        (5 * SECOND + 1, 15_000_000, False),  # within a tick of the kernel's clock
        (5 * SECOND + 1, 25_000_000, True),
        (5 * SECOND, 25_000_000, False),  # a file system that keeps whole seconds, by its zeros
        (5 * SECOND, 1_900_000_000, False),
        (5 * SECOND, 2_010_000_000, False),  # two seconds, and a tick
        (5 * SECOND, 2_100_000_000, True),
        (5 * SECOND + 1, -1 * SECOND, False),  # a file from the future, or a clock that was set back
    ],
)
def test_the_racy_rule(ctime: int, later: int, settled: bool) -> None:
    """A file that was touched as late as this could change again without its times changing."""
    assert statindex._settled(ctime, ctime + later) == settled


def settle(path: Path) -> None:
    """Wait until the file is older than the clock's grain."""
    while not statindex._settled(path.stat().st_ctime_ns, time.time_ns()):
        time.sleep(0.005)


def test_a_settled_file_is_remembered(table: StatTable, path: Path) -> None:
    settle(path)
    assert hashed(table, path) == (Digest.of(b"content"), True)
    assert known(table, path) == bytes.fromhex(Digest.of(b"content").hex)


def test_the_moment_before_reading_counts(table: StatTable, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is read too early is not settled by what takes long after it: it may have changed meanwhile."""
    now = [path.stat().st_ctime_ns + 1]
    digest = hashing.file_sha256

    def slowly(fd: int, size: int) -> bytes:
        now[0] += SECOND
        return digest(fd, size)

    monkeypatch.setattr(hashing, "file_sha256", slowly)
    monkeypatch.setattr(statindex.time, "time_ns", lambda: now[0])
    assert not hashed(table, path)[1]
    assert known(table, path) == b""
    assert hashed(table, path)[1]


def test_what_was_read_in_the_future_is_read_again(table: StatTable, path: Path) -> None:
    """The clock was set back since: what happens now may get any time that was already."""
    remember(table, path, packed(path.stat()), time.time_ns() + 3600 * SECOND)
    assert read(table, path)


def test_a_change_in_the_same_tick_is_seen(table: StatTable, path: Path) -> None:
    """The same size and the same times, as a program that restores them leaves it."""
    for number in range(50):
        content = f"{number:04}"
        path.write_text(content)
        os.utime(path, ns=(1, 1))
        assert hashed(table, path)[0] == Digest.of(content.encode())


def _rewritten(path: Path) -> None:
    path.write_text("CONTENT")


def _swapped(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("CONTENT")
    other.rename(path)


def _made_anew(path: Path) -> None:
    """The inode is used again, likely: for the next file that is made."""
    path.unlink()
    path.write_text("CONTENT")


@pytest.mark.parametrize("change", [_rewritten, _swapped, _made_anew])
def test_the_same_size_and_mtime_do_not_deceive(table: StatTable, path: Path, change: Callable[[Path], object]) -> None:
    settle(path)
    before = path.stat()
    assert hashed(table, path)[1]
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert hashed(table, path)[0] == Digest.of(b"CONTENT")


@pytest.mark.parametrize(
    ("kind", "trusted"),
    [("ext4", True), ("overlay", True), ("nfs4", False), ("fuse.sshfs", False), ("vfat", False), ("squashfs", False),
     ("", False)],
)  # fmt: skip
def test_only_a_ctime_of_this_kernels_clock_is_trusted(
    table: StatTable, path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, trusted: bool
) -> None:
    monkeypatch.setattr(statindex, "filesystem", lambda _: kind)
    settle(path)
    assert hashed(table, path)[1] == trusted
    remember(table, path, packed(path.stat()))
    assert read(table, path) != trusted


def test_which_file_system_a_path_is_on(tmp_path: Path) -> None:
    assert filesystem("/proc/self/status") == "proc"
    assert filesystem("/sys") == "sysfs"
    assert filesystem(str(tmp_path / "missing")) == ""
    link = tmp_path / "link"
    link.symlink_to("/proc")
    assert filesystem(str(link)) == filesystem(str(tmp_path)) != "proc"


def test_paranoid_reads_everything(table: StatTable, path: Path) -> None:
    settle(path)
    remember(table, path, packed(path.stat()))
    assert hashed(table, path, paranoid=True)[0] == Digest.of(b"content")
    assert read(table, path), "what was wrong is forgotten"


def test_a_file_that_changes_while_it_is_read(table: StatTable, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashing.file_sha256

    def slowly(fd: int, size: int) -> bytes:
        path.write_text("other content")
        return digest(fd, size)

    monkeypatch.setattr(hashing, "file_sha256", slowly)
    with pytest.raises(BadInputError, match="file changed while it was read"):
        hashed(table, path)


@pytest.mark.parametrize("size", [0, 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 1 << 20])
def test_files_of_any_size(table: StatTable, path: Path, size: int) -> None:
    data = os.urandom(size)
    path.write_bytes(data)
    assert hashed(table, path)[0] == Digest.of(data)


def test_a_file_that_is_longer_than_it_says(tmp_path: Path) -> None:
    """As those of /proc are."""
    path = tmp_path / "file"
    path.write_text("content")
    fd = os.open(path, os.O_RDONLY)
    try:
        assert hashing.file_sha256(fd, 0) == hashing.file_sha256(fd, 100) == bytes.fromhex(Digest.of(b"content").hex)
    finally:
        os.close(fd)


# --- what stays and what goes --------------------------------------------------------------------


def test_selections_of_one_directory_know_of_each_other(table: StatTable, path: Path) -> None:
    other = path.with_name("other")
    other.write_text("other")
    settle(other)
    for each in (path, other):
        assert hashed(table, each)[1]
    assert {known(table, path)[at : at + 32].hex() for at in (0, 32)} == {
        Digest.of(content).hex for content in (b"content", b"other")
    }
    path.write_text("changed")
    settle(path)
    hashed(table, path)
    assert len(known(table, path)) == 64, "in place of what it was before"


def test_of_files_that_go_few_stay_known(table: StatTable, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statindex, "_OTHERS", 3)
    for number in range(6):
        file = path.with_name(str(number))
        file.write_text("")
        settle(file)
        hashed(table, file)
    assert len(known(table, path)) == (1 + 3) * 32


def test_what_was_not_used_for_long_or_is_no_more_is_swept(table: StatTable, path: Path) -> None:
    kept, gone = str(path.parent), str(path.parent / "gone")
    contents = Contents(b"", b"", {}, 1)
    table.remember([(kept, contents), (gone, contents)])
    table.sweep()
    assert table.directories([kept, gone]) == {kept: contents}
    for days, left in ((30, {kept: contents}), (31, {})):
        table._db.execute("UPDATE directories SET used = ?", (int(time.time()) // 86400 - days,))
        table.sweep()
        assert table.directories([kept]) == left


def test_what_is_damaged_is_not_known(table: StatTable, path: Path) -> None:
    remember(table, path, packed(path.stat()))
    table._db.execute("UPDATE directories SET contents = ?", (b"\xc1 damaged",))
    assert read(table, path)


# --- side by side --------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [1, 6, 1000], ids=["few in children", "many in children", "by threads"])
def test_files_are_read_side_by_side(table: StatTable, path: Path, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr(hashing, "_LARGE", 1000)
    monkeypatch.setattr(hashing, "_MANY", many)
    monkeypatch.setattr(hashing.os, "sched_getaffinity", lambda _: range(3))
    os.setxattr(path, "user.x", b"\0")
    sizes = {"a": 0, "b": 999, "c": 1000, "d": 5000, "e/f": 2000, "e/g": 10}
    for name, size in sizes.items():
        (path.parent / name).parent.mkdir(exist_ok=True)
        (path.parent / name).write_bytes(os.urandom(size))
    walk = Walk(str(path.parent), Ignore(), top=False, git=False)
    source = walk.add("", "", Part("", "", (), required=True))
    assert source is not None
    held = contents(table, walk)
    for listed, index in source.tree.below():
        if index not in listed.others:
            data = (path.parent / listed.path / listed.names[index]).read_bytes()
            assert held[listed].digest(index) == Digest.of(data)
            assert held[listed].state(index) == listed.state(index)
            assert held[listed].xattrs.get(index, ()) == ((("user.x", b"\0"),) if listed.names[index] == "file" else ())


@pytest.mark.parametrize("many", [1, 1000], ids=["in a child", "in a thread"])
def test_what_fails_beside_is_told(table: StatTable, path: Path, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr(hashing, "_LARGE", 1)
    monkeypatch.setattr(hashing, "_MANY", many)
    path.with_name("another").write_text("other")
    walk = Walk(str(path.parent), Ignore(), top=False, git=False)
    walk.add("", "", Part("", "", (), required=True))
    path.unlink()
    with pytest.raises(FileNotFoundError) as raised:
        contents(table, walk)
    assert raised.value.filename == str(path)
