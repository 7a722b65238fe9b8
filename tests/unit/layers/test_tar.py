from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import BadInputError
from builder.layers import compress
from builder.layers.contentid import content_id
from builder.layers.entry import Entry, Kind
from builder.layers.extract import inspect_layer
from builder.layers.tarread import read_entries
from builder.layers.tarwrite import write_layer
from tests.support.rootfs import directory, member, tar

ENTRIES = [
    Entry("a", Kind.DIRECTORY, 0o1777, 0, 0, mtime=1),
    Entry("a/file", Kind.FILE, 0o4755, 1, 2, size=5, mtime=2, xattrs=(("user.x", b"\0\xff"),)),
    Entry("a/hard", Kind.HARDLINK, 0o4755, 1, 2, mtime=2, link="a/file"),
    Entry("a/link", Kind.SYMLINK, 0o777, link="../" + "t" * 150),
    Entry("a/" + "n" * 200, Kind.FILE, 0o600, 3_000_000, 5, size=0, mtime=-5),
    Entry("d" * 90 + "/" + "e" * 90 + "/f", Kind.FIFO, 0o644),
    Entry("dev", Kind.CHAR, 0o666, device=(1, 3)),
    Entry("gone", Kind.WHITEOUT),
    Entry("a", Kind.OPAQUE),
    Entry("caf\udce9", Kind.FILE, 0o644, size=0),
]


@pytest.fixture
def written(tmp_path: Path) -> tuple[bytes, object]:
    data = tmp_path / "data"
    data.write_bytes(b"hello")
    empty = tmp_path / "empty"
    empty.touch()
    out = io.BytesIO()
    layer = write_layer(((e, str(data if e.size else empty)) for e in ENTRIES), out, "uncompressed")
    return out.getvalue(), layer


def test_what_is_written_is_read_again(written: tuple[bytes, object]) -> None:
    stream, layer = written
    read = []
    for entry, data in read_entries(io.BytesIO(stream)):
        content = data.read()
        digest = Digest(hashlib.sha256(content).hexdigest()) if entry.kind is Kind.FILE else None
        read.append(Entry(**{**{f: getattr(entry, f) for f in Entry.__slots__}, "digest": digest}))
    assert tuple(read) == layer.entries  # type: ignore[attr-defined]


def test_other_programs_read_it(written: tuple[bytes, object]) -> None:
    with tarfile.open(fileobj=io.BytesIO(written[0])) as archive:
        members = {m.name: m for m in archive}
    assert members["a/file"].mode == 0o4755
    assert members["a/hard"].linkname == "a/file"
    assert members["a/link"].linkname.endswith("t" * 150)
    assert members["a/" + "n" * 200].uid == 3_000_000
    assert members["a/" + "n" * 200].mtime == -5
    assert members["dev"].devminor == 3
    assert ".wh.gone" in members
    assert "a/.wh..wh..opq" in members
    assert members["a/file"].pax_headers["SCHILY.xattr.user.x"].encode("utf-8", "surrogateescape") == b"\0\xff"


def test_one_pass_finds_all_facts(written: tuple[bytes, object]) -> None:
    stream, layer = written
    facts = inspect_layer(io.BytesIO(stream))
    assert facts.diff_id == layer.diff_id == Digest.of(stream)  # type: ignore[attr-defined]
    assert facts.content_id == layer.content_id  # type: ignore[attr-defined]
    assert facts.size == layer.size == len(stream)  # type: ignore[attr-defined]


def test_the_empty_layer_is_everyones() -> None:
    out = io.BytesIO()
    layer = write_layer([], out, "uncompressed")
    assert str(layer.diff_id) == "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


def test_the_content_id_leaves_times_out_and_nothing_else() -> None:
    base = Entry("f", Kind.FILE, 0o644, 1, 2, size=1, mtime=3, digest=Digest.of(b"x"))
    same = Entry("f", Kind.FILE, 0o644, 1, 2, size=1, mtime=9, digest=Digest.of(b"x"))
    assert content_id([base]) == content_id([same])
    for change in (
        {"path": "g"}, {"mode": 0o600}, {"uid": 9}, {"gid": 9}, {"digest": Digest.of(b"y")}, {"kind": Kind.FIFO},
        {"link": "x"}, {"device": (1, 1)}, {"xattrs": (("user.a", b"1"),)},
    ):  # fmt: skip
        other = Entry(**{**{f: getattr(base, f) for f in Entry.__slots__}, **change})
        assert content_id([other]) != content_id([base]), change


@pytest.mark.parametrize("compression", compress.NAMES)
def test_compressions_come_back(compression: str, tmp_path: Path) -> None:
    data = os.urandom(100_000) + bytes(1_000_000)
    out = io.BytesIO()
    writer = compress.writer(compression, out)
    for start in range(0, len(data), 70_000):
        writer.write(data[start : start + 70_000])
    writer.finish()
    packed = out.getvalue()
    assert compress.detect(packed[:6]) == compression
    assert compress.plain(io.BytesIO(packed)).read() == data
    if compression != "uncompressed":
        with pytest.raises(BadInputError):
            compress.plain(io.BytesIO(packed[: len(packed) // 2])).read()
    if compression == "gzip":  # zstd frames carry no checksum here: blobs have digests
        with pytest.raises(BadInputError):
            compress.plain(io.BytesIO(packed[:2000] + b"\xff" * 100 + packed[2100:])).read()


def test_several_members_are_one_stream() -> None:
    import bz2
    import gzip
    import lzma

    for module in (gzip, bz2, lzma):
        data = module.compress(b"one") + module.compress(b"two")
        assert compress.plain(io.BytesIO(data)).read() == b"onetwo"
    assert compress.plain(io.BytesIO(gzip.compress(b"one") + bytes(512))).read() == b"one"


GOOD = tar(directory("d"), member("d/f", b"x" * 2000))


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"", "not a tar"),
        (b"nonsense" * 200, "not a tar"),
        (GOOD[:100], "not a tar"),
        (GOOD[:700], "cut off"),
        (GOOD[:1500], "cut off"),
        (GOOD[:600] + b"\xff" + GOOD[601:], "damaged header"),
        (tar(member("../out", b"x")), "climbs out"),
        (tar(member("a/../../out", b"x")), "climbs out"),
        (tar(member("/../etc/passwd", b"x")), "climbs out"),
        (tar(member("ok", kind=tarfile.LNKTYPE, link="../out")), "climbs out"),
        (tar(member("ok", kind=tarfile.LNKTYPE, link="/../etc/passwd")), "climbs out"),
        (tar(member("a" * 300, b"x")), "no file system takes"),
        (tar(member("odd", kind=b"Z")), "not supported"),
        (tar(member("f", b"x"))[:-1024] + b"more than padding".ljust(1024, b"x"), "after the end"),
        (GOOD + b"trailing", "after the end"),
    ],
)
def test_a_broken_or_hostile_archive_is_refused(stream: bytes, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        inspect_layer(io.BytesIO(stream))


def test_marks_of_overlayfs_do_not_come_in() -> None:
    info, data = member("d", kind=tarfile.DIRTYPE, mode=0o755)
    info.pax_headers = {"SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.user.ok": "1"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(data))
    ((entry, _),) = read_entries(io.BytesIO(out.getvalue()))
    assert entry.xattrs == (("user.ok", b"1"),)
