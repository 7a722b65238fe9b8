"""When layers of shared caches are fetched, when they are made again instead, and what is kept of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from builder.digest import Digest, Reader
from builder.errors import BadInputError
from builder.events import Event, Warned
from builder.image.descriptor import Descriptor, Layer
from builder.image.mediatypes import OCI_LAYER_ZSTD, OCI_MANIFEST
from builder.remotecache import document, entries
from builder.remotecache.document import ENTRIES, Contents, Shard
from builder.remotecache.entries import Entry, Fact, Packed, Said, Step, named
from builder.remotecache.reading import SharedCache
from builder.solve.remote import Remote
from builder.solve.worker import Lost
from builder.sources.ingest import Ingest
from builder.store.open import Store
from builder.store.records import CacheRecord
from tests.unit.remotecache.places import Memory


class Taking:
    """An ingest that knows what each blob unpacks to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.root = store.root
        self.unpacked: dict[Digest, Layer] = {}

    def begin(self) -> None:
        """There is nothing to begin."""

    def layer(self, source: Reader, blob: Descriptor, what: str, *more: object) -> Layer:
        self.store.blobs.put(io.BytesIO(source.read()))
        layer = self.unpacked[blob.digest]
        self.store.layers.add(layer)
        return layer


class Site:
    """A cache in memory, a store, and what a build asks."""

    def __init__(self, store: Store) -> None:
        self.store, self.place, self.taking = store, Memory(), Taking(store)
        self.known: dict[Digest, Entry] = {}
        self.warnings: list[str] = []

    def step(self, word: str, *, seconds: float = 60.0, run: bool = True, blob: bool = True, size: int = 0) -> Digest:
        """A step in the cache, by its key; what it made is `word`. `size`: what its blob says that it has."""
        data = word.encode()
        made = Layer(
            Digest.of(b"d" + data), Digest.of(b"c" + data), 9, Descriptor(OCI_LAYER_ZSTD, Digest.of(data), len(data))
        )
        self.place.blobs[made.blob.digest] = data
        self.taking.unpacked[made.blob.digest] = made
        packed = Packed.of(replace(made.blob, size=size or len(data)), "zstd") if blob else None
        digests = bytes.fromhex(made.diff_id.hex), bytes.fromhex(made.content_id.hex)
        key = Digest.of(b"k" + data)
        self.known[key] = Step(20000, *digests, 9, 1e9, seconds, run, packed)
        return key

    def remote(self) -> Remote:
        data = entries.encoded(self.known)
        config = Descriptor(ENTRIES, Digest.of(data), len(data))
        self.place.put(config, lambda: nullcontext(io.BytesIO(data)))
        self.place.named = document.to_json(Contents(0, {0: Shard(Descriptor(OCI_MANIFEST, config.digest, 1), config)}))
        return Remote(cast("Ingest", self.taking), [SharedCache("cache", lambda: self.place, self._watch)])

    def _watch(self, event: Event) -> None:
        if isinstance(event, Warned):
            self.warnings.append(event.message)


@pytest.fixture
def shared(tmp_path: Path) -> Site:
    return Site(Store.open(tmp_path / "store"))


def always(created: float) -> bool:
    return True


def hit(remote: Remote, key: Digest, good: Callable[[float], bool] = always) -> Layer | None:
    found = remote.find(key, b"{}", good)
    if found is None:
        return None
    remote.placed(replace(found, name="[1/1] RUN x", stage="stage", line=3, buildfile="Buildfile"))
    return remote.layer(found)


def hits(remote: Remote, *keys: Digest) -> tuple[Layer, ...]:
    found = [hit(remote, key) for key in keys]
    return tuple(layer for layer in found if layer is not None)


def test_a_hit_is_fetched_when_its_files_are_needed_and_recorded_then(shared: Site) -> None:
    key = shared.step("one")
    remote = shared.remote()
    (layer,) = hits(remote, key)
    assert not remote.here([layer])
    assert shared.store.records.get(key) is None
    remote.fetch([layer])
    assert remote.here([layer])
    record = shared.store.records.get(key)
    assert record is not None
    assert (record.name, record.created, record.seconds, record.diff_id) == ("[1/1] RUN x", 1e9, 60.0, layer.diff_id)
    shared.place.blobs.clear()
    remote.fetch([layer])


def test_who_has_the_layer_already_records_the_step_at_once(shared: Site) -> None:
    key = shared.step("one")
    made = shared.taking.unpacked[Digest.of(b"one")]
    shared.store.blobs.put(io.BytesIO(b"one"))
    shared.store.layers.add(made)
    assert hit(shared.remote(), key) == made
    assert shared.store.records.get(key) is not None


def test_a_result_that_is_too_old_is_none(shared: Site) -> None:
    assert hit(shared.remote(), shared.step("one"), lambda created: created > 1e9) is None


