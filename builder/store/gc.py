"""Garbage collection: what no image, no cache record, no container and no running process needs goes away."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from builder.digest import Digest
from builder.store.open import Store


class Collected(Struct, frozen=True):
    """What a collection removed: blobs, their bytes, and the layers whose snapshots may go too.

    `postponed`: something is in use, so nothing was removed; the next collection does it.
    """

    blobs: tuple[Digest, ...] = ()
    freed: int = 0
    layers: tuple[Digest, ...] = ()
    postponed: bool = False


def collect(store: Store, kept: Iterable[Digest], remove: Callable[[Iterable[Digest]], None]) -> Collected:
    """Mark and sweep. `kept` are diff IDs of containers' layers; `remove` deletes snapshots by diff ID.

    A process that writes a blob no one names yet holds a lease on everything, so it is not in danger.
    """
    with store.leases.collecting() as used:
        if used is None:
            return Collected(postponed=True)
        layers = {*kept, *used, *(record.diff_id for record in store.records.all())}
        blobs: set[Digest] = set()
        for image in store.images.all():
            manifest = store.images.manifest(image)
            blobs |= {image.manifest.digest, image.config, *(d.digest for d in manifest.layers)}
            layers.update(store.images.config(image).diff_ids)
        known = store.layers.all()
        blobs |= {layer.blob.digest for layer in known if layer.diff_id in layers}
        unneeded = tuple(layer.diff_id for layer in known if layer.diff_id not in layers)
        remove(unneeded)
        freed = []
        # Names go before what they name: a crash in between leaves garbage, not a hole.
        for diff_id in unneeded:
            store.layers.forget(diff_id)
        for digest, size in store.blobs.all():
            if digest not in blobs:
                store.blobs.delete(digest)
                freed.append((digest, size))
        return Collected(tuple(d for d, _ in freed), sum(size for _, size in freed), unneeded)
