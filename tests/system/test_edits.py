"""A tree that was edited since it was copied last: what is taken over of that copy makes what a whole copy makes."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.image.descriptor import Layer
from builder.linux.files import remove_tree
from builder.snapshots.active import Snapshots, tree_below
from builder.store.open import Store
from tests.support.program import Pybuild

TEXT = """FROM base
COPY tree /
RUN cat /d/one /d/two | sha256sum > /sum && stat -c %h /d/one /d/two > /links && ls /d > /names
"""
LONG = 900_000


def lay_out(pybuild: Pybuild) -> Path:
    """A tree whose tar is several frames."""
    chance = random.Random(7)
    for name in ("one", "two", "dir/three", *(f"dir/more{number}" for number in range(9))):
        pybuild.file(f"tree/d/{name}", chance.randbytes(LONG))
    for number in range(60):
        pybuild.file(f"tree/d/small/{number}", f"{number}")
    (pybuild.work / "tree" / "d" / "link").symlink_to("one")
    for path in (pybuild.work / "tree").rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    return pybuild.work / "tree" / "d"


@pytest.fixture
def tree(pybuild: Pybuild) -> Path:
    pybuild.base()
    return lay_out(pybuild)


def copied(pybuild: Pybuild, name: str = "app") -> Layer:
    """Build, and give the layer of the COPY."""
    assert "COPY tree /" in pybuild.build(TEXT, "-t", name).ok().ran
    return layer_of(pybuild, name)


def layer_of(pybuild: Pybuild, name: str = "app") -> Layer:
    store = Store.open(pybuild.root)
    try:
        return store.images.layers(store.images.find(name).manifest.digest)[1]
    finally:
        store.close()


def whole(pybuild: Pybuild) -> Layer:
    """The layer that a copy makes that remembers nothing."""
    memory = pybuild.root / "copies"
    aside = memory.rename(memory.with_name("aside"))
    pybuild.build(TEXT, "-t", "app", "--no-cache").ok()
    remove_tree(str(memory))
    aside.rename(memory)
    return layer_of(pybuild)


def lies_on(pybuild: Pybuild, layer: Layer) -> bool:
    """Whether the snapshot of a layer is only what differs from another."""
    return tree_below(Snapshots(pybuild.root).path(layer.diff_id)) is not None


def edit(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(LONG // 2)
        file.write(b"edited")


def replaced(path: Path) -> None:
    path.unlink()
    path.symlink_to("two")


# What is changed, and whether the next snapshot can lie on the last whole one.
CHANGES: list[tuple[Callable[[Path], object], bool]] = [
    (lambda d: edit(d / "one"), True),
    (lambda d: (d / "dir" / "three").write_bytes(b"longer" * LONG), True),
    (lambda d: (d / "dir" / "new").write_text("new"), True),
    (lambda d: ((d / "dir" / "new").unlink(), edit(d / "dir" / "more0")), True),
    (lambda d: (d / "dir" / "three").chmod(0o4711), True),
    (lambda d: (os.utime(d / "dir" / "more1"), os.setxattr(d / "two", "user.a", b"b")), True),
    (lambda d: replaced(d / "one"), True),
    (lambda d: (d / "dir" / "more3").unlink(), False),
    (lambda d: (d / "dir" / "more4").rename(d / "dir" / "other"), False),
    (lambda d: os.link(d / "two", d / "dir" / "again"), False),
    (lambda d: ((d / "dir" / "again").unlink(), edit(d / "dir" / "more2")), False),
    (lambda d: edit(d / "two"), True),
    (lambda d: (remove_tree(str(d / "dir")), (d / "dir").write_text("file")), False),
]


def test_what_was_edited_is_as_if_it_were_copied_as_a_whole(pybuild: Pybuild, tree: Path) -> None:
    copied(pybuild)
    for number, (change, stands) in enumerate(CHANGES):
        change(tree)
        layer = copied(pybuild)
        assert lies_on(pybuild, layer) is stands, number
        seen = pybuild.shell("app", "cat /links /names; cd /d; cat one two | sha256sum; ls -lR | grep -v total")
        again = whole(pybuild)
        assert (layer.diff_id, layer.content_id, layer.blob) == (again.diff_id, again.content_id, again.blob), number
        ran = seen.splitlines()
        one, two = (tree / "one").stat(), (tree / "two").stat()
        assert ran[:2] == [str(1 if (tree / "one").is_symlink() else one.st_nlink), str(two.st_nlink)]
        content = (tree / "one").read_bytes() + (tree / "two").read_bytes()
        assert f"{hashlib.sha256(content).hexdigest()}  -" in ran
    pybuild("cache", "verify")


def test_an_ordinary_user_has_it_too(as_user: Pybuild) -> None:
    as_user.base()
    tree = lay_out(as_user)
    copied(as_user)
    edit(tree / "one")
    layer = copied(as_user)
    assert lies_on(as_user, layer)
    assert layer.blob == whole(as_user).blob
    as_user("cache", "verify")
    as_user("cache", "prune", "--all", "--force")
    assert as_user.shell("app", "cat /links") == "1\n1\n"


def test_edits_add_up(pybuild: Pybuild, tree: Path) -> None:
    copied(pybuild)
    edit(tree / "one")
    copied(pybuild)
    edit(tree / "two")
    (tree / "dir" / "new").write_text("new")
    copied(pybuild)
    (tree / "dir" / "new").unlink()
    layer = copied(pybuild)
    assert lies_on(pybuild, layer)
    assert layer.blob == whole(pybuild).blob
    own = Snapshots(pybuild.root).path(layer.diff_id)
    assert sorted(os.listdir(f"{own}/d")) == ["dir", "one", "two"]
    for path in (tree / "small").iterdir():
        path.write_text("other")
    layer = copied(pybuild)
    assert not lies_on(pybuild, layer)
    assert layer.blob == whole(pybuild).blob


def test_what_a_snapshot_lies_on_stays_as_long_as_that(pybuild: Pybuild, tree: Path) -> None:
    first = copied(pybuild, "old")
    edit(tree / "one")
    layer = copied(pybuild)
    pybuild("rmi", "old")
    pybuild("cache", "prune", "--all", "--force")
    assert Snapshots(pybuild.root).has(first.diff_id)
    assert not list((pybuild.root / "blobs" / "sha256").glob(first.blob.digest.hex))
    assert pybuild.shell("app", "cmp /d/one /d/link && cat /links") == "1\n1\n"
    pybuild("cache", "verify")
    pybuild("rmi", "app")
    pybuild("cache", "prune", "--all", "--force")
    assert not {first.diff_id, layer.diff_id} & set(Snapshots(pybuild.root).all())


def test_without_what_it_lies_on_it_is_unpacked(pybuild: Pybuild, tree: Path) -> None:
    first = copied(pybuild)
    edit(tree / "one")
    layer = copied(pybuild)
    remove_tree(Snapshots(pybuild.root).path(first.diff_id))
    assert pybuild.try_("run", "--rm", "app", "true", PYBUILD_POINT="snapshot:exchanged=kill").returncode
    assert pybuild.shell("app", "cmp /d/one /d/link && ls /d/dir | wc -l") == "10\n"
    assert not lies_on(pybuild, layer)
    pybuild("cache", "verify")


@pytest.mark.parametrize("what", ["blob", "blob cut off", "memory", "memory cut off"])
def test_what_is_damaged_is_done_without(pybuild: Pybuild, tree: Path, what: str) -> None:
    layer = copied(pybuild)
    memory = next((pybuild.root / "copies").iterdir())
    path = memory if what.startswith("memory") else pybuild.root / "blobs" / "sha256" / layer.blob.digest.hex
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data[: len(data) - 100] if what.endswith("off") else data)
    edit(tree / "one")
    layer = copied(pybuild)
    assert not lies_on(pybuild, layer)
    assert layer.blob == whole(pybuild).blob


@pytest.mark.parametrize("point", ["copy:remembering", "blob:written", "snapshot:commit", "snapshot:renamed"])
def test_a_copy_that_is_killed_is_made_again(pybuild: Pybuild, tree: Path, point: str) -> None:
    copied(pybuild)
    edit(tree / "one")
    pybuild.build(TEXT, "-t", "app", PYBUILD_POINT=f"{point}=kill")
    pybuild.build(TEXT, "-t", "app").ok()
    pybuild("cache", "verify")
    assert layer_of(pybuild).blob == whole(pybuild).blob
