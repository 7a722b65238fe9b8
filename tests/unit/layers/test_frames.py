"""Blobs in frames: the bytes of the tar alone say where one ends, and an edit changes the frames around it alone."""

from __future__ import annotations

import hashlib
import io
import itertools
import random
import threading
from collections.abc import Sequence

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.layers import compress
from builder.layers.entry import Entry, Kind
from builder.layers.frames import MOST, Cut, Frames
from builder.layers.tarwrite import header


def tar_of(files: Sequence[tuple[str, bytes]]) -> bytes:
    parts = [
        header(Entry(name, Kind.FILE, 0o644, size=len(data))) + data + bytes(-len(data) % 512) for name, data in files
    ]
    return b"".join(parts) + bytes(1024)


def some_files(count: int, size: int, seed: int = 1) -> list[tuple[str, bytes]]:
    chance = random.Random(seed)
    return [(f"some/where/{number}", chance.randbytes(chance.randrange(size))) for number in range(count)]


FILES = some_files(600, 60_000)


def frames_of(data: bytes, step: int = 512 << 10) -> list[bytes]:
    cut = Cut()
    found = [frame for at in range(0, len(data), step) for _, frame in cut.taken(data[at : at + step])]
    return [*found, cut.rest()[1]]


def compressed(data: bytes, step: int) -> bytes:
    out = io.BytesIO()
    writer = Frames(out, 3)
    for at in range(0, len(data), step):
        writer.write(data[at : at + step])
    writer.finish()
    return out.getvalue()


@pytest.mark.parametrize("step", [1_000, 65_537, 3 << 20, 64 << 20])
def test_the_same_tar_is_the_same_blob_in_whatever_pieces_it_comes(step: int) -> None:
    data = tar_of(FILES)
    once = compressed(data, 512 << 10)
    assert hashlib.sha256(compressed(data, step)).digest() == hashlib.sha256(once).digest()
    reader = compress.reader("zstd", io.BytesIO(once))
    assert b"".join(iter(lambda: reader.read(1 << 20), b"")) == data
    assert zstandard.ZstdDecompressor().stream_reader(once, read_across_frames=True).read() == data


@given(
    st.lists(st.tuples(st.text("abž/", min_size=1, max_size=300), st.integers(0, 3 << 20)), max_size=8),
    st.integers(400, 5 << 20),
)
@settings(max_examples=30, deadline=None)
def test_where_it_is_cut_does_not_depend_on_the_pieces(files: list[tuple[str, int]], step: int) -> None:
    data = tar_of([(name, bytes([len(name) % 256]) * size) for name, size in files])
    found = frames_of(data, step)
    assert b"".join(found) == data
    assert found == frames_of(data, 1 << 20)
    assert all(len(frame) <= MOST for frame in found)


@given(st.binary(max_size=2_000), st.integers(1, 700))
@settings(max_examples=60, deadline=None)
def test_what_is_no_tar_is_cut_too(junk: bytes, step: int) -> None:
    assert b"".join(frames_of(junk, step)) == junk


def test_noise_is_cut_into_frames_of_one_size() -> None:
    noise = random.Random(2).randbytes(2 * MOST + 5)
    assert [len(frame) for frame in frames_of(noise)] == [MOST, MOST, 5]


@pytest.mark.parametrize("change", ["edited", "grown", "added", "removed"])
def test_an_edit_changes_few_frames(change: str) -> None:
    files = list(FILES)
    name, data = files[300]
    if change == "edited":
        files[300] = (name, b"other" + data[5:])
    elif change == "grown":
        files[300] = (name, data + b"more" * 1_000)
    elif change == "added":
        files.insert(300, ("some/where/new", b"new"))
    else:
        del files[300]
    before, after = frames_of(tar_of(FILES)), frames_of(tar_of(files))
    assert len(before) > 5
    assert len(set(after) - set(before)) <= 3


@pytest.mark.parametrize("edited", [0, 300])
def test_frames_after_an_edit_are_taken_as_they_are(edited: int) -> None:
    files = list(FILES)
    files[edited] = (files[edited][0], b"other" + files[edited][1][5:])
    before, data = Frames(io.BytesIO(), 3), tar_of(files)
    before.write(tar_of(FILES))
    before.finish()
    out, taken = io.BytesIO(), 0
    writer = Frames(out, 3)
    # What is put in the place of the packed bytes shows where they went.
    mark, at = b"packed", 0
    for frame, after in itertools.zip_longest(before.made, before.made[1:]):
        part, at = data[at : at + frame.plain], at + frame.plain
        if after is not None and part == tar_of(FILES)[at - frame.plain : at]:
            assert frame.first is not None
            writer.write_frame(part, mark, frame.first, after.first)
            taken += 1
        else:
            writer.write(part)
    writer.finish()
    assert taken == len(before.made) - 2
    assert sum(frame.packed == len(mark) for frame in writer.made) == taken
    assert [frame.plain for frame in writer.made] == [len(frame) for frame in frames_of(data)]


def test_nothing_is_an_empty_frame() -> None:
    assert zstandard.decompress(compressed(b"", 1)) == b""


def test_what_goes_wrong_where_it_is_written_comes_up_and_leaves_no_thread() -> None:
    class Full:
        def write(self, data: bytes) -> None:
            raise OSError(28, "full")

    data = tar_of(FILES)
    before = threading.active_count()
    writer = Frames(Full(), 3)
    with pytest.raises(OSError, match="full"):
        for _ in range(4):
            writer.write(data)
    assert threading.active_count() == before
