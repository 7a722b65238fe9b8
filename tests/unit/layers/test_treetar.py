"""A tree as a tar for somebody to read: what write_layer writes, byte for byte, wherever it goes."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import BadInputError
from builder.layers import treetar
from builder.layers.changes import changes
from builder.layers.tarwrite import write_layer
from builder.layers.treetar import write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "d" / ("long" * 40)).mkdir(parents=True)
    for size in (0, 1, 511, 512, 513, 64 << 10, (64 << 10) + 1, (1 << 20) + 7, 3 << 20):
        (root / f"d/{size}").write_bytes(os.urandom(size))
    for number in range(300):
        (root / f"d/small{number}").write_bytes(b"x" * number * 31)
    with (root / "sparse").open("wb") as file:
        file.truncate(5 << 20)
    (root / "link").symlink_to("d/" + "1" * 150)
    os.link(root / "d/513", root / "other name")
    (root / "d" / ("long" * 40) / "é\udcff").write_bytes(b"odd")
    return root


def whole(tree: Path) -> bytes:
    out = io.BytesIO()
    write_layer(changes(str(tree), ()), out, "uncompressed")
    return out.getvalue()


def into_a_file(tree: Path, target: Path) -> bytes:
    with target.open("w+b", buffering=0) as file:
        write_tree(changes(str(tree), ()), file.fileno())
    return target.read_bytes()


def into_a_pipe(tree: Path, target: Path) -> bytes:
    reader, writer = os.pipe()
    read: list[bytes] = []

    def take() -> None:
        with os.fdopen(reader, "rb") as stream:
            read.append(stream.read())

    thread = threading.Thread(target=take)
    thread.start()
    try:
        write_tree(changes(str(tree), ()), writer)
    finally:
        os.close(writer)
        thread.join()
    return read[0]


def at_the_end_of_a_file(tree: Path, target: Path) -> bytes:
    """What is opened for appending takes no pages."""
    with target.open("ab", buffering=0) as file:
        write_tree(changes(str(tree), ()), file.fileno())
    return target.read_bytes()


@pytest.mark.parametrize("into", [into_a_file, into_a_pipe, at_the_end_of_a_file])
def test_it_is_what_a_layer_is(tree: Path, tmp_path: Path, into: Callable[[Path, Path], bytes]) -> None:
    assert into(tree, tmp_path / "out.tar") == whole(tree)


def test_files_that_the_kernel_does_not_move_are_read(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(treetar.os, "sendfile", refuse)
    assert into_a_file(tree, tmp_path / "out.tar") == whole(tree)


@pytest.mark.parametrize("size", [10, 200_000])
@pytest.mark.parametrize("change", [-5, 5])
def test_a_file_that_changes_its_size_is_refused(tmp_path: Path, size: int, change: int) -> None:
    (tmp_path / "tree").mkdir()
    path = tmp_path / "tree/file"
    path.write_bytes(bytes(size))
    entries = list(changes(str(tmp_path / "tree"), ()))
    os.truncate(path, size + change)
    with pytest.raises(BadInputError, match="changed its size"), (tmp_path / "out").open("wb") as out:
        write_tree(iter(entries), out.fileno())
