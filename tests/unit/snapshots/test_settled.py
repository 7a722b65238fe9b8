"""After another boot only what was on the disk for sure is used."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from builder.snapshots import settled
from builder.snapshots.apart import suit
from builder.store.open import Store

NAMES = ("a" * 64, "b" * 64)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Store.open(tmp_path / "store").close()
    boot(monkeypatch, "one")
    return tmp_path / "store"


def boot(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(settled, "boot_id", lambda: name)


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, "_EVERY_SECONDS", -1.0)


def make(root: Path, name: str) -> None:
    """A snapshot, as they come: a directory renamed into place."""
    (root / "tmp/new").mkdir()
    (root / "tmp/new").rename(root / "snapshots" / name)


def there(root: Path) -> list[str]:
    return sorted(os.listdir(root / "snapshots"))


def test_in_one_boot_everything_is_used(root: Path) -> None:
    kind = suit(root)
    assert settled.begin(root, kind) is False
    make(root, NAMES[0])
    assert settled.begin(root, kind) is False
    assert there(root) == [NAMES[0]]


def test_in_another_only_what_was_settled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = suit(root)
    settled.begin(root, kind)
    make(root, NAMES[0])
    settled.settle(root, kind)
    make(root, NAMES[1])
    boot(monkeypatch, "two")
    assert settled.begin(root, kind) is False
    assert there(root) == [NAMES[0]]
    assert list((root / "tmp").iterdir()) == []
    boot(monkeypatch, "three")
    settled.begin(root, kind)
    assert there(root) == [NAMES[0]]


def test_one_that_was_made_again_is_another(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = suit(root)
    settled.begin(root, kind)
    make(root, NAMES[0])
    settled.settle(root, kind)
    (root / "snapshots" / NAMES[0]).rmdir()
    make(root, NAMES[0])
    boot(monkeypatch, "two")
    settled.begin(root, kind)
    assert there(root) == []


def test_it_is_time_when_there_is_something_new_and_a_minute_has_passed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = suit(root)
    settled.begin(root, kind)
    make(root, NAMES[0])
    assert settled.begin(root, kind) is False
    later(monkeypatch)
    assert settled.begin(root, kind) is True
    settled.settle(root, kind)
    assert settled.begin(root, kind) is False
    make(root, NAMES[1])
    assert settled.begin(root, kind) is True


@pytest.mark.parametrize("note", [None, "", "x y z\n", "one 1.0 1\nbroken\n", "\0\0\0"])
def test_a_store_without_a_note_keeps_what_it_has(root: Path, note: str | None) -> None:
    kind = suit(root)
    make(root, NAMES[0])
    if note is not None:
        (root / f"settled.{kind}").write_text(note)
    settled.begin(root, kind)
    assert there(root) == [NAMES[0]]


def test_a_disk_that_fails_settles_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = suit(root)
    settled.begin(root, kind)
    make(root, NAMES[0])

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(settled, "sync_file_system", fail)
    settled.settle(root, kind)
    boot(monkeypatch, "two")
    settled.begin(root, kind)
    assert there(root) == []


def test_files_of_other_ids_are_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled.begin(root, suit(root))
    make(root, NAMES[0])
    (root / "settled.mapped").write_text("zero 1.0 1\n")
    boot(monkeypatch, "two")
    settled.begin(root, "mapped")
    assert there(root) == [NAMES[0]]
