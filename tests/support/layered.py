"""Images whose layers hold what a test says, put into a store without building."""

from __future__ import annotations

import io
from collections.abc import Sequence

import msgspec

from builder.digest import Digest
from builder.image.config import History, ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Manifest
from builder.image.mediatypes import layer_type
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.store.images import StoredImage
from builder.store.memo import PLACES
from builder.store.open import Store
from tests.support.rootfs import tar

Members = Sequence[tuple[object, bytes]]


def layer(store: Store, data: bytes) -> Layer:
    """A layer that is the plain tar `data`."""
    digest, size = store.blobs.put(io.BytesIO(data))
    made = Layer(digest, Digest.of(b"content" + data), size, Descriptor(layer_type("uncompressed"), digest, size))
    store.layers.add(made)
    return made


def image(
    store: Store,
    name: str,
    *layers: Members,
    steps: Sequence[str] = (),
    places: Sequence[tuple[str, int]] = (),
    **config: object,
) -> StoredImage:
    """An image of layers, each of members as for `tests.support.rootfs.tar`.

    `steps` are what its history says made them, and `places` the lines those came from.
    """
    made = [layer(store, tar(*members)) for members in layers]  # type: ignore[arg-type]
    history = tuple(History(step) for step in (steps or [f"step {n}" for n in range(len(made))]))
    whole = ImageConfig(
        Platform("linux", "amd64"),
        history=history,
        diff_ids=tuple(one.diff_id for one in made),
        **config,  # type: ignore[arg-type]
    ).to_json()
    store.blobs.put_bytes(whole)
    if places:
        store.memo.put(PLACES, Digest.of(whole).hex, msgspec.json.encode(list(places)))
    manifest = Manifest.of(whole, tuple(made))
    return store.images.add(manifest, manifest.to_json(), (Reference.parse(name),))
