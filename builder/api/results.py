"""What becomes of a build: the image in the store, its names, and what else is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from builder import spans
from builder.api.contradictions import Results, refuse_results
from builder.api.session import Session, platforms_of
from builder.digest import Digest
from builder.errors import CanceledError, PybuildError, UsageError
from builder.events import BuildDone, BuildFailed, Note
from builder.graph.vertex import Graph, Target
from builder.image.config import ImageConfig
from builder.image.descriptor import Annotations, Descriptor, Layer
from builder.image.manifest import Index, IndexEntry, Manifest
from builder.image.mediatypes import MANIFESTS
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.lang.source import Source
from builder.linux.files import write_atomically
from builder.request import BuildRequest
from builder.solve.result import Solution, Stack
from builder.sources.remotes import Remotes

if TYPE_CHECKING:
    from builder.api.attest import Telling
    from builder.api.squash import Squash
    from builder.attest.options import Asked
    from builder.export.annotate import Annotation
    from builder.export.base import Attest, Attestation
    from builder.export.select import Output

    # lazy in the functions below, as is all of this
    from builder.signing.keys import PrivateKey


class Made(Struct, frozen=True):
    """An image that was built: for which platform, its config with all times, its layers; what its manifest says.

    `attest` tells of it, where that is asked for.
    """

    platform: Platform
    config: ImageConfig
    layers: tuple[Layer, ...]
    annotations: Annotations = ()
    attest: Attest | None = None


class Part(Struct, frozen=True):
    """An image as it is written: for which platform, its manifest, its config's bytes, its layers; as in Made."""

    platform: Platform
    manifest: Manifest
    config: bytes
    layers: tuple[Layer, ...]
    attest: Attest | None = None

    @property
    def descriptor(self) -> Descriptor:
        """Of its manifest."""
        data = self.manifest.to_json()
        return Descriptor(self.manifest.media_type, Digest.of(data), len(data))


class Finished(Struct, frozen=True):
    """What came out. `id`: the digest of the image's config, or of the index of several images; `digest`: of the
    manifest or index. `metadata` gives what --metadata-file says.
    """

    id: Digest
    digest: Digest
    metadata: Callable[[], dict[str, Any]]


class Wanted(Struct, frozen=True):
    """What a user asks to become of the image."""

    names: tuple[Reference, ...]
    outputs: tuple[Output, ...]
    iidfile: str | None
    metadata_file: str | None = None
    annotations: tuple[Annotation, ...] = ()
    told: Asked | None = None
    sign: PrivateKey | None = None

    @property
    def kept(self) -> bool:
        """Whether the image stays in the store."""
        return bool(self.names) or not self.outputs or any(output.loads for output in self.outputs)

    @property
    def whole(self) -> bool:
        """Whether its layers are needed here."""
        listed = self.told is not None and bool(self.told.sboms)
        return self.kept or listed or any(output.kind != "cacheonly" for output in self.outputs)

    @property
    def sent(self) -> bool:
        """Whether it goes to a registry."""
        return any(output.sends for output in self.outputs)

    @property
    def all_names(self) -> tuple[Reference, ...]:
        """The names of the image, wherever it goes."""
        return tuple(dict.fromkeys((*self.names, *(name for output in self.outputs for name in output.names))))

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
    several = "," in request.platform and len(platforms_of(request.platform)) > 1
    found = Wanted(names, outputs, request.iidfile, request.metadata_file, annotations, _told(request))
    told = found.told is not None
    refuse_results(request, Results(bool(names), outputs, annotations, several, told))
    if request.sign_key is None:
        return found
    # lazy: few sign what they push
    from builder.api.keys import signing_key

    return replace(found, sign=signing_key(request.sign_key))


def finish(session: Session, asked: Wanted, images: Sequence[Made]) -> Finished:
    """Make the image of what was built, of several an index, and do with it what is asked for.

    parts   what each image is as bytes: its manifest, its config      what changes an image does it in _part
    index   what names them all, where there is more to name           what goes beside images comes in here
    then into the store, into outputs, and its ID into a file          what else is done with it follows
    """
    parts = [_part(image, asked) for image in images]
    told = [(part, part.attest(part.descriptor)) for part in parts if part.attest is not None]
    index = _index(parts, told, asked) if len(parts) > 1 or told else None
    if asked.kept:
        with _instead(session, asked, told, index):
            for _, one in told:
                _keep_told(session, one)
            _keep(session, asked.names, parts, index)
    document = parts[0].manifest if index is None else index
    data = document.to_json()
    whole = Descriptor(document.media_type, Digest.of(data), len(data))
    written = _export(session, asked, parts) if asked.outputs else None
    identifier = parts[0].manifest.config.digest if len(parts) == 1 else whole.digest
    if asked.iidfile is not None:
        _write_iidfile(asked.iidfile, identifier)
    metadata = partial(_metadata, asked, written or whole, parts, told)
    if asked.metadata_file is not None:
        # lazy: few builds ask for it
        from builder.api.metadata import write

        write(asked.metadata_file, metadata())
    return Finished(identifier, whole.digest, metadata)


def summary(
    session: Session, asked: Wanted, finished: Finished, images: Sequence[Made], solution: Solution, seconds: float
) -> BuildDone:
    """What is told of a build that took so many `seconds`, at its end."""
    layers = {layer.diff_id: layer.size for image in images for layer in image.layers}
    return BuildDone(
        image=str(finished.id),
        cached=solution.cached,
        ran=solution.ran,
        seconds=seconds,
        names=tuple(name.familiar() for name in asked.all_names),
        size=sum(layers.values()),
        new=sum(size for diff_id, size in layers.items() if diff_id in session.store.layers.new),
        saved=solution.saved,
    )


