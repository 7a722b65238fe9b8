"""What becomes of a build: the image in the store, its names, and what else is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from builder.api.session import Session
from builder.digest import Digest
from builder.errors import UsageError
from builder.events import Note
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Index, IndexEntry, Manifest
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.linux.files import write_atomically
from builder.request import BuildRequest

if TYPE_CHECKING:
    from builder.export.select import Output


class Made(Struct, frozen=True):
    """An image that was built: for which platform, its config with all times, its layers."""

    platform: Platform
    config: ImageConfig
    layers: tuple[Layer, ...]


class Part(Struct, frozen=True):
    """An image as it is written: for which platform, its manifest, its config's bytes, its layers."""

    platform: Platform
    manifest: Manifest
    config: bytes
    layers: tuple[Layer, ...]


class Finished(Struct, frozen=True):
    """What came out. `id`: the digest of the image's config, or of the index; `digest`: of the manifest or index."""

    id: Digest
    digest: Digest


class Wanted(Struct, frozen=True):
    """What a user asks to become of the image."""

    names: tuple[Reference, ...]
    outputs: tuple[Output, ...]
    iidfile: str | None


def wanted(request: BuildRequest) -> Wanted:
    """What `request` asks for, read before anything runs. Raises UsageError."""
    names = tuple(Reference.parse(tag).tagged() for tag in request.tags)
    return Wanted(names, _outputs(request), request.iidfile)


def finish(session: Session, asked: Wanted, images: Sequence[Made]) -> Finished:
    """Make the image of what was built, of several an index, and do with it what is asked for.

    parts   what each image is as bytes: its manifest, its config      what changes an image does it in _part
    index   what names them all, where there is more to name           what goes beside images comes in here
    then into the store, into outputs, and its ID into a file          what else is done with it follows
    """
    parts = [_part(image) for image in images]
    index = _index(parts) if len(parts) > 1 else None
    if asked.names or not asked.outputs:
        _keep(session, asked.names, parts, index)
    if asked.outputs:
        _export(session, asked, parts)
    data = parts[0].manifest.to_json() if index is None else index.to_json()
    identifier = parts[0].manifest.config.digest if index is None else Digest.of(data)
    if asked.iidfile is not None:
        _write_iidfile(asked.iidfile, identifier)
    return Finished(identifier, Digest.of(data))


def _part(image: Made) -> Part:
    config = image.config.to_json()
    return Part(image.platform, Manifest.of(config, image.layers), config, image.layers)


def _index(parts: Sequence[Part]) -> Index:
    entries = []
    for part in parts:
        data = part.manifest.to_json()
        entries.append(IndexEntry(Descriptor(part.manifest.media_type, Digest.of(data), len(data)), part.platform))
    return Index(tuple(entries))


def _keep(session: Session, names: tuple[Reference, ...], parts: Sequence[Part], index: Index | None) -> None:
    """Into the store, under the names asked for."""
    store = session.store
    for part in parts:
        store.blobs.put_bytes(part.config)
    images = [(part.manifest, part.manifest.to_json()) for part in parts]
    if index is None:
        store.images.add(*images[0], names)
    else:
        data = index.to_json()
        store.images.add_index(Descriptor(index.media_type, Digest.of(data), len(data)), data, names, images)
    for name in names:
        session.emit(Note(f"tagged {name.familiar()}"))


def _outputs(request: BuildRequest) -> tuple[Output, ...]:
    if not request.outputs:
        return ()
    # lazy: most builds end in the store
    from builder.export.select import parse

    return tuple(parse(text) for text in request.outputs)


def _export(session: Session, asked: Wanted, parts: Sequence[Part]) -> None:
    # lazy: most builds end in the store
    from builder.export.base import Export, ExportImage, ExportIndex

    several = len(parts) > 1
    names = () if several else asked.names
    images = tuple(ExportImage(part.manifest, part.config, part.layers, names) for part in parts)
    export = Export(images, session.store, session.launcher)
    if several:
        export = Export((), session.store, session.launcher, (ExportIndex(images, asked.names),))
    for output in asked.outputs:
        output.write(export)
        if output.destination != "-":
            session.emit(Note(f"wrote {output.destination}"))


def _write_iidfile(path: str, image: Digest) -> None:
    try:
        write_atomically(path, str(image).encode())
    except OSError as error:
        raise UsageError(f"--iidfile {path}: {error.strerror}") from error
