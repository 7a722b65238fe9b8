"""Archives of cache mounts, and what is in them: an OCI image layout, as a directory or a tar (image/cachemount)."""

from __future__ import annotations

from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, UsageError
from builder.image.cachemount import ID, LARGEST, Archive, parse_contents, parse_manifest
from builder.image.manifest import IndexEntry
from builder.layers.packs import MOST
from builder.snapshots.cachearchive import MOST_PACKED
from builder.sources.layout import Files, blob_of, index_of


class Found(Struct, frozen=True):
    """A cache mount of an archive: what the index calls it, its manifest and config, and what is in it."""

    id: str
    manifest: Digest
    config: Digest
    archive: Archive


def entries(files: Files) -> list[IndexEntry]:
    """The cache mounts that an archive's index names; none for any other archive. Raises BadInputError."""
    return [entry for entry in index_of(files) if ID in dict(entry.descriptor.annotations)]


def found(files: Files, entry: IndexEntry) -> Found:
    """What an entry of the index names. Raises BadInputError."""
    config, blobs = parse_manifest(blob_of(files, entry.descriptor, LARGEST))
    for blob in blobs:
        if not 0 < blob.size <= MOST_PACKED:
            raise BadInputError(f"the archive has a pack of {blob.size} bytes")
    contents = parse_contents(blob_of(files, config, LARGEST), blobs, MOST)
    return Found(
        dict(entry.descriptor.annotations)[ID], entry.descriptor.digest, config.digest, Archive(contents, blobs)
    )


def one(files: Files, wanted: str) -> Found:
    """The cache mount with the id `wanted` in an archive; the only one when it has just one, whatever its id.

    Raises BadInputError for an archive of anything else, NotFoundError or UsageError when it has others or several.
    """
    there = entries(files)
    if not there:
        raise BadInputError("the archive holds no cache mount", hint="images are taken in by: pybuild load")
    chosen = [entry for entry in there if dict(entry.descriptor.annotations)[ID] == wanted]
    if not chosen and len(there) > 1:
        ids = ", ".join(sorted(dict(entry.descriptor.annotations)[ID] for entry in there))
        raise NotFoundError(f"the archive has no cache mount {wanted or 'of no name'}", hint=f"it has {ids}")
    if len(chosen) > 1:
        raise UsageError(f"the archive has {len(chosen)} cache mounts {wanted}, which begin differently")
    return found(files, (chosen or there)[0])
