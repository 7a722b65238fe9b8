from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import NotFoundError
from builder.image.reference import Reference
from builder.store.gc import Needed, collect
from builder.store.open import Store
from tests.support.store import Trees, collected, image, layer, record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def test_collection_keeps_what_is_needed(store: Store) -> None:
    kept, cached, contained, garbage = (layer(store, c) for c in (b"kept", b"cached", b"contained", b"garbage"))
    image(store, kept, name="app")
    gone = image(store, garbage, kept)
    store.records.add(record(cached))
    store.images.remove(gone)
    trees = Trees({kept.diff_id, garbage.diff_id, Digest.of(b"no layer's")})
    done = collect(store, lambda: [contained.diff_id], trees)
    assert trees.there == {kept.diff_id}
    assert set(done.layers) == {garbage.diff_id, Digest.of(b"no layer's")}
    assert store.blobs.holds(kept.blob)
    assert store.blobs.holds(cached.blob)
    assert store.blobs.holds(contained.blob)
    assert not store.blobs.holds(garbage.blob)
    assert not store.blobs.has(gone.manifest.digest)
    assert done.freed > 0
    assert list((store.root / "tmp").iterdir()) == []
    assert store.images.layers(store.images.find("app").manifest.digest) == (kept,)


def test_collection_waits_for_who_uses_everything_and_spares_leased_layers(store: Store) -> None:
    used = layer(store, b"used")
    with store.leases.everything():
        assert collected(store).postponed
    with store.leases.layers([used.diff_id]):
        collected(store)
        assert store.blobs.holds(used.blob)
    (store.root / "locks" / "lease-dead").write_text("*")  # its owner is gone: nobody holds the lock
    collected(store)
    assert not store.blobs.holds(used.blob)


def test_collection_goes_on_beside_long_work(store: Store) -> None:
    """What is named under a lease stays until it ends; what is not named goes, also while it lasts."""
    old, found = layer(store, b"old"), layer(store, b"found")
    collected_by = Store.open(store.root)
    with store.leases.working():
        assert store.layer(found.diff_id) == found
        new = layer(store, b"new")  # as a builder makes one: its blob names itself
        config = store.blobs.put_bytes(b"found")  # is there already, and would go
        for _ in range(3):  # however often
            collected(collected_by)
            assert store.blobs.holds(found.blob)
            assert store.blobs.holds(new.blob)
            assert store.blobs.has(config)
            assert store.layers.get(new.diff_id) == new
        assert not store.blobs.holds(old.blob)
        assert store.layer(old.diff_id) is None  # and so it is a miss
    collected(collected_by)
    assert not store.blobs.holds(found.blob)
    assert not store.blobs.holds(new.blob)
    assert list((store.root / "locks").glob("used-*")) == []


def test_what_was_named_under_an_earlier_lease_is_named_again(store: Store) -> None:
    found = layer(store, b"found")
    for _ in range(2):
        with store.leases.working():
            assert store.layer(found.diff_id) == found
            collected(Store.open(store.root))
            assert store.blobs.holds(found.blob)


def test_who_came_before_keeps_what_others_named_and_who_came_after_does_not(store: Store) -> None:
    first, second = Store.open(store.root), Store.open(store.root)
    with ExitStack() as early:
        early.enter_context(first.leases.working())
        named = layer(second, b"named")  # by a process that the first works with, or any other
        collected(store)
        assert store.blobs.holds(named.blob)
        with second.leases.working():
            assert second.layer(named.diff_id) == named
            early.close()
            collected(store)
            assert store.blobs.holds(named.blob)  # the second has named it, too
        with first.leases.working():
            collected(store)
            assert not store.blobs.holds(named.blob)


def test_a_claimed_image_stays_whole_whoever_removes_it(store: Store) -> None:
    made = layer(store, b"l")
    app = image(store, made, name="app")
    with store.leases.working():
        config = store.images.claim(app)
        store.images.remove(app)
        collected(store)
        assert config.diff_ids == (made.diff_id,)
        assert store.images.layers(app.manifest.digest) == (made,)
        assert store.blobs.holds(made.blob)
        with pytest.raises(NotFoundError):
            store.images.claim(app)
        with pytest.raises(NotFoundError):
            store.images.tag(app, Reference.parse("again"))
    assert store.db.rows("SELECT * FROM refs") == []


