"""Images from registries into the store: manifest and config first, then the layers that are missing, side by side.

    tag ──once──▶ digest ──▶ manifest ──▶ config          small, and checked before any layer is asked for
                                 │
                       layer ────┼──── layer ──── …        a thread each: download ─▶ verify
                          │      │        │                a child of the launcher each: keep, decompress, unpack
                          ▼      ▼        ▼
                        the image, once all its layers are there

What a registry says is not trusted: all is named by digest from the manifest on, so that a tag that moves meanwhile
changes nothing, and a layer that several pulls want is fetched by one of them, whatever process they are in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from builder import spans
from builder.digest import Digest, Reader
from builder.errors import BadInputError, NotFoundError, PybuildError, RegistryError, StoreError
from builder.events import Emit, Progress, Work
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import LARGEST, Index, Manifest, parse
from builder.image.mediatypes import CONFIGS
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.sources.ingest import Ingest, check_layers
from builder.sources.signed import verify
from builder.sources.together import Together
from builder.store.catalog import digest_of
from builder.store.images import StoredImage
from builder.store.locks import key_lock

if TYPE_CHECKING:
    from builder.registry.client import Repository

# As large as a config is read (image/config.py).
_LARGEST_CONFIG = 8 << 20
# An image's index names manifests; that of several images, such indexes. Deeper ones are made to be followed for long.
_DEEPEST_INDEX = 4
# Layers that are fetched and unpacked at once: one more than Docker's three, as two are enough for two cores, and while
# one waits for the network another is unpacked.
_AT_ONCE = 4

# What is told of a layer, by its blob: "Pulling fs layer", "Already exists"…
Tell = Callable[[Digest, str], None]


class Pulled(Struct, frozen=True):
    """A pulled image; `named` is the digest that its tag stands for, that of an index where there is one."""

    image: StoredImage
    named: Digest


class _Found(Struct, frozen=True):
    """What a name leads to: the image's manifest and its bytes, the config's bytes and what it says.

    `index` is the index that names the image, and its bytes, where the name is that of an index.
    """

    named: Digest
    index: tuple[Descriptor, bytes] | None
    manifest: Manifest
    data: bytes
    config: bytes
    parsed: ImageConfig


def pull(
    reference: Reference,
    platform: Platform,
    ingest: Ingest,
    emit: Emit,
    *,
    again: bool = True,
    tell: Tell = lambda blob, state: None,
) -> Pulled:
    """The image `reference` for `platform`, fetched and named. Raises NotFoundError, RegistryError, BadInputError.

    Not `again`: it is pulled because the store has none of that name. What is known of an image is not fetched again.
    """
    wanted = reference.tagged()
    with spans.span("fetch"), _naming(wanted), ingest.registries.repository(wanted) as repository:
        found = _found(repository, wanted, platform, ingest, again=again)
        here = _pushed_from_here(wanted, found, ingest)
        if here is not None:
            for blob in found.manifest.layers:
                tell(blob.digest, "Already exists")
            return Pulled(here, found.named)
        layers = _layers(repository, found, ingest, emit, tell, wanted.familiar())
        # A digest is what it was asked for by, not a name it could be given.
        names = () if wanted.digest else (wanted,)
        image = ingest.image(found.manifest, found.data, found.config, layers, names, found.index)
        _note(wanted, found, ingest)
        return Pulled(image, found.named)


def _pushed_from_here(wanted: Reference, found: _Found, ingest: Ingest) -> StoredImage | None:
    """The image, where what the registry has is what was pushed from here in another form; it is named then."""
    images = ingest.store.images
    known = images.named(str(replace(wanted, digest=found.named)))
    if known is None or digest_of(known) == found.named:
        return None
    candidates = [known] if isinstance(known, StoredImage) else [member.image for member in images.members(known)]
    image = next((c for c in candidates if c is not None and c.config == found.manifest.config.digest), None)
    try:
        if image is None or any(ingest.store.layer(diff_id) is None for diff_id in images.claim(image).diff_ids):
            return None
        if wanted.digest is None:
            images.tag(known, wanted)
    except (BadInputError, NotFoundError):
        return None  # removed just now, or damaged
    return image


def _note(wanted: Reference, found: _Found, ingest: Ingest) -> None:
    """Remember where it came from: what is pushed beside it need not be sent, and its digest is a name for it."""
    elsewhere, blobs = ingest.store.elsewhere, [blob.digest for blob in found.manifest.layers]
    elsewhere.note_received(blobs)
    elsewhere.note_blobs(blobs, wanted)
    elsewhere.note_published(wanted, found.named, Digest.of(found.data) if found.index is None else found.named)


def peek(
    reference: Reference, platform: Platform, ingest: Ingest, *, again: bool
) -> tuple[Manifest, Digest, ImageConfig]:
    """What `pull` would fetch: its manifest, the digest of that, and its config. Nothing is kept. Raises as it does."""
    wanted = reference.tagged()
    with spans.span("fetch"), _naming(wanted), ingest.registries.repository(wanted) as repository:
        found = _found(repository, wanted, platform, ingest, again=again)
    return found.manifest, Digest.of(found.data), found.parsed


@contextmanager
def _naming(wanted: Reference) -> Iterator[None]:
    """Have every error say which image it is about; those of a registry name it and the repository themselves."""
    try:
        yield
    except (BadInputError, NotFoundError, StoreError) as error:
        if wanted.domain in error.message:
            raise
        raise type(error)(f"{wanted.familiar()}: {error.message}", where=error.where, hint=error.hint) from error


# --- manifests -----------------------------------------------------------------------------------


def _found(repository: Repository, wanted: Reference, platform: Platform, ingest: Ingest, *, again: bool) -> _Found:
    """What `wanted` leads to for `platform`, checked as far as it can be without its layers."""
    name = str(wanted.digest) if wanted.digest else str(wanted.tag)
    try:
        data, media_type = repository.manifest(name)
    except (NotFoundError, RegistryError) as error:
        if again:
            raise
        raise type(error)(
            f"{wanted.familiar()} is not in the store, and {error.message}",
            hint=error.hint or "pybuild images lists what is in the store",
        ) from error
    named, top, depth = Digest.of(data), data, 0
    outer = found = parse(data, media_type)
    while isinstance(found, Index):
        if depth == _DEEPEST_INDEX:
            raise BadInputError(f"its indexes are nested more than {_DEEPEST_INDEX} deep")
        data, media_type = _chosen(repository, found.select(platform))
        outer, found, depth = found, parse(data, media_type), depth + 1
    verify(repository, wanted, [named, Digest.of(data)], ingest)
    # The store finds the images of an index, not those of the indexes in one.
    index = (Descriptor(outer.media_type, named, len(top)), top) if depth == 1 else None
    if found.config.media_type not in CONFIGS:
        raise BadInputError(
            f"it is no image, but holds {found.config.media_type[:100]!r}",
            hint="other things than images are kept in registries, too: is the name right?",
        )
    check_layers(found)
    config = _config(repository, found.config, ingest)
    parsed = ImageConfig.from_json(config)
    if len(parsed.diff_ids) != len(found.layers):
        raise BadInputError(f"its manifest has {len(found.layers)} layers, and its config {len(parsed.diff_ids)}")
    return _Found(named, index, found, data, config, parsed)


def _chosen(repository: Repository, entry: Descriptor) -> tuple[bytes, str]:
    if entry.size > LARGEST:
        raise BadInputError(f"manifest {entry.digest} of {entry.size} bytes: more than {LARGEST} are not read")
    data, media_type = repository.manifest(str(entry.digest))
    if len(data) != entry.size:
        raise BadInputError(f"manifest {entry.digest} has {len(data)} bytes, {entry.size} were declared")
    return data, media_type


def _config(repository: Repository, blob: Descriptor, ingest: Ingest) -> bytes:
    if blob.size > _LARGEST_CONFIG:
        raise BadInputError(f"config {blob.digest} of {blob.size} bytes: more than {_LARGEST_CONFIG} are not read")
    ingest.store.leases.use([blob.digest])
    if ingest.store.blobs.holds(blob):
        return ingest.store.blobs.read(blob)
    with repository.blob(blob) as reader:
        return b"".join(iter(lambda: reader.read(_LARGEST_CONFIG), b""))


# --- layers --------------------------------------------------------------------------------------


def _layers(repository: Repository, found: _Found, ingest: Ingest, emit: Emit, tell: Tell, name: str) -> list[Layer]:
    """The layers of an image, those that are missing fetched."""
    blobs = dict(zip(found.manifest.layers, found.parsed.diff_ids, strict=True))
    layers: dict[Digest, Layer] = {}
    for blob in blobs:
        known = ingest.known(blob)
        if known is not None:
            layers[blob.digest] = known
        tell(blob.digest, "Pulling fs layer" if known is None else "Already exists")
    # The largest first: the others fit in beside it.
    missing = sorted((b for b in blobs if b.digest not in layers), key=lambda b: b.size, reverse=True)
    if missing:
        _check_room(sum(blob.size for blob in missing), ingest, name)
        ingest.begin()
        together = Together()

        def fetched(blob: Descriptor) -> Layer:
            layer = _layer(repository, blob, blobs[blob], ingest, emit, together, f"layer {blob.digest} of {name}")
            tell(blob.digest, "Pull complete")
            return layer

        try:
            found_now = together.each(fetched, missing, _AT_ONCE)
        except PybuildError:
            raise
        except BaseException:
            ingest.registries.cancel()  # the user gives up: nothing more is wanted of any registry
            raise
        layers.update(zip((b.digest for b in missing), found_now, strict=True))
    return [layers[blob.digest] for blob in found.manifest.layers]


def _check_room(size: int, ingest: Ingest, name: str) -> None:
    """Raises StoreError where there is not even room for what is to be downloaded: not all sizes are true."""
    disk = os.statvfs(ingest.root)
    free = disk.f_bavail * disk.f_frsize
    if size > free:
        raise StoreError(
            f"{name} has {size} bytes to be fetched, and the disk of the store in {ingest.root} has {free} left",
            hint="make room, or use another directory: --root DIR",
        )


def _layer(
    repository: Repository,
    blob: Descriptor,
    diff_id: Digest,
    ingest: Ingest,
    emit: Emit,
    together: Together,
    what: str,
) -> Layer:
    with key_lock(ingest.root, blob.digest, lambda: together.canceled):
        known = ingest.known(blob)  # another pull may just have fetched it
        if known is not None:
            return known
        with repository.blob(blob) as reader:
            counted = _Counted(reader, blob.digest, blob.size, emit)
            return ingest.layer(counted, blob, what, diff_id, together.holding)


class _Counted:
    """Tells how far the reading of a blob is, every few hundred kilobytes."""

    def __init__(self, source: Reader, digest: Digest, total: int, emit: Emit) -> None:
        self._source, self._name, self._total, self._emit = source, digest.short, total, emit
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._read += len(data)
        self._emit(Progress(Work.PULL, self._name, self._read, self._total))
        return data
