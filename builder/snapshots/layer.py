"""Between blobs and snapshots: a layer unpacked, and a writable top packed into a layer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from msgspec import Struct

from builder import spans
from builder.digest import Digest, Reader
from builder.errors import BadInputError
from builder.events import Emit, Meter, Progress, Work, ignore
from builder.image.descriptor import Descriptor, Layer
from builder.image.mediatypes import compression_of, layer_type
from builder.layers import compress
from builder.layers.changes import changes
from builder.layers.copybefore import Before, steps
from builder.layers.copylayer import Copied, write_again, write_planned
from builder.layers.copyplan import Item
from builder.layers.dating import date_layer
from builder.layers.extract import extract_layer
from builder.layers.frameread import DamagedBlobError, FrameReader
from builder.layers.leftovers import Leftover, clear
from builder.layers.squash import squash
from builder.layers.tarwrite import WrittenLayer, write_layer
from builder.linux.files import remove_tree
from builder.sandbox.child import tell_moved
from builder.snapshots.active import Snapshots, Writable
from builder.snapshots.copies import Copies
from builder.store.blobs import MEND, Blobs, store_errors
from builder.store.leases import Leases

COMPRESSION = "zstd"
# A snapshot that lies on another is two lower directories, and the kernel takes 500: only low layers have such.
_MOST_BELOW = 100
# In bytes: a file of a whole snapshot that is taken out of a blob is held in memory.
_LONGEST = 16 << 20


def unpack_told(root: Path, layer: Layer) -> None:
    """As `unpack`, of a call that says how many bytes of the blob it is through with."""
    unpack(root, layer, lambda event: tell_moved(event.current) if isinstance(event, Progress) else None)


def unpack(root: Path, layer: Layer, emit: Emit = ignore) -> None:
    """Make the snapshot of `layer` from its blob, unless it is there. Raises BadInputError for a damaged blob."""
    snapshots = Snapshots(root)
    if snapshots.has(layer.diff_id):
        return
    with spans.span("unpack"), store_errors(root), snapshots.scratch() as path:
        unpack_into(root, layer, path, emit)
        snapshots.commit(path, layer.diff_id)


def unpack_into(root: Path, layer: Layer, directory: str, emit: Emit = ignore) -> None:
    """Unpack `layer` into the empty `directory`. Raises BadInputError for a damaged blob, NotFoundError for none."""
    os.chmod(directory, 0o755)  # it shows as `/` of a stack, unless the layer says otherwise
    try:
        blob = Blobs(root).open(layer.blob)
        read = Meter(emit, Work.UNPACK, layer.diff_id.short, layer.blob.size).reading(blob)
        facts = extract_layer(compress.reader(compression_of(layer.blob.media_type), read), directory)
        blob.drain()
    except BadInputError as error:
        raise BadInputError(f"blob {layer.blob.digest} of the store is damaged: {error.message}", hint=MEND) from error
    if facts.diff_id != layer.diff_id:
        raise BadInputError(f"layer {layer.diff_id} unpacks to {facts.diff_id}", hint=MEND)


def pack(root: Path, top: Writable) -> Layer:
    """Write what changed in `top` as a layer: blob first, then its snapshot. Nothing appears when it fails.

    The snapshot is the layer and no more, as if it had been unpacked: it may come to lie on another stack.
    """
    if not top.native:
        top.unmount()
    beside: list[Leftover] = []
    with store_errors(root), Blobs(root).writer() as blob:
        written = write_layer(changes(top.upper, top.lowers, beside=beside), blob, COMPRESSION)
        blob.commit(written.blob)
    if top.native:
        if beside:
            top.unmount()
            clear(beside)
        Snapshots(root).commit(top.upper, written.diff_id)
    layer = _layer(written)
    if not top.native:
        unpack(root, layer)
    return layer


class PackedCopy(Struct, frozen=True):
    """A copy's layer; `remember` keeps what the next copy like it can take over, when there is time."""

    layer: Layer
    remember: Callable[[], None]


