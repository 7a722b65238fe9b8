"""Compressed streams read in small pieces."""

from __future__ import annotations

import io
import time

import pytest

from builder.layers import compress


@pytest.mark.parametrize("name", ["zstd", "gzip"])
def test_small_reads_of_a_large_piece_take_no_longer(name: str) -> None:
    """What compresses well comes out in pieces of many megabytes; a tar is read in blocks of half a kilobyte."""
    data = bytes(range(256)) * (16 << 12)
    out = io.BytesIO()
    writer = compress.writer(name, out)
    writer.write(data)
    writer.finish()
    begun = time.process_time()
    reader = compress.reader(name, io.BytesIO(out.getvalue()))
    pieces = []
    while piece := reader.read(512):
        pieces.append(piece)
    assert b"".join(pieces) == data
    assert time.process_time() - begun < 3


def test_reads_of_any_size_give_the_same() -> None:
    data = b"".join(b"%d\n" % n for n in range(50_000))
    out = io.BytesIO()
    writer = compress.writer("zstd", out)
    writer.write(data)
    writer.finish()
    for sizes in ((1, 700, 3), (1 << 20,), (4096, 1), (-1,)):
        reader, found, turn = compress.reader("zstd", io.BytesIO(out.getvalue() * 2)), b"", 0
        while piece := reader.read(sizes[turn % len(sizes)]):
            found += piece
            turn += 1
        assert found == data * 2
