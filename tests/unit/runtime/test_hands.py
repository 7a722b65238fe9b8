"""A container's files in hand."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from builder.errors import NotFoundError
from builder.runtime.hands import in_hand


@pytest.fixture
def container(tmp_path: Path) -> Path:
    path = tmp_path / "c"
    path.mkdir()
    (path / "container.json").touch()
    return path


def test_readers_share_and_a_remover_waits_for_them(container: Path) -> None:
    done = threading.Event()

    def remove() -> None:
        with in_hand(container, alone=True):
            (container / "container.json").unlink()
            done.set()

    with in_hand(container), in_hand(container):
        remover = threading.Thread(target=remove)
        remover.start()
        assert not done.wait(0.05)
        assert (container / "container.json").exists()
    remover.join()
    assert done.is_set()


def test_what_was_removed_meanwhile_is_not_found(container: Path) -> None:
    (container / "container.json").unlink()
    with pytest.raises(NotFoundError), in_hand(container):
        pass


def test_what_is_gone_altogether_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError), in_hand(tmp_path / "none"):
        pass


def test_an_error_inside_stays_what_it_is(container: Path) -> None:
    with pytest.raises(FileNotFoundError), in_hand(container):
        (container / "other").read_bytes()
