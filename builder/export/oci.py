"""OCI image layouts: as an archive, or as a directory (`tar=false`)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Protocol, cast

from msgspec.structs import replace

from builder.digest import Digest, HashingWriter, Reader
from builder.errors import PybuildError, UsageError
from builder.export.base import STDOUT, Export, ExportImage, written
from builder.image.descriptor import BlobSource, Descriptor
from builder.image.manifest import Index, IndexEntry
from builder.image.mediatypes import FULL_NAME, OCI_MANIFEST, REF_NAME, compression_of, layer_type
from builder.layers import compress
from builder.layers.tarstream import TarStream

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
OPTIONS = ("compression", "compression-level", "force-compression", "tar")


class _Target(Protocol):
    """Somewhere the files of a layout go."""

    def add(self, name: str, data: bytes) -> None: ...

    def copy(self, name: str, size: int, source: Reader) -> None: ...


def export_oci(export: Export, destination: str, options: Mapping[str, str]) -> None:
    """Write the images as an OCI layout. `compression` recompresses layers that are compressed otherwise."""
    compression = options.get("compression")
    if compression is not None and compression not in compress.NAMES:
        raise UsageError(f"compression={compression} is not known", hint=f"use {', '.join(compress.NAMES)}")
    level = _level(options.get("compression-level"))
    if options.get("tar", "true") == "false":
        if destination == STDOUT:
            raise UsageError("tar=false needs dest=DIRECTORY")
        _write(export, _Directory(destination), compression, level)
        return
    with written(destination) as out:
        tar = TarStream(out)
        _write(export, tar, compression, level)
        tar.finish()


def _write(export: Export, target: _Target, compression: str | None, level: int | None) -> None:
    target.add("oci-layout", _LAYOUT)
    entries: list[IndexEntry] = []
    done: set[Digest] = set()
    for image in export.images:
        layers = [_layer(export, target, blob, compression, level, done) for blob in image.manifest.layers]
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
    export: Export,
    target: _Target,
    blob: Descriptor,
    compression: str | None,
    level: int | None,
    done: set[Digest],
) -> Descriptor:
    if compression is None or compression == compression_of(blob.media_type):
        if blob.digest not in done:
            target.copy(f"blobs/sha256/{blob.digest.hex}", blob.size, export.blobs.open(blob))
            done.add(blob.digest)
        return blob
    with _recompressed(export.blobs, blob, compression, level, str(export.root / "tmp")) as (found, file):
        if found.digest not in done:
            target.copy(f"blobs/sha256/{found.digest.hex}", found.size, file)
            done.add(found.digest)
        return found


@contextmanager
def _recompressed(
    blobs: BlobSource, blob: Descriptor, compression: str, level: int | None, spool: str
) -> Iterator[tuple[Descriptor, IO[bytes]]]:
    """The layer `blob` in another compression: its size must be known before it goes into an archive."""
    with tempfile.TemporaryFile(dir=spool) as file:
        hashing = HashingWriter(file)
        writer = compress.writer(compression, hashing, level)
        source = blobs.open(blob)
        plain = compress.reader(compression_of(blob.media_type), source)
        while data := plain.read(1 << 20):
            writer.write(data)
        source.drain()
        writer.finish()
        file.seek(0)
        yield Descriptor(layer_type(compression), hashing.digest(), hashing.size, blob.annotations), file


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


def _level(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or not 0 < int(text) <= 22:
        raise UsageError(f"compression-level={text} is not a level", hint="use 1 to 22")
    return int(text)