def test_what_is_in_no_cache_is_made_and_what_stands_on_it_is_asked_for_again(shared: Site) -> None:
    below, above = shared.step("below", blob=False), shared.step("above")
    remote = shared.remote()
    layers = hits(remote, below, above)
    assert len(layers) == 2
    with pytest.raises(Lost):
        remote.fetch(layers)
    assert hits(remote, below) == ()
    assert len(hits(remote, above)) == 1
    assert shared.warnings == []


def test_a_layer_that_does_not_come_costs_the_cache_its_trust(shared: Site) -> None:
    one, two = shared.step("one"), shared.step("two")
    remote = shared.remote()
    layers = hits(remote, one, two)
    del shared.place.blobs[Digest.of(b"two")]
    with pytest.raises(Lost):
        remote.fetch(layers)
    assert len(shared.warnings) == 1
    assert hits(remote, one, two) == ()


@pytest.mark.parametrize("lie", ["content", "blob"])
def test_a_layer_that_is_another_is_not_recorded(shared: Site, lie: str) -> None:
    key = shared.step("one")
    remote = shared.remote()
    (layer,) = hits(remote, key)
    if lie == "content":
        other = replace(layer, content_id=Digest.of(b"other"))
        shared.taking.unpacked[layer.blob.digest] = other
    else:
        shared.place.blobs[layer.blob.digest] = b"ONE"
    with pytest.raises(Lost):
        remote.fetch([layer])
    assert shared.store.records.get(key) is None
    assert len(shared.warnings) == 1


@pytest.mark.parametrize(
    ("seconds", "run", "on_top", "made"),
    [
        (0.1, False, 0.0, True),  # 100 MB take 2 s at 50 MB/s, and one more is allowed for
        (1.5, False, 0.0, False),
        (0.1, True, 0.0, True),
        (0.1, True, 60.0, False),  # a command may make something else, and then a minute's work is lost
        (0.1, False, 60.0, True),  # a copy makes the same
    ],
)
def test_what_is_sooner_made_is_not_fetched(shared: Site, seconds: float, run: bool, on_top: float, made: bool) -> None:
    below = shared.step("below", seconds=seconds, run=run, size=100 * 10**6)
    above = shared.step("above", seconds=on_top)
    remote = shared.remote()
    layers = hits(remote, below, above)
    with pytest.raises(Lost):  # or it is not as long as it says
        remote.fetch(layers)
    assert shared.warnings == [] if made else len(shared.warnings) == 1


def test_base_images_are_pulled_when_their_files_are_needed_and_believed_only_then(shared: Site) -> None:
    base = shared.taking.unpacked[Digest.of(b"base")] if shared.step("base") else None
    assert base is not None
    shared.known[named("layer", base.diff_id.hex)] = Fact(20000, bytes.fromhex(base.content_id.hex), 9)
    remote, pulls = shared.remote(), [0]
    assert remote.fact(base.diff_id) == (base.content_id, 9)
    unpacked = base

    def pull() -> None:
        pulls[0] += 1
        shared.store.blobs.put(io.BytesIO(b"base"))
        shared.store.layers.add(unpacked)

    manifest = Digest.of(b"manifest")
    remote.leave_base(manifest, (base,), pull)
    assert remote.base(manifest) == (base,)
    remote.fetch([base])
    assert (pulls, remote.base(manifest)) == ([1], None)
    unpacked = replace(base, content_id=Digest.of(b"other"))
    shared.store.blobs.take(base.blob.digest)
    remote.leave_base(manifest, (base,), pull)
    with pytest.raises(Lost):
        remote.fetch([base])
    assert remote.fact(base.diff_id) is None


@pytest.mark.parametrize(("said", "meant"), [("5.5", 5.5), ("x", None), ("-1", None), ("nan", None), ("1e300", None)])
def test_times_that_cannot_be_are_not_believed(shared: Site, said: str, meant: float | None) -> None:
    undated = Digest.of(b"undated")
    shared.known[named("created", undated.hex)] = Said(20000, said)
    assert shared.remote().created(undated) == meant


def test_what_depends_on_values_of_secrets_is_given_to_nobody(shared: Site) -> None:
    shared.step("one")
    made = shared.taking.unpacked[Digest.of(b"one")]
    remote = Remote(cast("Ingest", shared.taking), [], inline=True)
    for key, image in ((b"a", b'{"secrets":[["s","mark"]]}'), (b"b", b'{"op":"run"}')):
        record = CacheRecord(Digest.of(key), image, made.diff_id, 1.0, 1.0, 0, 0.5, "", "", 0, "")
        remote.note(record, made, run=True, in_result=True, fresh=False)
    assert list(remote.entries()) == [Digest.of(b"b")]
    ((name, text),) = remote.inline([made])
    assert name == "pybuild.cache.inline.v1"
    assert text
    with pytest.raises(BadInputError):
        entries.decoded(text.encode())
