"""Images from registries into the store: manifest, config, then the layers that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.digest import Digest, Reader
from builder.errors import NotFoundError, RegistryError
from builder.events import Emit, Progress
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Index, Manifest, parse
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.sources.ingest import Ingest, check_layers
from builder.store.images import StoredImage

if TYPE_CHECKING:
    from builder.registry.client import Repository

_CONFIG_LIMIT = 8 << 20


def pull(reference: Reference, platform: Platform, ingest: Ingest, emit: Emit, *, again: bool = False) -> StoredImage:
    """The image `reference` for `platform`, fetched and named. Raises NotFoundError, RegistryError, BadInputError.

    `again`: the store has an image of that name, maybe the same. What is known of it is not fetched again.
    """
    wanted = reference.tagged()
    with ingest.registries.repository(wanted) as repository:
        found, data, config = _described(repository, wanted, platform, ingest, again=again)
        layers = [_layer(repository, blob, ingest, emit) for blob in found.layers]
    # A digest is what it was asked for by, not a name it could be given.
    names = () if wanted.digest else (wanted,)
    return ingest.image(found, data, config, layers, names)


def peek(reference: Reference, platform: Platform, ingest: Ingest, *, again: bool) -> tuple[Digest, ImageConfig]:
    """What `pull` would fetch, by the digest of its manifest, and its config; nothing is kept. Raises as it does."""
    wanted = reference.tagged()
    with ingest.registries.repository(wanted) as repository:
        _, data, config = _described(repository, wanted, platform, ingest, again=again)
    return Digest.of(data), ImageConfig.from_json(config)


def _described(
    repository: Repository, wanted: Reference, platform: Platform, ingest: Ingest, *, again: bool
) -> tuple[Manifest, bytes, bytes]:
    """The manifest for `platform`, its bytes, and those of the config."""
    name = str(wanted.digest) if wanted.digest else str(wanted.tag)
    try:
        data, media_type = repository.manifest(name)
    except (NotFoundError, RegistryError) as error:
        if again:
            raise
        raise type(error)(
            f"{wanted.familiar()} is not in the store, and {error.message}",
            hint="pybuild images lists what is in the store",
        ) from error
    found = parse(data, media_type)
    if isinstance(found, Index):
        chosen = found.select(platform)
        data, media_type = repository.manifest(str(chosen.digest))
        found = _one(parse(data, media_type))
    check_layers(found)
    return found, data, _config(repository, found.config, ingest)


def _one(found: Manifest | Index) -> Manifest:
    if isinstance(found, Index):
        raise NotFoundError("the image is an index of indexes, which no registry should hold")
    return found


def _config(repository: Repository, blob: Descriptor, ingest: Ingest) -> bytes:
    if ingest.store.blobs.holds(blob):
        return ingest.store.blobs.read(blob)
    with repository.blob(blob) as reader:
        config = reader.read(_CONFIG_LIMIT)
        reader.drain()  # one that is larger fails at its parsing: it is cut off
    return config


def _layer(repository: Repository, blob: Descriptor, ingest: Ingest, emit: Emit) -> Layer:
    known = ingest.known(blob)
    if known is not None:
        return known
    with repository.blob(blob) as reader:
        counted = _Counted(reader, blob.digest, blob.size, emit)
        return ingest.layer(counted, blob, f"layer {blob.digest.short}")


class _Counted:
    """Tells how far the reading of a blob is, every few hundred kilobytes."""

    def __init__(self, source: Reader, digest: Digest, total: int, emit: Emit) -> None:
        self._source, self._name, self._total, self._emit = source, f"pull {digest.short}", total, emit
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._read += len(data)
        self._emit(Progress(self._name, self._read, self._total))
        return data
