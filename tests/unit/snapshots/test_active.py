from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.linux import syscalls
from builder.linux.files import remove_tree
from builder.snapshots.active import Snapshots, lay_on, tree_below
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


def committed(snapshots: Snapshots, diff_id: Digest, below: Digest | None = None, name: str = "file") -> None:
    with snapshots.scratch() as path:
        (Path(path) / name).touch()
        snapshots.commit(path, diff_id, below)


WHOLE, ABOVE = Digest.of(b"whole"), Digest.of(b"above")


def test_a_snapshot_may_lie_on_another(snapshots: Snapshots) -> None:
    committed(snapshots, WHOLE)
    committed(snapshots, ABOVE, WHOLE)
    assert snapshots.has(ABOVE)
    assert snapshots.lowers([EMPTY, ABOVE]) == tuple(map(snapshots.path, (ABOVE, WHOLE, EMPTY)))
    assert snapshots.lowers([WHOLE, ABOVE]) == snapshots.lowers([ABOVE]) == snapshots.parts(ABOVE)
    assert snapshots.trees_below([ABOVE, WHOLE, EMPTY]) == {WHOLE}


def test_one_whose_lower_part_is_gone_is_none_and_makes_room(snapshots: Snapshots) -> None:
    committed(snapshots, WHOLE)
    committed(snapshots, ABOVE, WHOLE)
    remove_tree(snapshots.path(WHOLE))
    assert not snapshots.has(ABOVE)
    committed(snapshots, ABOVE, name="anew")
    assert snapshots.has(ABOVE)
    assert snapshots.parts(ABOVE) == (snapshots.path(ABOVE),)
    assert os.listdir(snapshots.path(ABOVE)) == ["anew"]


def test_only_pybuild_says_what_a_snapshot_lies_on(snapshots: Snapshots) -> None:
    """A step may write any attribute on the directory it has as its root, a layer any on its own."""
    committed(snapshots, WHOLE)
    with snapshots.scratch() as path:
        lay_on(path, WHOLE)
        snapshots.commit(path, ABOVE)
    assert tree_below(snapshots.path(ABOVE)) is None
