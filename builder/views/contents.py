"""Layers of the store read as they lie there: their entries, the data of one file, and what several show together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from builder.digest import Reader
from builder.errors import BadInputError
from builder.image.descriptor import Layer
from builder.image.mediatypes import compression_of
from builder.layers import compress
from builder.layers.entry import Entry, Kind
from builder.layers.extract import hashed
from builder.layers.laid import Change, File, Tree
from builder.layers.tarread import read_entries
from builder.store.blobs import MEND, Blobs

_PIECE = 1 << 20


def entries(blobs: Blobs, layer: Layer, *, digests: bool) -> Iterator[Entry]:
    """The entries of a layer, those of files with `digests` if asked for; its blob is checked to its end.

    Raises BadInputError for a damaged one, NotFoundError for one that is not there.
    """
    with _tar(blobs, layer) as tar:
        for entry, data in read_entries(tar):
            yield hashed(entry, data) if digests else entry


def laid(blobs: Blobs, layers: tuple[Layer, ...], *, digests: bool = False) -> Iterator[tuple[Tree, list[Change]]]:
    """The same tree after each of `layers`, bottom first, with what that one changed. Raises as `entries`."""
    tree = Tree()
    for layer in layers:
        yield tree, tree.lay(entries(blobs, layer, digests=digests))


def shown(blobs: Blobs, layers: tuple[Layer, ...], *, digests: bool = False) -> Tree:
    """What `layers` show together. Raises as `entries`."""
    tree = Tree()
    for layer in layers:
        tree.lay(entries(blobs, layer, digests=digests))
    return tree


def data(blobs: Blobs, layers: tuple[Layer, ...], file: File) -> Iterator[bytes]:
    """What is in a regular file of a tree of `layers`. Raises as `entries`, at the latest at the end."""
    assert file.entry.kind is Kind.FILE
    with _tar(blobs, layers[file.layer]) as tar:
        for place, (_, content) in enumerate(read_entries(tar)):
            if place == file.place:
                while piece := content.read(_PIECE):
                    yield piece


@contextmanager
def _tar(blobs: Blobs, layer: Layer) -> Iterator[Reader]:
    blob = blobs.open(layer.blob)
    try:
        yield compress.reader(compression_of(layer.blob.media_type), blob)
        blob.drain()
    except BadInputError as error:
        if error.hint is None:
            raise BadInputError(
                f"blob {layer.blob.digest} of the store is damaged: {error.message}", hint=MEND
            ) from error
        raise
