"""Layers of any entries: what is written is read again, by us and by others, and the content ID knows all but times."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError
from builder.layers.contentid import content_id
from builder.layers.entry import Entry, Kind
from builder.layers.tarread import read_entries
from builder.layers.tarwrite import write_layer

_NAME = st.text("ab.ž\udcff \n", min_size=1, max_size=8).filter(lambda name: name not in (".", ".."))
_LONG = st.sampled_from(["n" * 90, "ž" * 100, "n" * 160, "n" * 255])
_PATH = st.lists(_NAME | _LONG, min_size=1, max_size=4).map("/".join)
_XATTRS = st.dictionaries(
    st.sampled_from(["user.a", "user.b", "security.capability", "user.ž"]), st.binary(max_size=12), max_size=3
).map(lambda found: tuple(sorted(found.items(), key=lambda pair: pair[0].encode())))
_ID = st.integers(0, 70_000) | st.integers(2_000_000, 2**32 - 2)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    kind = draw(st.sampled_from(Kind))
    path = draw(_PATH)
    if kind in (Kind.WHITEOUT, Kind.OPAQUE):
        return Entry(path, kind)
    link = draw(_PATH) if kind in (Kind.SYMLINK, Kind.HARDLINK) else ""
    device = (
        draw(st.tuples(st.integers(0, 4095), st.integers(0, 2**20 - 1))) if kind in (Kind.CHAR, Kind.BLOCK) else (0, 0)
    )
    return Entry(
        path,
        kind,
        draw(st.integers(0, 0o7777)),
        draw(_ID),
        draw(_ID),
        draw(st.integers(0, 1500)) if kind is Kind.FILE else 0,
        draw(st.integers(-(2**33), 2**35)),
        link=link,
        device=device,
        xattrs=draw(_XATTRS),
    )


_LAYER = st.lists(entries(), max_size=6, unique_by=lambda entry: entry.path)
_HERE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(layer: list[Entry], directory: Path) -> tuple[bytes, tuple[Entry, ...], Digest]:
    """The tar of a layer whose files hold their own size again and again."""
    paths = []
    for entry in layer:
        path = directory / str(entry.size)
        if not path.exists():
            path.write_bytes(content(entry))
        paths.append((entry, str(path)))
    out = io.BytesIO()
    made = write_layer(paths, out, "uncompressed")
    return out.getvalue(), made.entries, made.content_id


def content(entry: Entry) -> bytes:
    return (b"%d\n" % entry.size * 1500)[: entry.size]


@_HERE
@given(_LAYER)
def test_what_is_written_is_read_again(tmp_path: Path, layer: list[Entry]) -> None:
    stream, made, name = written(layer, tmp_path)
    read = []
    for entry, data in read_entries(io.BytesIO(stream)):
        got = data.read()
        assert got == (content(entry) if entry.kind is Kind.FILE else b"")
        digest = Digest(hashlib.sha256(got).hexdigest()) if entry.kind is Kind.FILE else None
        read.append(replace(entry, digest=digest))
    assert tuple(read) == made
    assert [replace(entry, digest=None) for entry in made] == layer
    assert name == content_id(read)


@_HERE
@given(_LAYER)
def test_tarfile_reads_the_same(tmp_path: Path, layer: list[Entry]) -> None:
    stream, _, _ = written(layer, tmp_path)
    types = {
        Kind.FILE: tarfile.REGTYPE, Kind.DIRECTORY: tarfile.DIRTYPE, Kind.SYMLINK: tarfile.SYMTYPE,
        Kind.HARDLINK: tarfile.LNKTYPE, Kind.CHAR: tarfile.CHRTYPE, Kind.BLOCK: tarfile.BLKTYPE,
        Kind.FIFO: tarfile.FIFOTYPE, Kind.WHITEOUT: tarfile.REGTYPE, Kind.OPAQUE: tarfile.REGTYPE,
    }  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(stream), encoding="utf-8", errors="surrogateescape") as archive:
        members = archive.getmembers()
        assert len(members) == len(layer)
        for entry, member in zip(layer, members, strict=True):
            assert member.type == types[entry.kind]
            assert (member.mode, member.uid, member.gid) == (entry.mode, entry.uid, entry.gid)
            assert (member.mtime, member.size) == (entry.mtime, entry.size)
            assert (member.devmajor, member.devminor) == entry.device
            if entry.kind in (Kind.SYMLINK, Kind.HARDLINK):
                assert member.linkname == entry.link
            if entry.kind is Kind.FILE:
                file = archive.extractfile(member)
                assert file is not None
                assert file.read() == content(entry)
            directory, _, base = member.name.rpartition("/")
            if entry.kind is Kind.WHITEOUT:
                assert f"{directory}/{base.removeprefix('.wh.')}".lstrip("/") == entry.path
            else:
                assert entry.path == (directory if entry.kind is Kind.OPAQUE else member.name)


@settings(max_examples=60, deadline=None)
@given(_LAYER, st.randoms(use_true_random=False), st.integers(-(2**33), 2**35))
def test_order_and_times_do_not_change_the_content_id(layer: list[Entry], random: Any, mtime: int) -> None:
    other = [replace(entry, mtime=mtime) for entry in layer]
    random.shuffle(other)
    assert content_id(other) == content_id(layer)


_CHANGES = {
    "path": _PATH,
    "kind": st.sampled_from(Kind),
    "mode": st.integers(0, 0o7777),
    "uid": _ID,
    "gid": _ID,
    "size": st.integers(0, 2**40),
    "digest": st.none() | st.binary(max_size=4).map(Digest.of),
    "link": _PATH,
    "device": st.tuples(st.integers(0, 4095), st.integers(0, 2**20 - 1)),
    "xattrs": _XATTRS,
}


@pytest.mark.parametrize("field", _CHANGES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_everything_else_changes_it(field: str, data: st.DataObject) -> None:
    layer = data.draw(st.lists(entries(), min_size=1, max_size=3, unique_by=lambda entry: entry.path))
    value = data.draw(_CHANGES[field].filter(lambda v: v != getattr(layer[0], field)))
    changed = replace(layer[0], **{field: value})
    if any(changed.path == entry.path for entry in layer[1:]):
        return
    assert content_id([changed, *layer[1:]]) != content_id(layer)


def test_every_field_of_an_entry_is_asked_about() -> None:
    assert {*_CHANGES, "mtime", "nanoseconds"} == set(Entry.__struct_fields__)


def test_a_file_with_the_longest_name_can_be_deleted(tmp_path: Path) -> None:
    stream, _, _ = written([Entry("n" * 255, Kind.WHITEOUT)], tmp_path)
    assert [entry.path for entry, _ in read_entries(io.BytesIO(stream))] == ["n" * 255]
    with pytest.raises(BadInputError, match="no file system takes"):
        list(read_entries(io.BytesIO(stream), whiteouts=False))
