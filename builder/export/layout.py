"""OCI image layouts as they are written: into an archive or a directory, each blob once, the index last."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from typing import Protocol

from msgspec.structs import replace

from builder.digest import Digest, Reader, VerifyingReader
from builder.errors import PybuildError, UsageError
from builder.events import Meter, Work
from builder.export.annotate import INDEX_DESCRIPTOR, MANIFEST_DESCRIPTOR, chosen, together
from builder.export.base import Attestation, Export, ExportImage, ExportIndex, written
from builder.export.shape import Shape, alone, described, platform_of, shaped, shaped_index
from builder.image.descriptor import Annotations, Descriptor, Layer
from builder.image.manifest import Index, IndexEntry
from builder.image.mediatypes import FULL_NAME, REF_NAME, compression_of, layer_type
from builder.image.reference import Reference
from builder.layers import compress
from builder.layers.compress import Form
from builder.store.blobs import MEND
from builder.store.open import Store, refuse_store
from builder.store.recompress import compressed
from builder.threads import each

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_CHUNK = 1 << 20


class Target(Protocol):
    """Somewhere the files of a layout go."""

    def add(self, name: str, data: bytes) -> None:
        """A file with `data`."""
        ...

    def copy(self, name: str, size: int, source: Reader) -> None:
        """A file with the `size` bytes of `source`."""
        ...


def blob_path(digest: Digest) -> str:
    """Where a blob is in a layout."""
    return f"blobs/sha256/{digest.hex}"


class Layout:
    """A layout in the making. `images` are those written, in their shape."""

    def __init__(self, export: Export, target: Target, shape: Shape) -> None:
        self._export, self._target, self._shape = export, target, shape
        self._done: set[Digest] = set()
        self._ready: dict[tuple[Layer, Form], Descriptor] = {}
        # By diff ID: layers whose tars are written as they are decompressed.
        self._plain: dict[Digest, Layer] = {}
        self.images: list[ExportImage] = []

    def write(self) -> Descriptor | None:
        """Write all of it but what makes it another format too; gives what it holds if that is one thing."""
        images, indexes = alone(self._export)
        if not indexes and any(annotation.of_index for annotation in self._shape.annotations):
            raise UsageError("an image for one platform has no index to annotate", hint="annotate its manifest")
        self._make_ready(one for group in (images, *(index.images for index in indexes)) for one in group)
        self._target.add("oci-layout", _LAYOUT)
        entries = [entry for image in images for entry in self._image(image)]
        entries += [entry for index in indexes for entry in self._index(index)]
        # Last, as the spec's readers begin here: a layout with an index is whole.
        self._target.add("index.json", Index(tuple(entries)).to_json())
        found = {entry.descriptor.digest: entry.descriptor for entry in entries}
        return replace(entries[0].descriptor, annotations=()) if len(found) == 1 else None

    def _make_ready(self, images: Iterable[ExportImage]) -> None:
        """Have the layers of `images` that get another form made so side by side, the largest first."""
        pairs = (pair for image in images for pair in zip(image.layers, image.manifest.layers, strict=True))
        wanted = {(layer, form): layer.size for layer, blob in pairs if (form := self._shape.form_of(blob)) is not None}
        todo = []
        for layer, form in sorted(wanted, key=lambda pair: -wanted[pair]):
            if form.compression == "uncompressed":
                # What it will be is known: its tar need not be in the store, nor be written twice.
                self._plain[layer.diff_id] = layer
                self._ready[layer, form] = Descriptor(layer_type(form.compression), layer.diff_id, layer.size)
            else:
                todo.append((layer, form))
        if not todo:
            return
        canceled = threading.Event()
        store, most = self._export.store, len(os.sched_getaffinity(0))
        emit = self._export.emit
        blobs = each(lambda pair: compressed(store, *pair, canceled.is_set, emit), todo, most, canceled.set)
        self._ready |= zip(todo, blobs, strict=True)

    def _made(self, store: Store, layer: Layer, form: Form) -> Descriptor:
        return self._ready[layer, form]

    def _image(self, given: ExportImage) -> Iterator[IndexEntry]:
        image = shaped(self._export.store, given, self._shape, self._made)
        self._put_image(image)
        more = chosen(self._shape.annotations, MANIFEST_DESCRIPTOR, platform_of(image))
        return _named(described(image), image.names, more)

    def _index(self, given: ExportIndex) -> Iterator[IndexEntry]:
        index = shaped_index(self._export.store, given, self._shape, self._made)
        for image in index.images:
            self._put_image(image)
        for told in index.attestations:
            self._put_attestation(told)
        self._put(index.data)
        return _named(index.descriptor, index.names, chosen(self._shape.annotations, INDEX_DESCRIPTOR))

    def _put_image(self, image: ExportImage) -> None:
        for blob in image.manifest.layers:
            if blob.digest not in self._done:
                self._done.add(blob.digest)
                meter = Meter(self._export.emit, Work.EXPORT, blob.digest.short, blob.size)
                self._target.copy(blob_path(blob.digest), blob.size, meter.reading(self._source(blob)))
                meter.end()
        assert image.data is not None
        self._put(image.config)
        self._put(image.data)
        self.images.append(image)

    def _source(self, blob: Descriptor) -> Reader:
        layer, blobs = self._plain.get(blob.digest), self._export.blobs
        if layer is None or blobs.has(blob.digest):
            return blobs.open(blob)
        tar = compress.reader(compression_of(layer.blob.media_type), blobs.open(layer.blob))
        return VerifyingReader(compress.Whole(tar), layer.diff_id, layer.size, MEND, f"layer {layer.diff_id}")

    def _put_attestation(self, told: Attestation) -> None:
        for blob in (*told.blobs, told.manifest):
            self._put(blob)

    def _put(self, data: bytes) -> None:
        digest = Digest.of(data)
        if digest not in self._done:
            self._done.add(digest)
            self._target.add(blob_path(digest), data)


def _named(descriptor: Descriptor, names: tuple[Reference, ...], more: Annotations) -> Iterator[IndexEntry]:
    """An entry for each name; one where there is none."""
    if not names:
        yield IndexEntry(replace(descriptor, annotations=more))
    for name in names:
        own = ((FULL_NAME, str(name)), (REF_NAME, name.familiar()))
        yield IndexEntry(replace(descriptor, annotations=together(more, own)))


class Directory:
    """A layout directory, new or empty."""

    def __init__(self, path: str) -> None:
        self._path = path
        refuse_store(path)
        try:
            os.makedirs(f"{path}/blobs/sha256", exist_ok=True)
        except OSError as error:
            raise PybuildError(f"cannot write {path}: {error.strerror}") from error

    def add(self, name: str, data: bytes) -> None:
        """A file with `data`."""
        with written(f"{self._path}/{name}") as file:
            file.write(data)

    def copy(self, name: str, size: int, source: Reader) -> None:
        """A file with what is in `source`."""
        with written(f"{self._path}/{name}") as file:
            while data := source.read(_CHUNK):
                file.write(data)