def pack_planned(root: Path, top: Writable, items: Sequence[Item], name: str) -> PackedCopy:
    """As `pack`, of what a copy is planned to make in `top`, which must be native: it was not made yet.

    What has not changed since the last copy that is kept as `name` is taken over (decision 32), if it has one.
    """
    top.unmount()
    copies = Copies(root)
    with spans.span("diff"):
        before = copies.find(name) if name else None
    made = None if before is None else _again(root, top, items, before)
    if before is not None and made is None:
        copies.forget(name)
    if made is None:
        with store_errors(root), Blobs(root).writer() as blob:
            copied = write_planned(items, top.upper, blob, COMPRESSION)
            blob.commit(copied.written.blob)
        made = _Made(copied)
    written = made.copied.written
    Snapshots(root).commit(top.upper, written.diff_id, made.below)
    return PackedCopy(_layer(written), partial(_remember, copies, name, made))


class _Made(Struct, frozen=True):
    """A copy that was made in a snapshot: in a whole one, or one that lies on that of `below`, with `above` in it."""

    copied: Copied
    below: Digest | None = None
    above: frozenset[str] = frozenset()


def _again(root: Path, top: Writable, items: Sequence[Item], before: Before) -> _Made | None:
    """The copy as what has changed since the one `before`, and what was taken over; None where it must be made anew.

    Where its snapshot cannot lie on the other's, it is made as a whole, of what is in the other's blob.
    """
    with spans.span("diff"):
        found = steps(items, before)
    tree, packed = Digest(before.tree), Digest(before.blob)
    snapshots, blobs = Snapshots(root), Blobs(root)
    Leases(root).use([tree, packed])
    whole = snapshots.parts(tree) != (snapshots.path(tree),) or not snapshots.has(tree)
    whole = whole or not found.stands or len(top.lowers) >= _MOST_BELOW
    if not found.pays or (whole and any(entry.size > _LONGEST for entry in before.entries)):
        return None
    with suppress(FileNotFoundError, DamagedBlobError), store_errors(root), blobs.writer() as blob:
        fd = os.open(blobs.path(packed), os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(fd, "rb", buffering=0), FrameReader(fd, packed, before.frames) as reader:
            copied = write_again(found.steps, reader, top.upper, blob, COMPRESSION, whole=whole)
        blob.commit(copied.written.blob)
        if whole:
            return _Made(copied)
        return _Made(copied, tree, frozenset(step.entry.path for step in found.steps if isinstance(step, Item)))
    for left in os.scandir(top.upper):
        remove_tree(left.path)
    return None


def _remember(copies: Copies, name: str, made: _Made) -> None:
    """Keep a copy that is worth it. A small one is made anew as fast."""
    copied, written = made.copied, made.copied.written
    if not name or len(copied.frames) < 2:
        return
    tree = made.below or written.diff_id
    copies.keep(
        name,
        Before(
            written.diff_id.hex, written.blob.hex, written.blob_size, tree.hex, copied.frames, copied.begins,
            made.above, written.entries,
        ),
    )  # fmt: skip


def dated(root: Path, layer: Layer, epoch: int, since: int) -> Layer:
    """`layer` as it is under SOURCE_DATE_EPOCH (see layers/dating), its blob written. It is unpacked when needed."""
    with store_errors(root), Blobs(root).writer() as blob:
        source = Blobs(root).open(layer.blob)
        tar = compress.reader(compression_of(layer.blob.media_type), source)
        written = date_layer(tar, blob, COMPRESSION, epoch, since)
        source.drain()
        blob.commit(written.blob)
    return _layer(written)


def squashed(root: Path, layers: tuple[Layer, ...], below: tuple[Layer, ...]) -> Layer:
    """The layer that shows what `layers` show on `below`, its blob written. It is unpacked when needed."""
    # lazy: it loads as much as a launcher does in three milliseconds
    import tempfile

    with (
        store_errors(root),
        Blobs(root).writer() as blob,
        tempfile.TemporaryFile(dir=root / "tmp") as spool,
    ):
        written = squash(_tars(root, layers), _tars(root, below), spool, blob, COMPRESSION)
        blob.commit(written.blob)
    return _layer(written)


def _tars(root: Path, layers: tuple[Layer, ...]) -> Iterator[Reader]:
    """The layers as plain tars, the topmost first, each checked to its end before the next is opened."""
    for layer in reversed(layers):
        blob = Blobs(root).open(layer.blob)
        yield compress.reader(compression_of(layer.blob.media_type), blob)
        blob.drain()


def _layer(written: WrittenLayer) -> Layer:
    descriptor = Descriptor(layer_type(COMPRESSION), written.blob, written.blob_size)
    return Layer(written.diff_id, written.content_id, written.size, descriptor)
