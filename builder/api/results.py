"""What becomes of a build: the image in the store, its names, and what else is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from builder.api.session import Session
from builder.digest import Digest
from builder.errors import UsageError
from builder.events import Note
from builder.image.config import ImageConfig
from builder.image.descriptor import Annotations, Descriptor, Layer
from builder.image.manifest import Index, IndexEntry, Manifest
from builder.image.mediatypes import MANIFESTS
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.linux.files import write_atomically
from builder.request import BuildRequest

if TYPE_CHECKING:
    from builder.export.annotate import Annotation
    from builder.export.select import Output


class Made(Struct, frozen=True):
    """An image that was built: for which platform, its config with all times, its layers; what its manifest says."""

    platform: Platform
    config: ImageConfig
    layers: tuple[Layer, ...]
    annotations: Annotations = ()


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
    metadata_file: str | None = None
    annotations: tuple[Annotation, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the image stays in the store."""
        return bool(self.names) or not self.outputs or any(output.loads for output in self.outputs)

    @property
    def whole(self) -> bool:
        """Whether its layers are needed here."""
        return self.kept or any(output.kind != "cacheonly" for output in self.outputs)

    @property
    def sent(self) -> bool:
        """Whether it goes to a registry."""
        return any(output.sends for output in self.outputs)

    @property
    def streamed(self) -> bool:
        """Whether standard output has something of it."""
        return any(output.place == "-" for output in self.outputs)


def wanted(request: BuildRequest) -> Wanted:
    """What `request` asks for, read before anything runs. Raises UsageError."""
    names = tuple(Reference.parse(tag).tagged() for tag in request.tags)
    annotations = _annotations(request)
    outputs = _outputs(request, annotations)
    loaded = (name for output in outputs if output.loads for name in output.names)
    names = tuple(dict.fromkeys((*names, *loaded)))
    for output in outputs:
        if output.sends and not (names or output.names):
            raise UsageError("what is pushed needs a name", hint="give it one: -t REGISTRY/NAME, or name=REGISTRY/NAME")
    return Wanted(names, outputs, request.iidfile, request.metadata_file, annotations)


def finish(session: Session, asked: Wanted, images: Sequence[Made]) -> Finished:
    """Make the image of what was built, of several an index, and do with it what is asked for.

    parts   what each image is as bytes: its manifest, its config      what changes an image does it in _part
    index   what names them all, where there is more to name           what goes beside images comes in here
    then into the store, into outputs, and its ID into a file          what else is done with it follows
    """
    parts = [_part(image, asked) for image in images]
    index = _index(parts, asked) if len(parts) > 1 else None
    if index is None:
        _no_index(asked)
    if asked.kept:
        _keep(session, asked.names, parts, index)
    document = parts[0].manifest if index is None else index
    data = document.to_json()
    whole = Descriptor(document.media_type, Digest.of(data), len(data))
    written = _export(session, asked, parts) if asked.outputs else None
    identifier = parts[0].manifest.config.digest if index is None else whole.digest
    if asked.iidfile is not None:
        _write_iidfile(asked.iidfile, identifier)
    if asked.metadata_file is not None:
        _write_metadata(asked, asked.metadata_file, written or whole, parts)
    return Finished(identifier, whole.digest)


def _part(image: Made, asked: Wanted) -> Part:
    config = image.config.to_json()
    manifest = replace(Manifest.of(config, image.layers), annotations=image.annotations)
    if asked.annotations:
        # lazy: few builds annotate
        from builder.export.annotate import MANIFEST, chosen

        own = chosen(asked.annotations, MANIFEST, image.platform)
        manifest = replace(manifest, annotations=(*own, *image.annotations))
    return Part(image.platform, manifest, config, image.layers)


def _index(parts: Sequence[Part], asked: Wanted) -> Index:
    entries = []
    for part in parts:
        data = part.manifest.to_json()
        entries.append(IndexEntry(Descriptor(part.manifest.media_type, Digest.of(data), len(data)), part.platform))
    if not asked.annotations:
        return Index(tuple(entries))
    # lazy: as above
    from builder.export.annotate import INDEX, annotated, chosen

    return Index(tuple(annotated(entries, asked.annotations)), annotations=chosen(asked.annotations, INDEX))


def _no_index(asked: Wanted) -> None:
    for annotation in asked.annotations:
        if annotation.of_index:
            raise UsageError(
                f"--annotation {annotation.kind}:{annotation.key}: an image for one platform has no index",
                hint="annotate its manifest",
            )


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


def _annotations(request: BuildRequest) -> tuple[Annotation, ...]:
    if not request.annotations:
        return ()
    # lazy: as above
    from builder.export.annotate import parse

    return tuple(found for text in request.annotations for found in parse(text))


def _outputs(request: BuildRequest, annotations: tuple[Annotation, ...]) -> tuple[Output, ...]:
    texts = (*request.outputs, *(("type=registry",) if request.push else ()))
    if not texts:
        return ()
    # lazy: most builds end in the store
    from builder.export.select import parse_all

    return tuple(output.with_annotations(annotations) for output in parse_all(texts))


def _export(session: Session, asked: Wanted, parts: Sequence[Part]) -> Descriptor | None:
    """Write the outputs; gives what the last of them is that is an image or an index."""
    # lazy: most builds end in the store
    from builder.export.base import STDOUT, Export, ExportImage, ExportIndex

    several = len(parts) > 1
    names = () if several else asked.names
    images = tuple(ExportImage(part.manifest, part.config, part.layers, names) for part in parts)
    indexes = (ExportIndex(images, asked.names),) if several else ()
    export = Export(
        () if several else images,
        session.store,
        session.launcher,
        indexes,
        registries=lambda: session.registries,
        emit=session.emit,
    )
    found = None
    for output in asked.outputs:
        if output.writes:
            found = output.write(export) or found
        if output.place not in (None, STDOUT):
            session.emit(Note(f"wrote {output.place}"))
    return found


def _write_metadata(asked: Wanted, path: str, image: Descriptor, parts: Sequence[Part]) -> None:
    # lazy: few builds ask for it
    from builder.api.metadata import write

    names = dict.fromkeys((*asked.names, *(name for output in asked.outputs for name in output.names)))
    alone = parts[0] if image.media_type in MANIFESTS else None
    if alone is None:
        write(path, image, None, None, tuple(names))
    else:
        write(path, image, alone.platform, alone.manifest.config.digest, tuple(names))


def _write_iidfile(path: str, image: Digest) -> None:
    try:
        write_atomically(path, str(image).encode())
    except OSError as error:
        raise UsageError(f"--iidfile {path}: {error.strerror}") from error
