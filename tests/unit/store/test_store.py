from __future__ import annotations

import io
import json
import multiprocessing
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError, CanceledError, NotFoundError, StoreError, UsageError
from builder.image.descriptor import Descriptor
from builder.image.reference import Reference
from builder.store import evictions
from builder.store.locks import key_lock
from builder.store.memo import TAKEN
from builder.store.open import Store, default_root
from builder.store.records import CacheRecord
from tests.support.store import image, layer, record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def test_a_blob_is_whole_or_not_there(store: Store) -> None:
    digest, size = store.blobs.put(io.BytesIO(b"data"))
    assert store.blobs.read(Descriptor("", digest, size)) == b"data"
    with pytest.raises(BadInputError):
        store.blobs.put(io.BytesIO(b"other"), expected=Digest.of(b"wanted"))
    assert not store.blobs.has(Digest.of(b"other"))
    assert list((store.root / "tmp").iterdir()) == []
    with pytest.raises(NotFoundError):
        store.blobs.open(Descriptor("", Digest.of(b"none"), 1))


def test_a_damaged_blob_is_noticed(store: Store) -> None:
    digest, size = store.blobs.put(io.BytesIO(b"data"))
    Path(store.blobs.path(digest)).write_bytes(b"dama")
    with pytest.raises(BadInputError, match="damaged"):
        store.blobs.read(Descriptor("", digest, size))
    Path(store.blobs.path(digest)).write_bytes(b"")
    assert not store.blobs.holds(Descriptor("", digest, size))


def test_what_a_dead_writer_left_is_swept_and_a_living_ones_is_not(store: Store) -> None:
    dead = store.root / "tmp" / "blob-dead"
    dead.write_bytes(b"half")
    with store.blobs.writer() as writer:
        writer.write(b"alive")
        store.blobs.sweep()
        assert not dead.exists()
        writer.commit(Digest.of(b"alive"))
    assert store.blobs.has(Digest.of(b"alive"))


def test_records_come_back_and_count_their_use(store: Store) -> None:
    made = layer(store, b"l")
    store.records.add(record(made))
    assert store.records.get(Digest.of(b"k")) == record(made)
    store.records.touch([Digest.of(b"k")])
    found = store.records.get(Digest.of(b"k"))
    assert found is not None
    assert found.hits == 1
    assert found.last_used > 1.0
    assert store.records.get(Digest.of(b"other")) is None


def test_images_are_found_by_name_and_by_id(store: Store) -> None:
    made = image(store, layer(store, b"l"), name="app")
    for text in ("app", "app:latest", str(made.config), made.config.hex, made.config.short, made.config.hex[:4]):
        assert store.images.find(text).manifest == made.manifest
    assert store.images.lookup("other") is None
    with pytest.raises(NotFoundError):
        store.images.find("other")


def test_an_unclear_beginning_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one = layer(store, b"l")
    beginnings: dict[str, str] = {}
    for number in range(2000):
        made = image(store, one, label=str(number)) if number < 2 else None
        if made is None:
            break
        beginnings[made.config.hex[:4]] = made.config.hex
    store.db.execute("UPDATE images SET config = substr(config, 1, 60) || 'aaaa'")
    store.db.execute("UPDATE images SET config = 'abcd' || substr(config, 5)")
    with pytest.raises(UsageError, match="several"):
        store.images.find("abcd")


def test_a_name_moves(store: Store) -> None:
    one, two = layer(store, b"1"), layer(store, b"2")
    first = image(store, one, name="app")
    second = image(store, two, name="app")
    assert store.images.find("app").manifest == second.manifest
    assert store.images.by_manifest(first.manifest.digest).names == ()
    with pytest.raises(UsageError):
        store.images.tag(first, Reference.parse(f"x@{first.manifest.digest}"))


def test_the_index_names_what_the_database_knows(store: Store) -> None:
    made = image(store, layer(store, b"l"), name="app:1")
    store.images.tag(made, Reference.parse("app:2"))
    index = json.loads((store.root / "index.json").read_text())
    names = [m["annotations"]["org.opencontainers.image.ref.name"] for m in index["manifests"]]
    assert names == ["app:1", "app:2"]
    assert {m["digest"] for m in index["manifests"]} == {str(made.manifest.digest)}


