"""Decompressing what strangers have compressed: whole, damaged, cut off, and made to fill memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tracemalloc

import pytest
import zstandard

from builder.errors import BadInputError
from builder.layers import compress

DATA = bytes(range(256)) * 5_000 + b"the end"
COMPRESSED = {
    "zstd": zstandard.compress(DATA),
    "gzip": gzip.compress(DATA),
    "bzip2": bz2.compress(DATA),
    "xz": lzma.compress(DATA),
}


def everything(name: str, data: bytes, size: int = 10_000) -> bytes:
    reader, parts = compress.reader(name, io.BytesIO(data)), []
    while part := reader.read(size):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("size", [1 << 20, 4_097, 100])
def test_all_of_it_comes_in_whatever_pieces(name: str, size: int) -> None:
    assert everything(name, COMPRESSED[name], size) == DATA
    assert everything(name, COMPRESSED[name] * 2, size) == DATA * 2


@pytest.mark.parametrize("name", COMPRESSED)
def test_what_is_cut_off_is_no_end(name: str) -> None:
    with pytest.raises(BadInputError, match=f"the {name} data is cut off"):
        everything(name, COMPRESSED[name][:-6])


@pytest.mark.parametrize("name", COMPRESSED)
def test_zeros_behind_the_end_are_padding(name: str) -> None:
    assert everything(name, COMPRESSED[name] + bytes(5_000)) == DATA


def bomb(blocks: int) -> bytes:
    """A zstd frame of blocks that repeat one byte 128 KiB times (RFC 8878, RLE_Block): four bytes each."""
    header = b"\x28\xb5\x2f\xfd" + bytes([0x00, 0x38])  # no size is told, a window of 128 KiB
    block = (128 << 10) << 3 | 1 << 1
    last = block | 1
    return header + (block.to_bytes(3, "little") + b"x") * (blocks - 1) + last.to_bytes(3, "little") + b"x"


def test_a_bomb_takes_no_more_memory_than_it_is_read() -> None:
    data = bomb(20_000)  # 80 kB that are 2.6 GB
    assert zstandard.ZstdDecompressor().decompressobj().decompress(bomb(3)) == b"x" * (3 * (128 << 10))
    reader = compress.reader("zstd", io.BytesIO(data))
    tracemalloc.start()
    try:
        for _ in range(1_000):
            assert len(reader.read(512)) == 512
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 96 << 20


def test_much_that_says_nothing_is_passed_over() -> None:
    # frames to be skipped (RFC 8878, 3.1.2), more than Python's stack is deep in pieces of what is read at once
    skipped = b"\x50\x2a\x4d\x18" + (1 << 20).to_bytes(4, "little") + bytes(1 << 20)
    assert everything("zstd", skipped * 300 + COMPRESSED["zstd"]) == DATA


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])
def test_a_bomb_of_any_kind_is_unpacked_in_pieces(name: str) -> None:
    """A hundred megabytes of zeros, which bzip2 makes a hundred bytes of."""
    packer = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}[name]
    reader = compress.reader(name, io.BytesIO(packer(bytes(100 << 20))))
    tracemalloc.start()
    try:
        total = 0
        while data := reader.read(1 << 20):
            total += len(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 100 << 20
    assert peak < 16 << 20


def test_xz_that_wants_very_much_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    with pytest.raises(BadInputError, match="xz data is damaged: Memory usage limit"):
        everything("xz", lzma.compress(b"x", filters=filters))


def test_very_many_members_of_nothing_take_time_by_their_number_alone() -> None:
    assert everything("gzip", gzip.compress(b"") * 100_000 + COMPRESSED["gzip"], 1 << 20) == DATA