def test_a_name_cut_off_by_a_full_disk_spoils_no_other(store: Store) -> None:
    with store.leases.working():
        (store.root / "locks" / "used-0").write_bytes(b"\n012345")
        made = layer(store, b"l")
        collected(store)
        assert store.blobs.holds(made.blob)


def test_records_are_chosen_when_it_is_known_what_is_needed_anyway(store: Store) -> None:
    kept, used, idle = layer(store, b"kept"), layer(store, b"used"), layer(store, b"idle")
    image(store, kept, name="app")
    for made in (kept, used, idle):
        store.records.add(record(made, made.diff_id.hex.encode()))
    seen: list[Needed] = []

    def choose(needed: Needed) -> list[Digest]:
        seen.append(needed)
        free = [made.diff_id for made in (kept, used, idle) if not needed.keeps(made)]
        return [r.key for r in store.records.all() if r.diff_id in free]

    with store.leases.layers([used.diff_id]):
        done = collect(store, lambda: (), Trees(), choose, "gc")
    assert seen[0].layers == {kept.diff_id}
    assert seen[0].used == {used.diff_id}
    assert done.records == (Digest.of(idle.diff_id.hex.encode()),)
    assert done.layers == (idle.diff_id,)
    note = store.evictions.of(done.records[0])
    assert note is not None
    assert note.by == "gc"
    assert not store.blobs.holds(idle.blob)
    assert {r.diff_id for r in store.records.all()} == {kept.diff_id, used.diff_id}


# How many layers a collector is to have removed, and how long it may take where others use the machine too.
ENOUGH, MOST_SECONDS = 10, 60.0


def _going_on(seconds: float, busy: Synchronized[int]) -> Iterator[None]:
    """For so many seconds, and until no collector is busy any more."""
    begun = time.monotonic()
    while (taken := time.monotonic() - begun) < seconds or (busy.value and taken < MOST_SECONDS):
        yield


def _work(path: str, seconds: float, number: int, busy: Synchronized[int]) -> None:
    """Builds, as far as the store sees it; fails when anything it has named goes away."""
    store, choice = Store.open(Path(path)), random.Random(number)
    for _ in _going_on(seconds, busy):
        with store.leases.working():
            found = []
            for step in choice.sample(range(8), 3):
                key, content = f"step {step}".encode(), f"layer {step}".encode()
                known = store.records.get(Digest.of(key))
                made = None if known is None else store.layer(known.diff_id)
                if made is None:
                    made = layer(store, content)
                    store.records.add(record(made, key))
                found.append(made)
                for one in found:
                    assert store.blobs.holds(one.blob), "a layer is gone that was found or made"
            # its own, whatever layers others take: who removes an image removes it for all who made an equal one
            app = image(store, *found, name=f"app-{number}", label=str(number))
        assert store.images.layers(app.manifest.digest) == tuple(found)
        for blob in (app.manifest, *store.images.manifest(app).layers):
            store.blobs.read(blob)
        if choice.random() < 0.5:
            store.images.remove(app)


def _collect(path: str, seconds: float, number: int, busy: Synchronized[int]) -> None:
    store, choice = Store.open(Path(path)), random.Random(number)
    removed = 0
    for _ in _going_on(seconds, busy):
        records = store.records.all()
        keys = [r.key for r in choice.sample(records, min(2, len(records)))]
        before = removed
        removed += len(collect(store, lambda: (), Trees(), lambda _, keys=keys: keys).blobs)  # type: ignore[misc]
        if before <= ENOUGH < removed:
            with busy.get_lock():
                busy.value -= 1
    assert removed > ENOUGH, "there was something to collect"


def test_processes_collect_and_build_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    calls = [(_work, n) for n in range(3)] + [(_collect, n) for n in range(2)]
    busy = context.Value("i", 2)
    processes = [context.Process(target=call, args=(str(tmp_path / "store"), 2.0, n, busy)) for call, n in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 5
    store = Store.open(tmp_path / "store")
    for app in store.images.all():
        store.images.remove(app)
    store.records.forget([r.key for r in store.records.all()])
    collected(store)
    assert (list(store.blobs.all()), store.layers.all()) == ([], [])
    assert {p.name for p in (store.root / "locks").iterdir()} == {"gc", "index"}
    assert list((store.root / "tmp").iterdir()) == []
