"""A layer under SOURCE_DATE_EPOCH: the same entries, in other times.

What a step made has the time it ran, so its layer is another one each time. Under an epoch what is new has the time
of the epoch, and so has what is younger than it. Directories have it too: whether one that was there before looks
changed depends on how the stack was put together.
"""

from __future__ import annotations

from msgspec.structs import replace

from builder.digest import Reader, Writer
from builder.layers.entry import Entry, Kind
from builder.layers.tarread import read_entries
from builder.layers.tarwrite import WrittenLayer, copy_layer


def dated(entry: Entry, epoch: int, since: int) -> Entry:
    """`entry` under `epoch`, where the step that made it began at `since` (both in seconds)."""
    if entry.kind in (Kind.WHITEOUT, Kind.OPAQUE):
        return entry  # they have no time
    new = entry.kind is Kind.DIRECTORY or entry.mtime >= since or entry.mtime > epoch
    return replace(entry, mtime=epoch, nanoseconds=0) if new else entry


def date_layer(tar: Reader, sink: Writer, compression: str, epoch: int, since: int) -> WrittenLayer:
    """Write the layer `tar` (plain) to `sink` as it is under `epoch`."""
    entries = ((dated(entry, epoch, since), data) for entry, data in read_entries(tar))
    return copy_layer(entries, sink, compression)
