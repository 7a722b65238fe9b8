"""index.json: it says what the database says, and is written only when that is something else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from builder.image.reference import Reference
from builder.linux.files import write_atomically
from builder.points import HOOKS
from builder.store import indexfile
from builder.store.open import Store
from builder.store.stamp import stamp
from tests.support.store import image, layer

NAMES = {
    "app:latest": "app:latest",
    "docker.io/me/app:1": "me/app:1",
    "host:5000/library/app:2": "host:5000/library/app:2",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def told(store: Store) -> set[str]:
    entries = json.loads((store.root / "index.json").read_bytes())["manifests"]
    return {entry.get("annotations", {}).get("org.opencontainers.image.ref.name", "") for entry in entries}


def state(store: Store) -> tuple[int, int]:
    found = (store.root / "index.json").stat()
    return found.st_ino, found.st_mtime_ns


def test_it_tells_of_every_change(store: Store) -> None:
    below = layer(store, b"x")
    first = image(store, below)
    assert told(store) == {""}
    for name in NAMES:
        store.images.tag(first, Reference.parse(name))
    assert told(store) == set(NAMES.values())
    store.images.untag(Reference.parse("app"))
    assert told(store) == set(NAMES.values()) - {"app:latest"}
    store.images.remove(first)
    assert told(store) == set()


def test_nothing_is_made_of_it_when_nothing_changes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    below = layer(store, b"x")
    image(store, below, name="app")
    before = state(store)
    monkeypatch.setattr(indexfile.IndexFile, "text", lambda self: pytest.fail("its text is made"))
    image(store, below, name="app")
    again = Store.open(store.root)
    image(again, below, name="app")
    assert state(store) == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"{}"),
        lambda path: path.unlink(),
        lambda path: write_atomically(str(path), path.read_bytes().replace(b"app", b"mine")),
        lambda path: os.utime(path, ns=(path.stat().st_atime_ns, 1)),
    ],
    ids=["written", "gone", "replaced", "touched"],
)
def test_what_others_made_of_it_is_written_over(store: Store, spoil: object) -> None:
    below = layer(store, b"x")
    image(store, below, name="app")
    assert callable(spoil)
    spoil(store.root / "index.json")
    image(store, below, name="app")
    assert told(store) == {"app:latest"}


def test_damage_that_no_state_shows_is_mended_when_asked(store: Store) -> None:
    image(store, layer(store, b"x"), name="app")
    path = store.root / "index.json"
    with path.open("r+b") as file:
        file.write(b"#")
    store.db.execute("UPDATE index_file SET state = ?", (stamp(str(path)),))
    store.images.index_file.publish()
    assert path.read_bytes()[:1] == b"#"
    store.images.index_file.publish(anew=True)
    assert told(store) == {"app:latest"}


@pytest.mark.parametrize("moment", ["file:written", "file:renamed"])
def test_who_changes_something_meanwhile_is_not_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Another process commits between the text and the note that it is written, and then finds the file behind."""
    first = image(store, layer(store, b"x"), name="app")
    other = Store.open(store.root)
    monkeypatch.setattr(other.images.index_file, "publish", lambda: None)  # it waits for the lock
    tags = iter(["other"])

    def between() -> None:
        for tag in tags:
            other.images.tag(first, Reference.parse(tag))

    monkeypatch.setitem(HOOKS, moment, between)
    store.images.tag(first, Reference.parse("one"))
    monkeypatch.delitem(HOOKS, moment)
    monkeypatch.undo()
    other.images.index_file.publish()
    assert told(store) == {"app:latest", "one:latest", "other:latest"}


def test_changes_are_made_together_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = image(store, layer(store, b"x"), name="app")
    written: list[str] = []
    monkeypatch.setitem(HOOKS, "file:renamed", lambda: written.append("index.json"))
    with store.images.changing():
        for number in range(3):
            store.images.tag(first, Reference.parse(f"app:{number}"))
        assert told(store) == {"app:latest"}
    assert written == ["index.json"]
    assert told(store) == {"app:latest", "app:0", "app:1", "app:2"}
    with pytest.raises(ZeroDivisionError), store.images.changing():
        store.images.remove(first)
        raise ZeroDivisionError
    assert len(store.images.all()) == 1
    store.images.untag(Reference.parse("app:0"))
    assert told(store) == {"app:latest", "app:1", "app:2"}
