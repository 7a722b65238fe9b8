"""When a remembered digest is trusted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import BadInputError
from builder.linux.files import StatKey, stat_key
from builder.linux.filesystem import filesystem
from builder.sources import statindex
from builder.sources.statindex import Hashed, digests
from builder.store.open import Store
from builder.store.stats import Known, StatTable

REMEMBERED = Digest.of(b"remembered")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[StatTable]:
    store = Store.open(tmp_path / "store")
    yield store.stats
    store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "file"
    found.write_text("content")
    return found


def hashed(table: StatTable, path: Path, *, paranoid: bool = False) -> Hashed:
    (found,) = digests(table, [(str(path), os.stat(path))], paranoid=paranoid)
    return found


def read(table: StatTable, path: Path) -> bool:
    """Whether the file is read rather than known."""
    found = hashed(table, path).digest
    assert found in (REMEMBERED, Digest.of(path.read_bytes()))
    return found != REMEMBERED


def remember(table: StatTable, key: StatKey, at: int | None = None) -> None:
    table.remember([(key, Known(REMEMBERED, (), time.time_ns() if at is None else at))])


def test_what_is_remembered_is_not_read(table: StatTable, path: Path) -> None:
    remember(table, stat_key(path.stat()))
    assert not read(table, path)
    path.chmod(0o600)
    assert read(table, path)


@pytest.mark.parametrize("attribute", range(6), ids=["device", "inode", "size", "mtime", "ctime", "mode"])
def test_every_part_of_the_state_counts(table: StatTable, path: Path, attribute: int) -> None:
    key = list(stat_key(path.stat()))
    key[attribute] += 1
    remember(table, tuple(key))  # type: ignore[arg-type]
    assert read(table, path)


SECOND = 1_000_000_000


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
    assert hashed(table, path).state is not None
    (known,) = table.lookup([stat_key(path.stat())])
    assert known is not None
    assert known.digest == Digest.of(b"content")


def test_the_moment_before_reading_counts(table: StatTable, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is read too early is not settled by what takes long after it: it may have changed meanwhile."""
    now = [path.stat().st_ctime_ns + 1]
    content = statindex._read

    def slowly(name: str) -> object:
        found = content(name)
        now[0] += SECOND
        return found

    monkeypatch.setattr(statindex, "_read", slowly)
    monkeypatch.setattr(statindex.time, "time_ns", lambda: now[0])
    assert hashed(table, path).state is None
    assert table.lookup([stat_key(path.stat())]) == [None]
    assert hashed(table, path).state is not None


def test_what_was_read_in_the_future_is_read_again(table: StatTable, path: Path) -> None:
    """The clock was set back since: what happens now may get any time that was already."""
    remember(table, stat_key(path.stat()), time.time_ns() + 3600 * SECOND)
    assert read(table, path)


def test_a_change_in_the_same_tick_is_seen(table: StatTable, path: Path) -> None:
    """The same size and the same times, as a program that restores them leaves it."""
    for number in range(50):
        content = f"{number:04}"
        path.write_text(content)
        os.utime(path, ns=(1, 1))
        assert hashed(table, path).digest == Digest.of(content.encode())


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
    assert hashed(table, path).state is not None
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert hashed(table, path).digest == Digest.of(b"CONTENT")


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
    assert (hashed(table, path).state is not None) == trusted
    remember(table, stat_key(path.stat()))
    assert read(table, path) != trusted


def test_which_file_system_a_path_is_on(tmp_path: Path) -> None:
    assert filesystem("/proc/self/status") == "proc"
    assert filesystem("/sys") == "sysfs"
    assert filesystem(str(tmp_path / "missing")) == ""
    link = tmp_path / "link"
    link.symlink_to("/proc")
    assert filesystem(str(link)) == filesystem(str(tmp_path)) != "proc"


def test_paranoid_reads_everything_and_leaves_nothing_settled(table: StatTable, path: Path) -> None:
    settle(path)
    remember(table, stat_key(path.stat()))
    found = hashed(table, path, paranoid=True)
    assert found.digest == Digest.of(b"content")
    assert found.state is None
    assert read(table, path), "what was wrong is forgotten"


def test_a_file_that_changes_while_it_is_read(table: StatTable, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = statindex.hashlib.file_digest

    def slowly(file: object, name: str) -> object:
        path.write_text("other content")
        return digest(file, name)

    monkeypatch.setattr(statindex.hashlib, "file_digest", slowly)
    with pytest.raises(BadInputError, match="file changed while it was read"):
        hashed(table, path)
