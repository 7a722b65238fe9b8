"""A store's database made anew, where it is damaged or gone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from builder.api.sidebyside import IN_USE_HINT, side_by_side
from builder.errors import StoreError
from builder.events import Emit, Meter, Work
from builder.image.descriptor import Descriptor, Layer
from builder.sandbox.launcher import Launcher
from builder.snapshots.verify import facts_of
from builder.store import rebuild
from builder.store.leases import Leases
from builder.store.open import located
from builder.workers.local import LocalWorker


def rebuilt(root: Path | None, emit: Emit) -> str:
    """Make the database of the store at `root` anew; gives in words what is in it. Raises StoreError if it is used."""
    path = located(root)
    worker = LocalWorker(path, emit)
    try:
        launcher, leases = worker.launcher, Leases(path)
        with leases.collecting():
            if leases.held():
                raise StoreError("the store is in use: it cannot be mended now", hint=IN_USE_HINT)
            documents = rebuild.documents_of(path)
            images = [each for each in documents if isinstance(each, rebuild.FoundImage)]
            layers = _layers(launcher, path, rebuild.layer_blobs(path, images), emit)
            kept = rebuild.rebuild(path, documents, layers, rebuild.records_of(path))
    finally:
        worker.close()
    return (
        f"made anew: {len(images)} images, {len(layers)} layers, {kept} cache records;"
        f" what was there is {rebuild.DAMAGED}, to be removed when nobody wants it"
    )


def _layers(launcher: Launcher, root: Path, blobs: Sequence[Descriptor], emit: Emit) -> list[Layer]:
    """Those of `blobs` that are layers, by their bytes."""
    meter = Meter(emit, Work.CHECK, "blobs", sum(blob.size for blob in blobs))
    found = []
    for blob, layer in side_by_side(blobs, lambda b: launcher.call(facts_of, None, root, b)):
        meter.add(blob.size)
        if layer is not None:
            found.append(layer)
    return found
