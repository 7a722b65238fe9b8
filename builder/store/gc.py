"""Garbage collection: what no image, no cache record, no container and no running process needs goes away.

under the lock that keeps new leases and names out (store/leases):
choose records to forget                       who calls, told what is needed anyway
mark    what images, records and leases name
forget  the layers that are left over
take    their blobs and trees out of sight     by rename: fast, whatever is in them
after it:
delete  what was taken
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Protocol

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError
from builder.image.descriptor import Layer
from builder.points import point
from builder.readied import readied
from builder.store.imagefacts import every_layer
from builder.store.memo import DATED, FETCHED, SQUASHED
from builder.store.open import Store


class Trees(Protocol):
    """The unpacked layers of a store."""

    def all(self) -> Iterable[Digest]:
        """The diff IDs there are trees of."""
        ...

    def take(self, layers: tuple[Digest, ...]) -> Callable[[], int]:
        """Take the trees of `layers` out of sight; what it gives deletes them, and gives the bytes they took."""
        ...


class Needed(Struct, frozen=True):
    """What must stay whatever becomes of the cache: layers by diff ID, blobs by digest; who uses them now in `used`."""

    layers: frozenset[Digest]
    blobs: frozenset[Digest]
    used: frozenset[Digest]

    def keeps(self, layer: Layer) -> bool:
        """Whether `layer` stays."""
        return layer.diff_id in self.layers or self.uses(layer)

    def uses(self, layer: Layer) -> bool:
        """Whether something that runs needs `layer`."""
        return layer.diff_id in self.used or layer.blob.digest in self.used


class _Fetched(Struct):
    digest: str


class Collected(Struct, frozen=True):
    """What a collection removed: cache records by key, blobs, layers, and the bytes all that took.

    `postponed`: all there is may be in use, so nothing was removed; the next collection does it.
    """

    records: tuple[Digest, ...] = ()
    blobs: tuple[Digest, ...] = ()
    layers: tuple[Digest, ...] = ()
    freed: int = 0
    postponed: bool = False


def nothing(needed: Needed) -> Collection[Digest]:
    """No record is chosen."""
    return ()


def needed_now(store: Store, kept: Callable[[], Iterable[Digest]]) -> Needed:
    """What a collection would find needed; it removes nothing."""
    with store.leases.collecting() as used:
        return _needed(store, kept(), used or frozenset())


def collect(
    store: Store,
    kept: Callable[[], Iterable[Digest]],
    trees: Trees,
    choose: Callable[[Needed], Collection[Digest]] = nothing,
    by: str = "prune",
) -> Collected:
    """Mark and sweep. `kept` gives the diff IDs of layers that are needed for other reasons than the store knows.

    `choose` gives the keys of records to forget; `by` is what their note says (store/evictions). Both are called when
    nobody can begin to use anything. Who uses something is left alone; see Leases.use.
    """
    with store.leases.collecting() as used:
        if used is None:
            return Collected(postponed=True)
        needed = _needed(store, kept(), used)
        chosen = tuple(choose(needed))
        _forget_records(store, chosen, by)
        layers, blobs = _left_over(store, needed, trees)
        # Names go before what they name: a crash in between leaves garbage, not a hole.
        store.layers.forget(layers)
        store.memo.forget_lost(DATED)
        store.memo.forget_lost(SQUASHED)
        store.memo.forget_places()
        store.compressed.forget_lost()
        store.elsewhere.forget(digest for digest, _ in blobs)
        store.images.forget_lost_facts()
        store.elsewhere.forget_lost()
        point("gc:forgotten")
        taken = [(digest, size, store.blobs.take(digest)) for digest, size in blobs]
        delete = trees.take(layers)
    point("gc:taken")
    freed = delete()
    if chosen:
        store.listings.sweep()
    store.stats.sweep()
    for _, size, path in taken:
        if path is not None:
            freed += size
            with suppress(FileNotFoundError):  # swept by another process, as a dead writer's
                path.unlink()
    return Collected(chosen, tuple(digest for digest, _, _ in taken), layers, freed)


def _needed(store: Store, kept: Iterable[Digest], used: frozenset[Digest]) -> Needed:
    layers, blobs = set(kept), set[Digest]()
    images = store.images.all()
    facts = store.images.facts(images)
    for image in images:
        blobs |= {image.manifest.digest, image.config}
        if image.manifest.digest not in facts:
            # Of a damaged one whatever can be told: `cache verify` tells of it.
            with suppress(BadInputError, NotFoundError):
                blobs.update(layer.digest for layer in store.images.manifest(image).layers)
    stacks, packed = every_layer(facts.values())
    layers |= stacks
    blobs |= packed
    for index in store.images.indexes():
        blobs.update(blob.digest for blob in store.images.index_blobs(index))
    return Needed(frozenset(layers), frozenset(blobs | _fetched(store)), used)


def _fetched(store: Store) -> set[Digest]:
    """The files of URLs that are remembered, so that a server is asked only whether they have changed."""
    found = set()
    for value in store.memo.values(FETCHED):
        with suppress(msgspec.MsgspecError, BadInputError):
            found.add(Digest.parse(msgspec.json.decode(value, type=readied(_Fetched)).digest))
    return found


def _forget_records(store: Store, keys: tuple[Digest, ...], by: str) -> None:
    if keys:
        with store.db.transaction():
            store.records.forget(keys)
            store.evictions.note(keys, by)
        point("gc:records")


def _left_over(store: Store, needed: Needed, trees: Trees) -> tuple[tuple[Digest, ...], tuple[tuple[Digest, int], ...]]:
    """The layers nobody needs, those of which there is a tree alone too; and the blobs with their sizes."""
    cached = store.records.layers()
    known = store.layers.all()
    staying = [layer for layer in known if layer.diff_id in cached or needed.keeps(layer)]
    layers = {layer.diff_id for layer in staying} | needed.layers | needed.used
    blobs = {layer.blob.digest for layer in staying} | needed.blobs | needed.used
    blobs |= store.compressed.blobs(layer.diff_id for layer in staying)
    left = dict.fromkeys((*(layer.diff_id for layer in known), *trees.all()))
    return (
        tuple(diff_id for diff_id in left if diff_id not in layers),
        tuple((digest, size) for digest, size in store.blobs.all() if digest not in blobs),
    )
