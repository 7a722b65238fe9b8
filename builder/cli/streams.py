"""What a container has printed, shown: each stream on its own, whole or its end, with times if wanted."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import click

from builder.lang.sizes import size
from builder.runtime.log import ERR, LOST, Record


class Piece(NamedTuple):
    """A line of a stream, or a part of one. `begins`: nothing of its line came before."""

    stream: int
    nanoseconds: int
    data: bytes
    begins: bool


def show(batches: Iterable[list[Record]], tail: str, *, timestamps: bool) -> None:
    """Print `batches`; of the first, which is there already, the last `tail` lines (`all` for all)."""
    if tail != "all" and not tail.isdecimal():
        raise click.BadParameter(f"{tail!r} is neither a number nor all", param_hint="--tail")
    middle: set[int] = set()
    first = True
    for batch in batches:
        found = list(pieces(batch, middle))
        if first and tail != "all":
            found = last(found, int(tail))
        elif first:
            _tell_lost(batch)
        first = False
        for piece in found:
            stream = sys.stderr.buffer if piece.stream == ERR else sys.stdout.buffer
            stream.write(_stamp(piece.nanoseconds) if timestamps and piece.begins else b"")
            stream.write(piece.data)
        sys.stdout.buffer.flush()
        sys.stderr.buffer.flush()


def pieces(records: Iterable[Record], middle: set[int]) -> Iterator[Piece]:
    """The lines of `records`; `middle` are the streams in the middle of one, before and afterwards."""
    for record in records:
        if record.stream == LOST:
            continue
        for data in io.BytesIO(record.data):
            yield Piece(record.stream, record.nanoseconds, data, record.stream not in middle)
            (middle.discard if data.endswith(b"\n") else middle.add)(record.stream)


def last(found: list[Piece], count: int) -> list[Piece]:
    """The last `count` lines, without the ends of lines that began before."""
    begins = [at for at, piece in enumerate(found) if piece.begins]
    if count >= len(begins):
        return found
    if not count:
        return []
    kept, begun = [], set()
    for piece in found[begins[-count] :]:
        if piece.begins:
            begun.add(piece.stream)
        if piece.stream in begun:
            kept.append(piece)
    return kept


def _stamp(nanoseconds: int) -> bytes:
    """RFC 3339 with nanoseconds, as Docker has it."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{rest:09}Z ", time.gmtime(seconds)).encode()


def _tell_lost(records: list[Record]) -> None:
    lost = [int(record.data) for record in records if record.stream == LOST]
    if lost:
        click.echo(f"pybuild: the first {size(lost[-1])} are lost: a log keeps the newest only", err=True)
