"""Is what is kept of a layer what it says it is: its blob, and the snapshot beside it; and made anew from the other.

One pass over a blob tells its digest, that of its tar, the content ID, and what unpacking it makes; with that the
snapshot is compared. Where an archive is so unusual that only unpacking tells, it is unpacked aside and compared. All
this runs in a launcher's children, for snapshots hold files of mapped IDs.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from builder.digest import Digest, HashingReader, HashingWriter
from builder.errors import BadInputError, NotFoundError, PybuildError
from builder.image.descriptor import Descriptor, Layer
from builder.image.mediatypes import compression_of, layer_type
from builder.layers import compress
from builder.layers.extract import inspect_layer
from builder.layers.tarread import read_entries
from builder.layers.tarwrite import WrittenLayer, write_layer
from builder.layers.unpacked import differences, in_tar, on_disk, unpacked
from builder.points import point
from builder.snapshots.active import Snapshots, lay_on
from builder.snapshots.layer import COMPRESSION, unpack_into
from builder.store.blobs import Blobs, store_errors


class LayerState(Struct, frozen=True):
    """What was found of a layer. Empty words say that all is well; `bytes` is what was read.

    `blob`: what is wrong with its blob. `facts`: what its blob says where the database says otherwise.
    `snapshot`: what is wrong with its snapshot, the first of `differences` that many.
    """

    blob: str = ""
    facts: Layer | None = None
    snapshot: str = ""
    differences: int = 0
    unpacked: bool = False
    bytes: int = 0


def examine(root: Path, layer: Layer) -> LayerState:
    """Check a layer's blob, the facts the database has of it, and its snapshot where there is one."""
    snapshots = Snapshots(root)
    there = snapshots.has(layer.diff_id)
    try:
        blob = Blobs(root).open(layer.blob)
        plain = HashingReader(compress.reader(compression_of(layer.blob.media_type), blob))
        wanted, content = in_tar(read_entries(plain))
        blob.drain()
    except (PybuildError, OSError) as error:
        return _alone(root, layer, there, _told(error))
    facts = Layer(plain.digest(), content, plain.size, layer.blob)
    if facts.diff_id != layer.diff_id:
        return LayerState(facts=facts, unpacked=there, bytes=layer.blob.size)
    found: list[str] = []
    if there:
        try:
            with snapshots.tree(layer.diff_id) as path:
                model = on_disk(path)
            found = ["it must be compared"] if wanted is None else differences(wanted, model)
            if found:
                with snapshots.scratch() as aside:
                    unpack_into(root, layer, aside)
                    found = differences(on_disk(aside), model)
        except (PybuildError, OSError) as error:
            found = [_told(error)]
    return LayerState(
        facts=None if facts == layer else facts,
        snapshot=found[0] if found else "",
        differences=len(found),
        unpacked=there,
        bytes=layer.blob.size,
    )


def _alone(root: Path, layer: Layer, there: bool, trouble: str) -> LayerState:
    """The state of a layer without a good blob: a snapshot whose tar has the diff ID is whole."""
    if not there:
        return LayerState(blob=trouble)
    try:
        with Snapshots(root).tree(layer.diff_id) as path:
            written = _written(path, HashingWriter(_Nowhere()))
    except (PybuildError, OSError) as error:
        return LayerState(blob=trouble, snapshot=_told(error), differences=1, unpacked=True)
    whole = written.diff_id == layer.diff_id
    return LayerState(
        blob=trouble,
        snapshot="" if whole else "its tar is another",
        differences=int(not whole),
        unpacked=True,
        bytes=written.size,
    )


def damage(root: Path, digest: Digest) -> str:
    """What is wrong with a blob that is no layer's; empty when nothing is."""
    path = Blobs(root).path(digest)
    try:
        Blobs(root).open(Descriptor("", digest, os.stat(path).st_size)).drain()
    except (PybuildError, OSError) as error:
        return _told(error)
    return ""


def facts_of(root: Path, blob: Descriptor) -> Layer | None:
    """The layer a blob is, by its bytes; None when it is no layer or damaged. Its media type may be unknown."""
    try:
        reader = Blobs(root).open(blob)
        peekable = compress.Peekable(reader)
        kind = compress.detect(peekable.peek(6))
        facts = inspect_layer(compress.reader(kind, peekable))
        reader.drain()
        known = blob if blob.media_type else Descriptor(layer_type(kind), blob.digest, blob.size)
    except (PybuildError, OSError, KeyError):
        return None
    return Layer(facts.diff_id, facts.content_id, facts.size, known)


def restore_snapshot(root: Path, layer: Layer) -> bool:
    """Unpack a layer again in place of its snapshot; False when its blob does not let it.

    As all that is made anew: for who collects, so that nobody uses it meanwhile.
    """
    snapshots = Snapshots(root)
    with store_errors(root), snapshots.scratch() as aside, snapshots.scratch() as doomed:
        try:
            unpack_into(root, layer, aside)
        except (BadInputError, NotFoundError):
            return False
        with suppress(FileNotFoundError):
            os.rename(snapshots.path(layer.diff_id), f"{doomed}/damaged")
        point("verify:snapshot")
        lay_on(aside, None)
        os.rename(aside, snapshots.path(layer.diff_id))
    return True


def restore_blob(root: Path, layer: Layer) -> bool:
    """Write a layer's blob again from its snapshot; False, and nothing is changed, when the bytes are others."""
    snapshots, blobs = Snapshots(root), Blobs(root)
    if not snapshots.has(layer.diff_id) or compression_of(layer.blob.media_type) != COMPRESSION:
        return False
    with store_errors(root), blobs.writer() as blob, snapshots.tree(layer.diff_id) as path:
        try:
            written = _written(path, HashingWriter(blob))
        except BadInputError:
            return False
        if (written.diff_id, written.blob) != (layer.diff_id, layer.blob.digest):
            return False
        blob.replace(written.blob)
    return True


def discard(root: Path, names: tuple[str, ...]) -> None:
    """Remove what is called so in snapshots/."""
    with Snapshots(root).scratch() as doomed:
        for number, name in enumerate(names):
            with suppress(FileNotFoundError):
                os.rename(f"{root}/snapshots/{name}", f"{doomed}/{number}")


def _written(directory: str, sink: HashingWriter) -> WrittenLayer:
    return write_layer(unpacked(directory), sink, COMPRESSION)


class _Nowhere:
    def write(self, data: bytes) -> None:
        pass


def _told(error: PybuildError | OSError) -> str:
    return (
        error.message if isinstance(error, PybuildError) else f"{error.filename or ''}: {error.strerror}".lstrip(": ")
    )
