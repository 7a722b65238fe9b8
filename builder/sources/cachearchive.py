"""Archives of cache mounts, and what is in them: an OCI image layout, as a directory or a tar (image/cachemount)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, UsageError
from builder.image.cachemount import ID, LARGEST, Archive, parse_contents, parse_manifest
from builder.image.descriptor import Descriptor
from builder.image.manifest import IndexEntry
from builder.layers.packs import MOST
from builder.snapshots.cachearchive import MOST_PACKED
from builder.sources.files import Files
from builder.sources.layout import blob_of, index_of


class Found(Struct, frozen=True):
    """A cache mount of an archive: its id, its manifest and config, and what is in it."""

    id: str
    manifest: Digest
    config: Digest
    archive: Archive


def entries(files: Files) -> Iterator[IndexEntry]:
    """The cache mounts that an archive's index names; none for any other archive. Raises BadInputError.

    Programs that copy images, such as skopeo, leave the id out of the index: then the manifest tells.
    """
    for entry in index_of(files):
        if ID in dict(entry.descriptor.annotations):
            yield entry
            continue
        with suppress(BadInputError):
            parse_manifest(blob_of(files, entry.descriptor, LARGEST))
            yield entry


def found(files: Files, entry: IndexEntry) -> Found:
    """What an entry of the index names. Raises BadInputError."""
    manifest = blob_of(files, entry.descriptor, LARGEST)
    config, archive = read(manifest, lambda config: blob_of(files, config, LARGEST))
    return Found(archive.contents.about.id, entry.descriptor.digest, config, archive)


def read(manifest: bytes, config_of: Callable[[Descriptor], bytes]) -> tuple[Digest, Archive]:
    """The archive with this manifest, whose config `config_of` reads; and that one's digest. Raises BadInputError."""
    config, blobs = parse_manifest(manifest)
    for blob in blobs:
        if not 0 < blob.size <= MOST_PACKED:
            raise BadInputError(f"the archive has a pack of {blob.size} bytes")
    return config.digest, Archive(parse_contents(config_of(config), blobs, MOST), blobs)


def one(files: Files, wanted: str) -> Found:
    """The cache mount with the id `wanted` in an archive; the only one when it has just one, whatever its id.

    Raises BadInputError for an archive of anything else, NotFoundError or UsageError when it has others or several.
    """
    there = {_id(files, entry): entry for entry in entries(files)}
    if not there:
        raise BadInputError("the archive holds no cache mount", hint="images are taken in by: pybuild load")
    if wanted not in there and len(there) > 1:
        raise NotFoundError(
            f"the archive has no cache mount {wanted or 'of no name'}", hint=f"it has {', '.join(sorted(there))}"
        )
    chosen = [entry for entry in entries(files) if len(there) == 1 or _id(files, entry) == wanted]
    if len(chosen) > 1:
        raise UsageError(f"the archive has {len(chosen)} cache mounts {_id(files, chosen[0])}, which begin differently")
    return found(files, chosen[0])


def _id(files: Files, entry: IndexEntry) -> str:
    return dict(entry.descriptor.annotations).get(ID) or found(files, entry).id
