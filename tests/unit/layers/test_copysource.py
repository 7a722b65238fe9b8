"""A copy is what its key says, or it is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError
from builder.layers.copyjob import ContextEntry, Fixed
from builder.layers.copysource import check_copy, opened
from builder.layers.entry import Kind
from builder.linux.files import stat_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "file"
    found.write_text("content")
    return found


def entry(path: Path, *, settled: bool = True) -> ContextEntry:
    status = path.stat()
    state = stat_key(status) if settled else None
    return ContextEntry("file", "", Kind.FILE, fixed=Fixed(0o644, 0, digest=Digest.of(b"content"), state=state))


def copied(what: ContextEntry, path: Path, content: str = "content") -> None:
    """Check a copy that has `content`."""
    copy = path.with_name("copy")
    copy.write_text(content)
    with path.open("rb") as source, copy.open("rb") as target:
        check_copy(what, source.fileno(), target.fileno())


@pytest.mark.parametrize("settled", [True, False])
def test_a_copy_that_is_right(path: Path, settled: bool) -> None:
    copied(entry(path, settled=settled), path)


def test_a_copy_in_an_unchanged_state_need_not_be_read(path: Path) -> None:
    copied(entry(path), path, "not looked at")


def test_a_state_that_says_nothing_has_the_copy_read(path: Path) -> None:
    """The file was touched so late that it may change within the same tick: only the copy tells."""
    with pytest.raises(BadInputError, match="file changed while it was being copied"):
        copied(entry(path, settled=False), path, "CONTENT")


def test_a_file_that_was_touched_but_holds_the_same(path: Path) -> None:
    what = entry(path)
    path.chmod(0o600)
    os.utime(path)
    copied(what, path)


def test_a_file_that_was_changed(path: Path) -> None:
    what = entry(path)
    path.write_text("CONTENT")
    with pytest.raises(BadInputError, match="changed while it was being copied"):
        copied(what, path, "CONTENT")


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("become", [lambda path: None, _link, os.mkfifo, os.mkdir], ids=["gone", "link", "fifo", "dir"])
def test_what_is_no_file_any_more_is_not_opened(path: Path, become: Callable[[Path], object]) -> None:
    what = entry(path)
    path.unlink()
    become(path)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BadInputError, match="changed while it was being copied"):
        opened(what, str(path))
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_lies_in_the_store_is_taken_as_it_is(path: Path) -> None:
    copied(replace(entry(path), fixed=None), path, "whatever")