def _count(path: str, start: object) -> None:
    store = Store.open(Path(path))
    start.wait()  # type: ignore[attr-defined]
    for number in range(50):
        made = layer(store, f"{os.getpid()}-{number}".encode())
        store.records.add(record(made, f"{os.getpid()}-{number}".encode()))
        image(store, made, name=f"app:{os.getpid()}-{number % 5}")


def test_processes_share_a_store(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    workers = [context.Process(target=_count, args=(str(tmp_path / "store"), start)) for _ in range(3)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    store = Store.open(tmp_path / "store")
    assert len(store.records.all()) == 150
    index = json.loads((store.root / "index.json").read_text())
    named = [m for m in index["manifests"] if "annotations" in m]
    assert len(named) == 15


def test_one_at_a_time_for_a_key(store: Store) -> None:
    key, inside, most = Digest.of(b"k"), 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with key_lock(store.root, key, lambda: False):
                with lock:
                    inside += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list((store.root / "locks").glob("key-*")) == []


def test_who_waits_for_a_key_can_be_canceled(store: Store) -> None:
    key = Digest.of(b"k")
    with (
        key_lock(store.root, key, lambda: False),
        pytest.raises(CanceledError),
        key_lock(store.root, key, lambda: True),
    ):
        pass


def test_a_directory_of_something_else_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(StoreError, match="not empty"):
        Store.open(tmp_path)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StoreError):
        Store.open(file)


def test_a_damaged_or_newer_database_is_told(tmp_path: Path) -> None:
    Store.open(tmp_path / "a").close()
    connection = sqlite3.connect(tmp_path / "a" / "pybuild.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="newer"):
        Store.open(tmp_path / "a")
    Store.open(tmp_path / "b").close()
    (tmp_path / "b" / "pybuild.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="damaged"):
        Store.open(tmp_path / "b")


def test_the_stores_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root() == tmp_path / ".local/share/pybuild"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_root() == tmp_path / ".local/share/pybuild"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_root() == Path("/data/pybuild")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_root() == Path("/var/lib/pybuild")
    monkeypatch.setenv("PYBUILD_ROOT", "/mine")
    assert default_root() == Path("/mine")


def test_an_eviction_is_remembered_until_the_step_is_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = layer(store, b"x")
    one, other = record(made, b"one"), record(made, b"other")
    before = time.time()
    store.evictions.note([one.key], "prune")
    store.evictions.note([other.key])
    found = store.evictions.of(one.key)
    assert found is not None
    assert (found.by, before <= found.at <= time.time()) == ("prune", True)
    store.records.add(one)
    assert store.evictions.of(one.key) is None
    assert store.evictions.of(other.key) is not None
    monkeypatch.setattr(evictions, "KEPT", 3)
    keys = [Digest.of(bytes([n])) for n in range(5)]
    for key in keys:
        store.evictions.note([key])
    assert [store.evictions.of(key) is not None for key in keys] == [False, False, True, True, True]


def test_a_list_of_files_is_kept_as_long_as_a_record_names_it(store: Store) -> None:
    made = layer(store, b"x")
    small, large = b"source 'a'", b"".join(b"file 'f%d' 644 %064x\n" % (n, n) for n in range(2000))
    for listing in (small, large, b"unnamed"):
        store.listings.put(Digest.of(listing), listing)
        store.listings.put(Digest.of(listing), listing)
    image = json.dumps({"outside": [str(Digest.of(small)), str(Digest.of(large))]}).encode()
    store.records.add(msgspec.structs.replace(record(made), preimage=image, inputs=("", "image:a@sha256:b")))
    store.records.add(record(made, b"names none"))
    assert store.records.all()[0].inputs in ((), ("", "image:a@sha256:b"))
    taken = [b"source", b"also", b"mounted"]
    for listing in taken:
        store.listings.put(Digest.of(listing), listing)
    source, also, mounted = (str(Digest.of(listing)) for listing in taken)
    fields = {"source": source, "also": [{"paths": []}, {"source": also}], "mounts": [{"origin": mounted}, {"id": "x"}]}
    image = json.dumps(fields).encode()
    store.records.add(msgspec.structs.replace(record(made), key=Digest.of(image), preimage=image))
    store.records.add(msgspec.structs.replace(record(made), key=Digest.of(b"damaged"), preimage=b"{damaged"))
    for listing in (b"source", b"unnamed"):
        store.memo.put(TAKEN, listing.decode(), bytes.fromhex(Digest.of(listing).hex))
    assert store.listings.sweep() == 1
    assert store.memo.get(TAKEN, "source") is not None
    assert store.memo.get(TAKEN, "unnamed") is None
    assert store.listings.get(Digest.of(b"unnamed")) is None
    assert [store.listings.get(Digest.of(listing)) for listing in taken] == taken
    assert store.listings.get(Digest.of(small)) == small
    assert store.listings.get(Digest.of(large)) == large
    stored = store.db.row("SELECT length(data) FROM listings WHERE digest = ?", (Digest.of(large).hex,))[0]
    assert stored < len(large) / 2
    for damaged in (b"\x28\xb5\x2f\xfdxx", b"other text"):
        store.db.execute("UPDATE listings SET data = ? WHERE digest = ?", (damaged, Digest.of(large).hex))
        assert store.listings.get(Digest.of(large)) is None


def test_records_are_found_by_where_and_what_their_steps_were(store: Store) -> None:
    made = layer(store, b"x")

    def add(name: str, line: int, used: float, stage: str = "build") -> Digest:
        key = Digest.of(f"{name} {line} {stage}".encode())
        where = {"name": name, "line": line, "stage": stage, "last_used": used, "inputs": (key.hex, "")}
        store.records.add(msgspec.structs.replace(record(made), key=key, **where))
        return key

    make, test = add("[build 2/3] RUN make", 4, 1.0), add("[build 3/3] RUN make [x] test", 5, 2.0)
    other = add("[last 2/2] RUN make", 9, 3.0, "last")

    def keys(found: list[CacheRecord]) -> list[Digest]:
        assert all(r.inputs == (r.key.hex, "") for r in found)
        return [r.key for r in found]

    assert keys(store.records.near("Buildfile", "build", 5, "RUN make")) == [test, make]
    assert keys(store.records.near("Buildfile", "build", 0, "RUN make [x] test")) == [test]
    assert keys(store.records.near("Buildfile", "none", 5, "RUN make")) == []
    assert keys(store.records.around("Buildfile", "none", "RUN make")) == [other, make]
    assert keys(store.records.around("Buildfile", "build", "")) == [test, make]
    assert keys(store.records.near("Dockerfile", "build", 5, "RUN make")) == []
    assert store.records.last_used() == (3.0, "Buildfile")


def test_those_near_a_step_are_the_newest_however_many_there_are(store: Store) -> None:
    """As looking at each record finds them, by line, stage and text."""
    chance = random.Random(1)
    made = layer(store, b"l")
    names = [f"{place}RUN {text}" for place in ("", "[2/4] ", "[a 3/9] ") for text in ("x", "y] z", "")]
    with store.db.transaction():
        for number in range(600):
            one = replace(
                record(made, b"%d" % number),
                created=float(number * 7 % 600),
                last_used=float(number),
                name=chance.choice(names),
                stage=chance.choice("ab"),
                line=chance.randrange(3),
                buildfile=chance.choice(("Buildfile", "other")),
            )
            store.records.add(one)
    everything = store.records.all()

    def newest(passes: Callable[[CacheRecord], bool]) -> list[CacheRecord]:
        found = sorted(filter(passes, everything), key=lambda r: -r.created)[:24]
        return sorted(found, key=lambda r: -r.last_used)

    def text(one: CacheRecord) -> str:
        return one.name.partition("] ")[2] if "] " in one.name else one.name

    def check(file: str, stage: str, wanted: str) -> None:
        assert store.records.near(file, stage, 1, wanted) == newest(
            lambda r: r.buildfile == file and r.stage == stage and (r.line == 1 or text(r) == wanted)
        )
        assert store.records.around(file, stage, wanted) == newest(
            lambda r: r.buildfile == file and (r.stage == stage or text(r) == wanted)
        )

    for asked in product(("Buildfile", "other", "none"), "abc", ("RUN x", "RUN y] z", "z", "RUN ")):
        check(*asked)
