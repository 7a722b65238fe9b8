"""What becomes of a build: the image in the store, its names, and what else is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from builder.api.session import Session
from builder.digest import Digest
from builder.errors import UsageError
from builder.events import Note
from builder.image.config import ImageConfig
from builder.image.descriptor import Layer
from builder.image.manifest import Manifest
from builder.image.reference import Reference
from builder.linux.files import write_atomically
from builder.request import BuildRequest

if TYPE_CHECKING:
    from builder.export.base import ExportImage
    from builder.export.select import Output


class Wanted(Struct, frozen=True):
    """What a user asks to become of the image."""

    names: tuple[Reference, ...]
    outputs: tuple[Output, ...]
    iidfile: str | None


def wanted(request: BuildRequest) -> Wanted:
    """What `request` asks for, read before anything runs. Raises UsageError."""
    names = tuple(Reference.parse(tag).tagged() for tag in request.tags)
    return Wanted(names, _outputs(request), request.iidfile)


def finish(session: Session, asked: Wanted, config: ImageConfig, layers: tuple[Layer, ...]) -> Manifest:
    """Make the image of `config` and `layers`, and do with it what is asked for."""
    store, data = session.store, config.to_json()
    manifest = Manifest.of(data, layers)
    if asked.names or not asked.outputs:
        store.blobs.put_bytes(data)
        store.images.add(manifest, manifest.to_json(), asked.names)
        for name in asked.names:
            session.emit(Note(f"tagged {name.familiar()}"))
    if asked.outputs:
        # lazy: most builds end in the store
        from builder.export.base import ExportImage

        _export(session, asked.outputs, ExportImage(manifest, data, layers, asked.names))
    if asked.iidfile is not None:
        _write_iidfile(asked.iidfile, manifest.config.digest)
    return manifest


def _outputs(request: BuildRequest) -> tuple[Output, ...]:
    if not request.outputs:
        return ()
    # lazy: as above
    from builder.export.select import parse

    return tuple(parse(text) for text in request.outputs)


def _export(session: Session, outputs: tuple[Output, ...], image: ExportImage) -> None:
    # lazy: as above
    from builder.export.base import Export

    export = Export((image,), session.store, session.launcher)
    for output in outputs:
        output.write(export)
        if output.destination != "-":
            session.emit(Note(f"wrote {output.destination}"))


def _write_iidfile(path: str, image: Digest) -> None:
    try:
        write_atomically(path, str(image).encode())
    except OSError as error:
        raise UsageError(f"--iidfile {path}: {error.strerror}") from error