def failure(error: BaseException, seconds: float) -> BuildFailed:
    """What is told of a build that an error ended after so many `seconds`."""
    if isinstance(error, PybuildError):
        place = f"{error.where.path}:{error.where.line}" if error.where is not None else ""
        return BuildFailed(error.message, seconds, place, isinstance(error, CanceledError))
    canceled = not isinstance(error, Exception)
    return BuildFailed("canceled" if canceled else str(error), seconds, canceled=canceled)


def squash(request: BuildRequest, graph: Graph, target: Target) -> Squash | None:
    """What merges the layers of a target; None when none are to be. Raises UsageError."""
    if request.squash is None:
        return None
    # lazy: few builds ask for it
    from builder.api.squash import wanted

    return wanted(request.squash, graph, target)


def telling(
    session: Session,
    request: BuildRequest,
    built: tuple[Graph, Source, Remotes, Mapping[int, Stack]],
    asked: Wanted,
    began: float,
) -> Telling | None:
    """What tells of the images of a build that began at `began`, in seconds; None when nothing is to be told.

    `built` is as in attest.Told.
    """
    if asked.told is None:
        return None
    # lazy: few builds tell of their images
    from builder.api.attest import Telling, Told

    return Telling(session, request, Told(*built), asked.told, asked.all_names, began)


def _part(image: Made, asked: Wanted) -> Part:
    config = image.config.to_json()
    manifest = replace(Manifest.of(config, image.layers), annotations=image.annotations)
    if asked.annotations:
        # lazy: few builds annotate
        from builder.export.annotate import MANIFEST, chosen

        own = chosen(asked.annotations, MANIFEST, image.platform)
        manifest = replace(manifest, annotations=(*own, *image.annotations))
    return Part(image.platform, manifest, config, image.layers, image.attest)


def _index(parts: Sequence[Part], told: Sequence[tuple[Part, Attestation]], asked: Wanted) -> Index:
    entries = [IndexEntry(part.descriptor, part.platform) for part in parts]
    annotations: Annotations = ()
    if asked.annotations:
        # lazy: as above
        from builder.export.annotate import INDEX, annotated, chosen

        entries, annotations = list(annotated(entries, asked.annotations)), chosen(asked.annotations, INDEX)
    if told:
        # lazy: few builds tell of their images
        from builder.image.attestation import attested

        entries += [attested(part.descriptor.digest, one.manifest) for part, one in told]
    return Index(tuple(entries), annotations=annotations)


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


def _instead(
    session: Session, asked: Wanted, told: Sequence[tuple[Part, Attestation]], index: Index | None
) -> AbstractContextManager[None]:
    if index is None or not told:
        return nullcontext()
    # lazy: few builds tell of their images
    from builder.api.attest import instead

    return instead(session, asked.names, index)


def _keep_told(session: Session, told: Attestation) -> None:
    for blob in (*told.blobs, told.manifest):
        session.store.blobs.put_bytes(blob)


def _told(request: BuildRequest) -> Asked | None:
    if not request.attest and request.provenance is None and request.sbom is None:
        return None
    # lazy: few builds tell of their images
    from builder.api.attest import wanted

    return wanted(request) or None


def _annotations(request: BuildRequest) -> tuple[Annotation, ...]:
    if not request.annotations:
        return ()
    # lazy: as above
    from builder.export.annotate import parse

    return tuple(found for text in request.annotations for found in parse(text))


def _outputs(request: BuildRequest, annotations: tuple[Annotation, ...]) -> tuple[Output, ...]:
    texts = (*request.outputs, *(("type=registry",) if request.push else ()))
    if not texts:
        return ()  # it is kept in the store anyway
    if request.load:
        texts = (*texts, "type=docker")
    # lazy: most builds end in the store
    from builder.export.select import parse_all

    return tuple(output.with_annotations(annotations) for output in parse_all(texts))


def _export(session: Session, asked: Wanted, parts: Sequence[Part]) -> Descriptor | None:
    """Write the outputs; gives what the last of them is that is an image or an index."""
    # lazy: most builds end in the store
    from builder.export.base import STDOUT, Export, ExportImage, ExportIndex

    several = len(parts) > 1
    names = () if several else asked.names
    images = tuple(ExportImage(part.manifest, part.config, part.layers, names, attest=part.attest) for part in parts)
    indexes = (ExportIndex(images, asked.names),) if several else ()
    export = Export(
        () if several else images,
        session.store,
        session.launcher,
        indexes,
        registries=lambda: session.registries,
        emit=session.emit,
        sign=asked.sign,
    )
    found = None
    for output in asked.outputs:
        if output.writes:
            with spans.span("export"):
                found = output.write(export) or found
        if output.place not in (None, STDOUT):
            session.emit(Note(f"wrote {output.place}"))
    return found


def _metadata(
    asked: Wanted, image: Descriptor, parts: Sequence[Part], told: Sequence[tuple[Part, Attestation]]
) -> dict[str, Any]:
    # lazy: as above
    from builder.api.metadata import Metadata, document, provenance

    alone = parts[0] if len(parts) == 1 else None
    return document(
        Metadata(
            image,
            alone.platform if alone is not None and image.media_type in MANIFESTS else None,
            alone.manifest.config.digest if alone is not None else None,
            asked.all_names,
            provenance([(None if alone else part.platform, one.manifest, one.blobs) for part, one in told]),
        )
    )


def _write_iidfile(path: str, image: Digest) -> None:
    try:
        write_atomically(path, str(image).encode())
    except OSError as error:
        raise UsageError(f"--iidfile {path}: {error.strerror}") from error
