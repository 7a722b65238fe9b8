"""What stands for secrets in keys: the same for the same in one store, and nothing to anybody else."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from builder.store.localkey import mark
from builder.store.open import LOCAL_KEY, Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Store.open(tmp_path / "store").close()
    return tmp_path / "store"


def test_a_mark_is_of_the_name_the_value_and_the_store(root: Path, tmp_path: Path) -> None:
    first = mark(root, "a", b"value")
    assert first == mark(root, "a", b"value")
    assert first.startswith("hmac-sha256:")
    assert len({first, mark(root, "a", b"other"), mark(root, "b", b"value"), mark(root, "a", b"")}) == 4
    Store.open(tmp_path / "other").close()
    assert mark(tmp_path / "other", "a", b"value") != first


@pytest.mark.parametrize("damage", [b"", b"short", bytes(33)])
def test_a_damaged_key_is_made_anew(root: Path, damage: bytes) -> None:
    first = mark(root, "a", b"value")
    (root / LOCAL_KEY).write_bytes(damage)
    again = mark(root, "a", b"value")
    assert again != first
    assert mark(root, "a", b"value") == again


def test_all_who_make_it_at_once_have_the_same(root: Path) -> None:
    found: set[str] = set()
    threads = [threading.Thread(target=lambda: found.add(mark(root, "a", b"value"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
