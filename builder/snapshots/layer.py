"""Between blobs and snapshots: a layer unpacked, and a writable top packed into a layer."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from builder import spans
from builder.digest import Reader
from builder.errors import BadInputError
from builder.image.descriptor import Descriptor, Layer
from builder.image.mediatypes import compression_of, layer_type
from builder.layers import compress
from builder.layers.changes import changes
from builder.layers.copylayer import write_planned
from builder.layers.copyplan import Item
from builder.layers.dating import date_layer
from builder.layers.extract import extract_layer
from builder.layers.leftovers import Leftover, clear
from builder.layers.squash import squash
from builder.layers.tarwrite import WrittenLayer, write_layer
from builder.snapshots.active import Snapshots, Writable
from builder.store.blobs import MEND, Blobs, store_errors

COMPRESSION = "zstd"


def unpack(root: Path, layer: Layer) -> None:
    """Make the snapshot of `layer` from its blob, unless it is there. Raises BadInputError for a damaged blob."""
    snapshots = Snapshots(root)
    if snapshots.has(layer.diff_id):
        return
    with spans.span("unpack"), store_errors(root), snapshots.scratch() as path:
        unpack_into(root, layer, path)
        snapshots.commit(path, layer.diff_id)


def unpack_into(root: Path, layer: Layer, directory: str) -> None:
    """Unpack `layer` into the empty `directory`. Raises BadInputError for a damaged blob, NotFoundError for none."""
    os.chmod(directory, 0o755)  # it shows as `/` of a stack, unless the layer says otherwise
    try:
        blob = Blobs(root).open(layer.blob)
        facts = extract_layer(compress.reader(compression_of(layer.blob.media_type), blob), directory)
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


def pack_planned(root: Path, top: Writable, items: Sequence[Item]) -> Layer:
    """As `pack`, of what a copy is planned to make in `top`, which must be native: it was not made yet."""
    top.unmount()
    with store_errors(root), Blobs(root).writer() as blob:
        written = write_planned(items, top.upper, blob, COMPRESSION)
        blob.commit(written.blob)
    Snapshots(root).commit(top.upper, written.diff_id)
    return _layer(written)


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
