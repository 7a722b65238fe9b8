"""OCI image layouts: as an archive, or as a directory (`tar=false`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import IO, Protocol, cast

from msgspec.structs import replace

from builder.digest import Digest, Reader
from builder.errors import PybuildError, UsageError
from builder.export.base import STDOUT, Export, ExportImage, written
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Index, IndexEntry
from builder.image.mediatypes import FULL_NAME, OCI_MANIFEST, REF_NAME, compression_of
from builder.layers.compress import NAMES, Form
from builder.layers.tarstream import TarStream
from builder.store.recompress import compressed

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
OPTIONS = ("compression", "compression-level", "force-compression", "tar")


class _Target(Protocol):
    """Somewhere the files of a layout go."""

    def add(self, name: str, data: bytes) -> None: ...

    def copy(self, name: str, size: int, source: Reader) -> None: ...


def export_oci(export: Export, destination: str, options: Mapping[str, str]) -> None:
    """Write the images as an OCI layout. `compression` recompresses layers that are compressed otherwise."""
    named, level = options.get("compression"), options.get("compression-level")
    if level is not None and named is None:
        raise UsageError("compression-level goes with compression", hint=f"use compression={'|'.join(NAMES)}")
    form = None if named is None else Form.parse(named, level)
    if options.get("tar", "true") == "false":
        if destination == STDOUT:
            raise UsageError("tar=false needs dest=DIRECTORY")
        _write(export, _Directory(destination), form)
        return
    with written(destination) as out:
        tar = TarStream(out)
        _write(export, tar, form)
        tar.finish()


def _write(export: Export, target: _Target, form: Form | None) -> None:
    target.add("oci-layout", _LAYOUT)
    entries: list[IndexEntry] = []
    done: set[Digest] = set()
    for image in export.images:
        both = zip(image.layers, image.manifest.layers, strict=True)
        layers = [_layer(export, target, layer, blob, form, done) for layer, blob in both]
        manifest = replace(image.manifest, layers=tuple(layers))
        data = manifest.to_json()
        _put(target, image.manifest.config.digest, image.config, done)
        digest = Digest.of(data)
        _put(target, digest, data, done)
        entries += _named(image, Descriptor(manifest.media_type or OCI_MANIFEST, digest, len(data)))
    # Last, as the spec's readers begin here: a layout with an index is whole.
    target.add("index.json", Index(tuple(entries)).to_json())


def _named(image: ExportImage, descriptor: Descriptor) -> list[IndexEntry]:
    if not image.names:
        return [IndexEntry(descriptor)]
    return [
        IndexEntry(replace(descriptor, annotations=((FULL_NAME, str(name)), (REF_NAME, name.familiar()))))
        for name in image.names
    ]


def _put(target: _Target, digest: Digest, data: bytes, done: set[Digest]) -> None:
    if digest not in done:
        target.add(f"blobs/sha256/{digest.hex}", data)
        done.add(digest)


def _layer(
    export: Export, target: _Target, layer: Layer, blob: Descriptor, form: Form | None, done: set[Digest]
) -> Descriptor:
    if form is not None and form.compression != compression_of(blob.media_type):
        blob = replace(compressed(export.store, layer, form), annotations=blob.annotations)
    if blob.digest not in done:
        target.copy(f"blobs/sha256/{blob.digest.hex}", blob.size, export.blobs.open(blob))
        done.add(blob.digest)
    return blob


class _Directory:
    """A layout directory, new or empty; the index appears last."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            os.makedirs(f"{path}/blobs/sha256", exist_ok=True)
        except OSError as error:
            raise PybuildError(f"cannot write {path}: {error.strerror}") from error

    def add(self, name: str, data: bytes) -> None:
        with written(f"{self._path}/{name}") as file:
            file.write(data)

    def copy(self, name: str, size: int, source: Reader) -> None:
        with written(f"{self._path}/{name}") as file:
            shutil.copyfileobj(cast("IO[bytes]", source), file, 1 << 20)
