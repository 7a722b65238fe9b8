"""A shared cache as OCI documents: an index of *shards*, each a manifest with a part of the entries and their layers.

index        annotations: version, bits; maybe a signature (remotecache/trust)
  manifest   a shard: the entries whose names begin with its number, `bits` bits long
    config   the entries (remotecache/entries)
    layers   the layers they name, so that a registry keeps them
  manifest   a cache mount (image/cachemount)

The index says where the entries of each shard are, so that one is looked up with two requests, whatever the cache's
size: an index of 100,000 entries has some 100 kB, a shard 90 kB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError
from builder.image.cachemount import ID
from builder.image.descriptor import Descriptor
from builder.image.manifest import LARGEST
from builder.image.mediatypes import OCI_INDEX, OCI_MANIFEST, REF_NAME
from builder.readied import readied
from builder.remotecache import entries
from builder.remotecache.entries import Entries, Step

ARTIFACT = "application/vnd.pybuild.cache.v1"
ENTRIES = "application/vnd.pybuild.cache.entries.v1+msgpack"
EMPTY = b"{}"
# What stands for no layers (OCI manifest.md, "Guidance for an Empty Descriptor").
_EMPTY = Descriptor("application/vnd.oci.empty.v1+json", Digest.of(EMPTY), len(EMPTY))
VERSION = "1"
# Annotations of the index, and of a shard in it: its number; digest and size of its entries.
_VERSION, _BITS, SIGNATURE = "pybuild.cache.version", "pybuild.cache.bits", "pybuild.cache.signature"
_SHARD, _ENTRIES = "pybuild.cache.shard", "pybuild.cache.entries"
_MOST_BITS = 12
_MOST_MOUNTS = 1000
# How many entries shards have at most on average, before there are twice as many of them.
_FULL = 512


class Shard(Struct, frozen=True):
    """A shard in the index: its manifest, and the blob of its entries."""

    manifest: Descriptor
    entries: Descriptor


class Mount(Struct, frozen=True):
    """A cache mount in the index: its id, and its manifest."""

    id: str
    manifest: Descriptor


class Contents(Struct, frozen=True):
    """A cache: its shards by number, as many as `bits` bits count (or fewer: empty ones are left out).

    `mounts` are cache mounts by what they are called in a store (image/cachemount.About).
    """

    bits: int = 0
    shards: Mapping[int, Shard] = {}
    mounts: Mapping[str, Mount] = {}
    signature: str = ""

    def number(self, name: Digest) -> int:
        """The shard an entry belongs to."""
        return number(name, self.bits)


def number(name: Digest, bits: int) -> int:
    """The first `bits` bits of `name`."""
    return int(name.hex[:8], 16) >> (32 - bits)


def bits_for(count: int) -> int:
    """Into how many shards (as bits) `count` entries are put."""
    bits = 0
    while count > _FULL << bits and bits < _MOST_BITS:
        bits += 1
    return bits


def shard_manifest(config: Descriptor, shard: Entries) -> bytes:
    """The manifest of a shard whose entries are the blob `config`."""
    blobs = {e.blob.descriptor.digest: e.blob.descriptor for e in shard.values() if isinstance(e, Step) and e.blob}
    layers = [blobs[digest] for digest in sorted(blobs)] or [_EMPTY]
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT,
        "config": _document(config),
        "layers": [_document(layer) for layer in layers],
    }
    return msgspec.json.encode(document)


def to_json(contents: Contents) -> bytes:
    """The index of a cache; the same contents give the same bytes."""
    manifests = [
        _document(
            shard.manifest, {_SHARD: str(number), _ENTRIES: f"{shard.entries.digest} {shard.entries.size}"}, ARTIFACT
        )
        for number, shard in sorted(contents.shards.items())
    ]
    manifests += [
        _document(mount.manifest, {ID: mount.id, REF_NAME: name}) for name, mount in sorted(contents.mounts.items())
    ]
    annotations = {_VERSION: VERSION, _BITS: str(contents.bits)}
    if contents.signature:
        annotations[SIGNATURE] = contents.signature
    return msgspec.json.encode(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "artifactType": ARTIFACT,
            "manifests": manifests,
            "annotations": annotations,
        },
        order="sorted",
    )


class _Wire(Struct, rename="camel"):
    media_type: str = ""
    digest: str = ""
    size: int = -1
    annotations: dict[str, str] = {}


class _WireIndex(Struct, rename="camel"):
    schema_version: int = 0
    artifact_type: str = ""
    manifests: list[_Wire] = []
    annotations: dict[str, str] = {}


def is_cache(data: bytes) -> bool:
    """Whether a document says that it is a shared cache."""
    try:
        return msgspec.json.decode(data, type=readied(_WireIndex)).artifact_type == ARTIFACT
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False


def parse(data: bytes) -> Contents:
    """Read an index. Raises BadInputError for one of anything else, or of another version."""
    if len(data) > LARGEST:
        raise BadInputError(f"its index has {len(data)} bytes: more than {LARGEST} are not read")
    try:
        wire = msgspec.json.decode(data, type=readied(_WireIndex))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadInputError(f"its index cannot be read: {error}") from error
    if wire.artifact_type != ARTIFACT:
        raise BadInputError(f"it is no cache of pybuild but {wire.artifact_type[:100] or 'something else'}")
    version, bits = wire.annotations.get(_VERSION, ""), _count(wire.annotations.get(_BITS, ""), _MOST_BITS)
    if version != VERSION:
        raise BadInputError(f"it has version {version[:20]!r}, known is {VERSION}", hint="update pybuild")
    shards: dict[int, Shard] = {}
    mounts: dict[str, Mount] = {}
    for entry in wire.manifests:
        if ID in entry.annotations:
            manifest = _descriptor(entry.digest, entry.size, OCI_MANIFEST)
            mounts[entry.annotations.get(REF_NAME, "")] = Mount(entry.annotations[ID], manifest)
        elif _SHARD in entry.annotations:
            digest, _, size = entry.annotations.get(_ENTRIES, "").partition(" ")
            place = _count(entry.annotations[_SHARD], (1 << bits) - 1)
            if place in shards:
                raise BadInputError(f"its index has the shard {place} twice")
            shards[place] = Shard(
                _descriptor(entry.digest, entry.size, OCI_MANIFEST),
                _descriptor(digest, _count(size, entries.LARGEST), ENTRIES),
            )
    if len(mounts) > _MOST_MOUNTS:
        raise BadInputError(f"its index has {len(mounts)} cache mounts")
    return Contents(bits, shards, mounts, wire.annotations.get(SIGNATURE, ""))


def _count(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most):
        raise BadInputError(f"its index has {text[:20]!r} where a number up to {most} must be")
    return int(text)


def _descriptor(digest: str, size: int, media_type: str) -> Descriptor:
    if not 0 <= size <= LARGEST:
        raise BadInputError(f"its index has a part of {size} bytes")
    return Descriptor(media_type, Digest.parse(digest), size)


def _document(descriptor: Descriptor, annotations: Mapping[str, str] | None = None, artifact: str = "") -> Any:
    document: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if artifact:
        document["artifactType"] = artifact
    if annotations:
        document["annotations"] = dict(annotations)
    return document
