"""A cache that lies in an image: an annotation of its manifest says which steps made its layers. It needs no place.

What the image's own layers are not in (the steps of other stages) is known by its content alone.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Index, Manifest, parse
from builder.image.mediatypes import compression_of
from builder.readied import readied
from builder.remotecache import entries
from builder.remotecache.entries import Entry, Packed, Step
from builder.remotecache.place import Place

ANNOTATION = "pybuild.cache.inline.v1"
# Of an index: images of more platforms are not looked into.
_MOST = 16


class _Inline(Struct, array_like=True):
    """The diff IDs of the image's layers, in order, and the entries as `entries.encoded` writes them."""

    diff_ids: list[bytes]
    entries: bytes


def annotation(layers: Iterable[Layer], known: Mapping[Digest, Entry]) -> tuple[str, str]:
    """The annotation of an image of `layers`, with the entries `known`."""
    bare = {name: replace(e, blob=None) if isinstance(e, Step) else e for name, e in known.items()}
    inline = _Inline([bytes.fromhex(layer.diff_id.hex) for layer in layers], entries.encoded(bare))
    return ANNOTATION, base64.b64encode(msgspec.msgpack.encode(inline)).decode()


def found(place: Place, data: bytes) -> dict[Digest, Entry]:
    """The entries in the image, or the images for several platforms, with the document `data`. Raises PybuildError."""
    document = parse(data)
    if isinstance(document, Manifest):
        return _of(document)
    entries_of: dict[Digest, Entry] = {}
    for manifest in _manifests(place, document):
        entries_of.update(_of(manifest))
    if not entries_of:
        raise NotFoundError("it is an image without a cache in it", hint="build it with --cache-to type=inline")
    return entries_of


def _manifests(place: Place, index: Index) -> Iterable[Manifest]:
    for entry in index.manifests[:_MOST]:
        one = parse(place.manifest(entry.descriptor.digest), entry.descriptor.media_type)
        if isinstance(one, Manifest) and ANNOTATION in dict(one.annotations):
            yield one


def _of(manifest: Manifest) -> dict[Digest, Entry]:
    text = dict(manifest.annotations).get(ANNOTATION)
    if text is None:
        raise NotFoundError("it is an image without a cache in it", hint="build it with --cache-to type=inline")
    try:
        inline = msgspec.msgpack.decode(base64.b64decode(text, validate=True), type=readied(_Inline))
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise BadInputError(f"the cache in the image cannot be read: {error}") from error
    if len(inline.diff_ids) != len(manifest.layers):
        raise BadInputError("the cache in the image is one of other layers")
    blobs = dict(zip(inline.diff_ids, manifest.layers, strict=True))
    known = entries.decoded(inline.entries)
    return {name: _placed(e, blobs.get(e.diff_id)) if isinstance(e, Step) else e for name, e in known.items()}


def _placed(step: Step, blob: Descriptor | None) -> Step:
    return replace(step, blob=None if blob is None else Packed.of(blob, compression_of(blob.media_type)))
