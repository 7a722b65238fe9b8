"""A store that is only partly there, or whose database has other bits than were written."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import DamagedError, PybuildError, StoreError
from builder.linux.files import remove_tree
from builder.store.open import Store
from builder.store.rebuild import records_of
from tests.support.store import image, layer, record

FLIPS = 120


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with an image of two layers and some records, its database in one file."""
    store = Store.open(tmp_path / "store")
    one, two = layer(store, b"one"), layer(store, b"two")
    image(store, one, two, name="app")
    for number in range(200):
        store.records.add(record(one, b"%d" % number))
    store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    return tmp_path / "store"


def names(store: Store) -> list[str]:
    return [name for found in store.images.all() for name in found.names]


@pytest.mark.parametrize("missing", ["snapshots", "containers", "logs", "locks", "tmp", "oci-layout", "index.json"])
def test_what_is_missing_of_a_store_is_made_again(root: Path, missing: str) -> None:
    before = (root / "index.json").read_bytes()
    path = root / missing
    if path.is_dir():
        remove_tree(str(path))
    else:
        path.unlink()
    store = Store.open(root)
    assert names(store) == ["app:latest"]
    assert path.exists()
    assert (root / "index.json").read_bytes() == before
    store.close()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["missing", "empty"])
def test_a_database_that_is_gone_is_not_begun_anew(root: Path, damage: Callable[[Path], object]) -> None:
    damage(root / "pybuild.db")
    for _ in range(2):
        with pytest.raises(DamagedError, match="is gone, which knew of 1 images") as caught:
            Store.open(root)
        assert "cache verify --repair" in (caught.value.hint or "")
    assert b"app:latest" in (root / "index.json").read_bytes()


def test_an_image_layout_of_another_program_is_left_alone(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("oci-layout", "index.json", "blobs"):
        (root / name).rename(other / name)
    with pytest.raises(StoreError, match="image layout of another program"):
        Store.open(other)
    assert sorted(path.name for path in other.iterdir()) == ["blobs", "index.json", "oci-layout"]


def test_any_bit_of_the_database_may_be_wrong(root: Path) -> None:
    """Whatever is asked then, the answer is right, or an error of ours."""
    path = root / "pybuild.db"
    whole = path.read_bytes()
    noticed = 0
    for seed in range(FLIPS):
        chance = random.Random(seed)
        data = bytearray(whole)
        for _ in range(chance.choice((1, 3, 20))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        path.write_bytes(data)
        try:
            store = Store.open(root)
        except PybuildError:
            noticed += 1
            continue
        for ask in (store.images.all, store.records.all, store.layers.all, store.images.index_file.text):
            try:
                ask()
            except PybuildError:
                noticed += 1
        store.close()
    assert noticed > FLIPS // 10


def test_records_are_read_around_a_damaged_page(root: Path) -> None:
    path = root / "pybuild.db"
    connection = sqlite3.connect(path)
    ((size,),) = connection.execute("PRAGMA page_size")
    connection.close()
    assert records_of(root) == []  # no record of this store is proved by its pre-image
    store = Store.open(root)
    one = store.layers.all()[0]
    for number in range(200):
        text = json.dumps({"n": number, "padding": "x" * 500}).encode()
        made = record(one, b"proved")
        store.records.add(type(made)(Digest.of(text), text, *[getattr(made, n) for n in made.__struct_fields__[2:]]))
    store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    assert len(records_of(root)) == 200
    data = bytearray(path.read_bytes())
    middle = len(data) // size // 2 * size
    data[middle : middle + size] = bytes(size)
    path.write_bytes(data)
    assert 100 <= len(records_of(root)) < 200
