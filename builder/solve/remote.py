"""What a build takes from caches that other machines share, and gives to them.

A step that this store does not know is looked up there, by its key. A hit says what the step's layer is, which is all
that the steps above are looked up by: the layer itself is fetched when something needs its files, or never. When it
cannot be had then (or is sooner made than fetched), `Lost` is raised: what is known so far stays, and the vertices are
looked up anew without it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from builder import spans
from builder.digest import Digest, Reader
from builder.errors import BadInputError, CanceledError, PybuildError
from builder.image.descriptor import Annotations, Descriptor, Layer
from builder.image.mediatypes import compression_of
from builder.layers.compress import Form
from builder.remotecache.entries import DAY, LATEST, Entry, Fact, Packed, Said, Step, named
from builder.remotecache.reading import SharedCache
from builder.solve.fetches import Fetches
from builder.solve.worker import Lost
from builder.sources.ingest import Ingest
from builder.sources.resolver import Finder, ImageResolver, PeekingResolver
from builder.store.locks import key_lock
from builder.store.open import Store
from builder.store.records import CacheRecord

if TYPE_CHECKING:
    from builder.remotecache.writing import Share
    from builder.solve.remotemounts import RemoteMounts
    from builder.sources.together import Together

CREATED, LAYER = "created", "layer"
# Layers fetched at the same time.
_FETCHES = 3
# Bytes a second, before anything was fetched; and how much longer than making it fetching may take, in seconds.
_BANDWIDTH = 50e6
_GRACE = 1.0


class _Far(Struct):
    """A layer in a cache: the step that made it, and the records that lead to it once it is here."""

    step: Step
    cache: SharedCache
    records: dict[Digest, CacheRecord]


class _Noted(Struct, frozen=True):
    """A solved step for the caches that are written."""

    record: CacheRecord
    layer: Layer
    run: bool
    in_result: bool


class Remote:
    """The caches of one build: `caches` are read, `shares` written. Used by several threads."""

    def __init__(
        self,
        ingest: Ingest,
        caches: Sequence[SharedCache],
        shares: Sequence[Share] = (),
        *,
        mounts: RemoteMounts | None = None,
        inline: bool = False,
    ) -> None:
        """`mounts` are cache mounts that go with the caches; `inline`: the image is to have a cache in it."""
        self.mounts = mounts
        self._ingest, self.caches, self.shares, self._inline = ingest, caches, shares, inline
        self._writes = bool(shares) or inline
        self._store = ingest.store
        self._lock = threading.Lock()
        self._far: dict[Digest, _Far] = {}
        self._unwanted: set[Digest] = set()
        self._fetches = Fetches()
        self._bases: dict[Digest, tuple[tuple[Layer, ...], Callable[[], object]]] = {}
        self._noted: dict[Digest, _Noted] = {}
        self._said: dict[Digest, Entry] = {}
        self._today = int(time.time()) // DAY

    # --- looking up ----------------------------------------------------------------------------------

    def find(self, key: Digest, image: bytes, good: Callable[[float], bool]) -> CacheRecord | None:
        """The record of a step that a cache has, made at a time that is `good`; `image` is the pre-image of `key`."""
        with spans.span("fetch"):
            found = self._found(key, good)
        if found is None:
            return None
        step, cache = found
        layer = step.layer
        now = time.time()
        record = CacheRecord(key, image, layer.diff_id, step.created, now, 0, step.seconds, "", "", 0, "")
        with self._lock:
            far = self._far.get(layer.diff_id)
            if far is None or (far.step.blob is None and step.blob is not None) or far.cache.dead:
                self._far[layer.diff_id] = far = _Far(step, cache, {} if far is None else far.records)
            far.records[key] = record
        return record

    def _found(self, key: Digest, good: Callable[[float], bool]) -> tuple[Step, SharedCache] | None:
        best: tuple[Step, SharedCache] | None = None
        for cache in self.caches:
            step = cache.get(key)
            if not isinstance(step, Step) or step.layer.diff_id in self._unwanted or not good(step.created):
                continue
            if step.blob is not None:
                return step, cache
            best = best or (step, cache)
        return best

    def layer(self, record: CacheRecord) -> Layer:
        """The layer of a record that `find` gave; as it is here, if it is."""
        with self._lock:
            far = self._far[record.diff_id].step.layer
        return self._store.layer(record.diff_id) or far

    def placed(self, record: CacheRecord) -> None:
        """Such a record, with where its step stands: kept as soon as its layer is here."""
        with self._lock:
            self._far[record.diff_id].records[record.key] = record
        if self._store.layer(record.diff_id) is not None:
            self._store.records.add(record)

    def said(self, kind: str, what: str) -> str | None:
        """A small result that a cache has."""
        name = named(kind, what)
        for cache in self.caches:
            found = cache.get(name)
            if isinstance(found, Said):
                return found.value
        return None

    def created(self, undated: Digest) -> float | None:
        """When the image with this config was made, in seconds since the epoch, where that says no layer."""
        text = self.said(CREATED, undated.hex)
        try:
            found = float(text or "nan")
        except ValueError:
            return None
        return found if 0 <= found < LATEST else None

    def say_created(self, undated: Digest, created: float) -> None:
        """When that was."""
        self.say(CREATED, undated.hex, repr(created))

    def fact(self, diff_id: Digest) -> tuple[Digest, int] | None:
        """Content ID and plain size of a layer of a base image."""
        for cache in self.caches:
            found = cache.get(named(LAYER, diff_id.hex))
            if isinstance(found, Fact) and diff_id not in self._unwanted:
                return Digest(found.content_id.hex()), found.size
        return None

    def finding(self, kind: type[ImageResolver]) -> Finder:
        """What makes the resolver of a build that uses these caches, in place of a `kind`."""
        # lazy: only where a cache may know a base that is not here
        from builder.sources.lazybase import LazyPeekingResolver, LazyResolver

        lazy = LazyPeekingResolver if issubclass(kind, PeekingResolver) else LazyResolver
        return partial(lazy, self.fact, self.leave_base)

    def base(self, manifest: Digest) -> tuple[Layer, ...] | None:
        """The layers of a base image that is not here; None for one that is."""
        found = self._bases.get(manifest)
        return None if found is None else found[0]

    def leave_base(self, manifest: Digest, layers: tuple[Layer, ...], pull: Callable[[], object]) -> None:
        """A base image need not be here until something needs its files; then `pull` takes it."""
        self._bases[manifest] = layers, pull

    def here(self, layers: Iterable[Layer]) -> bool:
        """Whether all of these layers are in the store."""
        return all(self._store.layer(layer.diff_id) is not None for layer in layers)

    # --- fetching ------------------------------------------------------------------------------------

    def fetch(self, layers: Sequence[Layer]) -> None:
        """Have these layers, of a stack from its bottom up, in the store. Raises Lost; of base images what pulls do."""
        missing = [layer for layer in layers if self._store.layer(layer.diff_id) is None]
        if not missing:
            return
        self._pull_bases(missing)
        with self._lock:
            far = {layer.diff_id: self._far[layer.diff_id] for layer in missing if layer.diff_id in self._far}
            unwanted = [d for d, one in far.items() if one.step.blob is None or one.cache.dead]
            unwanted += [] if unwanted else self._sooner_made(layers, far)
            self._unwanted.update(unwanted)
        if unwanted:
            raise Lost
        self._ingest.begin()
        self._fetches.each(self._fetch, list(far.values()), _FETCHES)

    def _sooner_made(self, layers: Sequence[Layer], far: Mapping[Digest, _Far]) -> list[Digest]:
        """Those whose blob takes longer to come than their step to run.

        A command may make something else the second time: then all that stands on it runs again, too.
        """
        found: list[Digest] = []
        above = 0.0
        for layer in reversed(layers):
            one = far.get(layer.diff_id)
            known = one or self._far.get(layer.diff_id)
            if one is not None and one.step.blob is not None:
                making = one.step.seconds + (above if one.step.run else 0.0)
                if one.step.blob.size / self._bandwidth(one.cache) > making + _GRACE:
                    found.append(layer.diff_id)
            above += 0.0 if known is None else known.step.seconds
        return found

    def _bandwidth(self, cache: SharedCache) -> float:
        return cache.bytes / cache.seconds if cache.bytes and cache.seconds > 0 else _BANDWIDTH

    def cancel(self) -> None:
        """Stop what is being fetched."""
        self._fetches.cancel()

    def _fetch(self, one: _Far, together: Together) -> None:
        layer = one.step.layer
        with key_lock(self._store.root, layer.blob.digest, lambda: together.canceled):
            if self._store.layer(layer.diff_id) is None:
                self._fetch_now(one, layer, together)
            for record in list(one.records.values()):
                if record.name:
                    self._store.records.add(record)

    def _fetch_now(self, one: _Far, layer: Layer, together: Together) -> None:
        self._store.leases.use([layer.blob.digest, layer.diff_id])
        what = f"layer {layer.blob.digest} of the cache {one.cache.name}"
        try:
            with spans.span("fetch"), one.cache.blob(layer.blob) as reader:
                got = self._ingest.layer(reader, layer.blob, what, layer.diff_id, together.holding)
            if got.content_id != layer.content_id:
                raise BadInputError(f"{what} is another than it says")
        except CanceledError:
            raise
        except PybuildError as error:
            if together.canceled:
                raise
            one.cache.leave(error)
            with self._lock:
                self._unwanted.add(layer.diff_id)
            raise Lost from error

    def _pull_bases(self, missing: Sequence[Layer]) -> None:
        wanted = {layer.diff_id for layer in missing}
        for manifest, (layers, pull) in list(self._bases.items()):
            if wanted.isdisjoint(layer.diff_id for layer in layers):
                continue
            pull()
            del self._bases[manifest]
            pulled = tuple(self._store.layers.get(layer.diff_id) for layer in layers)
            if [None if y is None else y.content_id for y in pulled] != [y.content_id for y in layers]:
                with self._lock:
                    self._unwanted.update(layer.diff_id for layer in layers)
                raise Lost

    # --- giving --------------------------------------------------------------------------------------

    def note(self, record: CacheRecord, layer: Layer, *, run: bool, in_result: bool, fresh: bool) -> None:
        """A step is solved: a command, or not; its layer is one of the image's, or not.

        `fresh`: it ran just now, so that its layer is uploaded at once.
        """
        # What marks values of secrets means something in this store only.
        if not self._writes or "secrets" in msgspec.json.decode(record.preimage):
            return
        with self._lock:
            before = self._noted.get(record.key)
            self._noted[record.key] = _Noted(record, layer, run, in_result or (before is not None and before.in_result))
        if fresh:
            for share in self.shares:
                if share.wants(in_result=in_result):
                    share.send(layer.diff_id, self._content(layer, share))

    def say(self, kind: str, what: str, value: str) -> None:
        """A small result that the caches get."""
        if self._writes:
            with self._lock:
                self._said[named(kind, what)] = Said(self._today, value)

    def note_base(self, layers: Iterable[Layer]) -> None:
        """The layers of a base image: what they hold is known to who has the image, and to the caches."""
        if self._writes:
            with self._lock:
                for layer in layers:
                    fact = Fact(self._today, bytes.fromhex(layer.content_id.hex), layer.size)
                    self._said[named(LAYER, layer.diff_id.hex)] = fact

    def entries(self) -> dict[Digest, Entry]:
        """All that the caches get; without blobs."""
        return {**{key: self._step(noted) for key, noted in self._noted.items()}, **self._said}

    def inline(self, layers: Sequence[Layer]) -> Annotations:
        """What the manifest of an image of `layers` is to say, so that it is a cache."""
        if not self._inline:
            return ()
        # lazy: few images are
        from builder.remotecache.inline import annotation

        return (annotation(layers, self.entries()),)

    def finish(self, *, failed: bool = False) -> None:
        """Write what is solved by now. Raises PybuildError for a strict cache, unless the build has `failed`."""
        try:
            self._finish()
        except PybuildError:
            if not failed:
                raise

    def _finish(self) -> None:
        known = self.entries()
        for share in self.shares:
            wanted = [n.layer for n in self._noted.values() if share.wants(in_result=n.in_result)]
            for name, entry in known.items():
                share.add(name, entry)
            contents = {y.diff_id: self._content(y, share) for y in wanted if y.blob.media_type}
            if self.mounts is None:
                share.finish(contents)
            else:
                share.finish(contents, partial(self.mounts.put, share.target.mounts))

    def close(self) -> None:
        """Let go of all caches; what is not written by now is not."""
        for share in self.shares:
            share.stop()
        for cache in self.caches:
            cache.close()

    def _step(self, noted: _Noted) -> Step:
        layer, record = noted.layer, noted.record
        blob = Packed.of(layer.blob, compression_of(layer.blob.media_type)) if layer.blob.media_type else None
        return Step(
            self._today,
            bytes.fromhex(layer.diff_id.hex),
            bytes.fromhex(layer.content_id.hex),
            layer.size,
            record.created,
            record.seconds,
            noted.run,
            blob,
        )

    def _content(self, layer: Layer, share: Share) -> _Content:
        with self._lock:
            far = self._far.get(layer.diff_id)
        return _Content(self._store, layer, share.target.form, None if far is None else far.cache)


class _Content(Struct, frozen=True):
    """A layer to be uploaded: from the store, in some `form`; or else as it is from the cache that has it."""

    store: Store
    layer: Layer
    form: Form | None
    cache: SharedCache | None

    def blob(self) -> Descriptor:
        """The blob it is uploaded as."""
        here = self.store.layer(self.layer.diff_id)
        if self.form is None or here is None:
            return self.layer.blob if here is None else here.blob
        # lazy: few caches are of another compression than the store
        from builder.store.recompress import compressed

        return compressed(self.store, here, self.form)

    def open(self, blob: Descriptor) -> AbstractContextManager[Reader]:
        """A reader of that."""
        if self.cache is not None and not self.store.blobs.claimed(blob.digest):
            return self.cache.blob(blob)
        return nullcontext(self.store.blobs.open(blob))
