"""A layer unpacked is what its tar says, and every difference is seen."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.layers.extract import extract_layer
from builder.layers.tarread import read_entries
from builder.layers.tarwrite import write_layer
from builder.layers.unpacked import differences, in_tar, on_disk, unpacked


def tar(*members: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            if isinstance(member, tuple):
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
            else:
                archive.addfile(member)
    return out.getvalue()


def entry(name: str, kind: bytes = tarfile.DIRTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = kind, 0o755
    for field, value in fields.items():
        setattr(info, field, value)
    return info


LAYER = tar(
    entry("d", mode=0o1777),
    entry("d/owned", uid=3, gid=4, pax_headers={"SCHILY.xattr.user.x": "1"}),
    ("d/f", b"data"),
    ("implied/deep/f", b"more"),
    entry("d/link", tarfile.SYMTYPE, linkname="f"),
    entry("d/again", tarfile.LNKTYPE, linkname="d/f"),
    entry("a-before", tarfile.LNKTYPE, linkname="d/f"),
    entry("fifo", tarfile.FIFOTYPE),
    entry("device", tarfile.CHRTYPE, devmajor=1, devminor=3),
    ("d/.wh.gone", b""),
    ("d/owned/.wh..wh..opq", b""),
)


def compared(layer: bytes, directory: Path) -> list[str]:
    wanted, _ = in_tar(read_entries(io.BytesIO(layer)))
    assert wanted is not None
    return differences(wanted, on_disk(str(directory)))


@pytest.fixture
def top(tmp_path: Path) -> Path:
    assert os.geteuid() == 0, "needs root: files of several owners"
    directory = tmp_path / "top"
    directory.mkdir(mode=0o755)
    extract_layer(io.BytesIO(LAYER), str(directory))
    return directory


def test_nothing_differs_in_what_was_just_unpacked(top: Path) -> None:
    assert compared(LAYER, top) == []


def test_its_entries_make_the_same_layer_again(top: Path, tmp_path: Path) -> None:
    out = io.BytesIO()
    first = write_layer(unpacked(str(top)), out, "uncompressed")
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    extract_layer(io.BytesIO(out.getvalue()), str(other))
    again = write_layer(unpacked(str(other)), io.BytesIO(), "uncompressed")
    assert (again.diff_id, again.content_id) == (first.diff_id, first.content_id)
    assert compared(out.getvalue(), top) == []


DIFFERENCES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "content": (lambda t: (t / "implied/deep/f").write_bytes(b"less"), ["/implied/deep/f: its content is another"]),
    "longer": (lambda t: (t / "implied/deep/f").write_bytes(b"more."), ["/implied/deep/f: its content is another"]),
    "content of all names": (lambda t: (t / "d/f").write_bytes(b"atad"), ["/a-before: its content is another"]),
    "mode": (lambda t: (t / "d").chmod(0o777), ["/d: its mode is 0777, not 1777"]),
    "mode of what is implied": (lambda t: (t / "implied").chmod(0o700), ["/implied: its mode is 0700, not 0755"]),
    "owner": (lambda t: os.chown(t / "d/owned", 3, 5), ["/d/owned: its owner is 3:5, not 3:4"]),
    "owner of a link": (lambda t: os.lchown(t / "d/link", 1, 0), ["/d/link: its owner is 1:0, not 0:0"]),
    "attribute": (lambda t: os.setxattr(t / "d", "user.y", b""), ["/d: its extended attributes are others"]),
    "missing": (lambda t: (t / "fifo").unlink(), ["/fifo: it is missing"]),
    "added": (lambda t: (t / "d/more").touch(), ["/d/more: it is not in the layer"]),
    "target": (
        lambda t: ((t / "d/link").unlink(), (t / "d/link").symlink_to("g")),
        ["/d/link: its content is another"],
    ),
    "kind": (lambda t: ((t / "fifo").unlink(), (t / "fifo").mkdir()), ["/fifo: it is a dir, not a fifo"]),
    "number": (
        lambda t: ((t / "device").unlink(), os.mknod(t / "device", 0o020755, os.makedev(1, 5))),
        ["/device: its content is another"],
    ),
    "links parted": (
        lambda t: ((t / "d/again").unlink(), shutil.copy2(t / "d/f", t / "d/again")),
        ["/d/again: it is a file, not a hardlink"],
    ),
    "whiteout gone": (lambda t: (t / "d/gone").unlink(), ["/d/gone: it is missing"]),
    "whiteout added": (lambda t: os.mknod(t / "d/w", 0o020000, 0), ["/d/w: it is not in the layer"]),
    "opaque no more": (
        lambda t: os.removexattr(t / "d/owned", "trusted.overlay.opaque"),
        ["/d/owned: it hides nothing below"],
    ),
    "opaque": (
        lambda t: os.setxattr(t / "implied", "trusted.overlay.opaque", b"y"),
        ["/implied: it hides what lies below"],
    ),
}


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_a_difference_is_seen(top: Path, difference: str) -> None:
    change, words = DIFFERENCES[difference]
    change(top)
    assert compared(LAYER, top) == words


def test_times_do_not_differ(top: Path) -> None:
    os.utime(top / "d/f", (1, 1))
    assert compared(LAYER, top) == []


def test_what_only_unpacking_tells_is_left_to_it() -> None:
    for layer in (
        tar(("f", b"1"), ("f", b"2")),
        tar(entry("d"), entry("l", tarfile.SYMTYPE, linkname="d"), ("l/f", b"")),
        tar(entry("d"), ("d/f", b""), ("d", b"now a file")),
    ):
        assert in_tar(read_entries(io.BytesIO(layer)))[0] is None
