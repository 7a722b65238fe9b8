"""Layers, images and records of a store, made of nothing but a few bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

from builder.digest import Digest
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Manifest
from builder.image.mediatypes import OCI_LAYER_ZSTD
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.store.gc import Collected, collect
from builder.store.images import StoredImage
from builder.store.open import Store
from builder.store.records import CacheRecord


class Trees:
    """Snapshots that are numbers."""

    def __init__(self, there: Iterable[Digest] = ()) -> None:
        self.there = set(there)

    def all(self) -> Iterable[Digest]:
        return tuple(self.there)

    def take(self, layers: tuple[Digest, ...]) -> Callable[[], int]:
        self.there -= set(layers)
        return lambda: 0


def layer(store: Store, content: bytes) -> Layer:
    digest, size = store.blobs.put(io.BytesIO(content))
    made = Layer(
        Digest.of(b"diff" + content), Digest.of(b"content" + content), 10, Descriptor(OCI_LAYER_ZSTD, digest, size)
    )
    store.layers.add(made)
    return made


def image_config(*layers: Layer, label: str = "") -> bytes:
    return ImageConfig(
        Platform("linux", "amd64"), labels=(("l", label),), diff_ids=tuple(y.diff_id for y in layers)
    ).to_json()


def image(store: Store, *layers: Layer, name: str | None = None, label: str = "") -> StoredImage:
    config = image_config(*layers, label=label)
    store.blobs.put_bytes(config)
    manifest = Manifest.of(config, layers)
    return store.images.add(manifest, manifest.to_json(), (Reference.parse(name),) if name else ())


def record(made: Layer, key: bytes = b"k") -> CacheRecord:
    return CacheRecord(Digest.of(key), b"{}", made.diff_id, 1.0, 1.0, 0, 0.5, "RUN x", "stage", 3, "Buildfile")


def collected(store: Store, trees: Trees | None = None) -> Collected:
    return collect(store, lambda: (), trees or Trees())
