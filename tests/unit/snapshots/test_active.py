from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.linux import syscalls
from builder.snapshots.active import Snapshots
from builder.store.open import Store

EMPTY = Digest.of(b"a layer without files")


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    Store.open(tmp_path / "store").close()
    return Snapshots(tmp_path / "store")


def test_a_snapshot_never_takes_anothers_place(snapshots: Snapshots) -> None:
    """Of two that unpack a layer the first one's stays, an empty one too: it may be mounted already."""
    inodes = []
    for _ in range(2):
        with snapshots.scratch() as path:
            snapshots.commit(path, EMPTY)
        inodes.append(os.stat(snapshots.path(EMPTY)).st_ino)
    assert inodes[0] == inodes[1]
    assert snapshots.all() == [EMPTY]


def test_what_is_no_layer_is_none(snapshots: Snapshots, tmp_path: Path) -> None:
    (tmp_path / "store" / "snapshots" / "lost+found").mkdir()
    assert snapshots.all() == []


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with pytest.raises(FileExistsError):
        syscalls.rename_new(str(tmp_path / "one"), str(tmp_path / "two"))
    syscalls.rename_new(str(tmp_path / "one"), str(tmp_path / "three"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["three", "two"]
