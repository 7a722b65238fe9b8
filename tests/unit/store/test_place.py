from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.linux import filesystems
from builder.linux.filesystems import kind_of
from builder.store.open import Store

MOUNTS = """21 1 {device} / / rw,relatime shared:1 - {kind} server:/export rw,vers=4.2
22 21 0:99999 / /proc rw - proc proc rw
"""


def mounts(path: Path, kind: str) -> Path:
    device = os.stat(path).st_dev
    table = path / "mountinfo"
    table.write_text(MOUNTS.format(device=f"{os.major(device)}:{os.minor(device)}", kind=kind))
    return table


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that seems to be on no block device."""
    monkeypatch.setattr(os, "major", lambda device: 0)
    return tmp_path


def test_the_kind_of_a_file_system_is_found(tmp_path: Path) -> None:
    assert kind_of(tmp_path, mounts(tmp_path, "nfs4")) == "nfs4"
    assert kind_of(tmp_path, tmp_path / "none") == ""
    assert kind_of("/proc") == "proc"
    (tmp_path / "mountinfo").write_text("broken\n\n - \n")
    assert kind_of(tmp_path, tmp_path / "mountinfo") == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "fuse.sshfs"])
def test_a_file_system_of_the_network_is_refused(on: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = mounts(on, kind)
    monkeypatch.setattr(filesystems, "kind_of", lambda path: kind_of(path, table))
    with pytest.raises(StoreError, match=f"{kind} is a file system of the network") as caught:
        Store.open(on / "store")
    assert "--root DIR" in str(caught.value.hint)
    assert list((on / "store").iterdir()) == [], "nothing is left there"


@pytest.mark.parametrize("kind", ["overlay", "tmpfs", "btrfs", "9p", "virtiofs", "zfs", "fuse.fuse-overlayfs"])
def test_others_are_taken(on: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = mounts(on, kind)
    monkeypatch.setattr(filesystems, "kind_of", lambda path: kind_of(path, table))
    Store.open(on / "store").close()


def test_a_store_that_came_to_the_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(tmp_path / "store").close()
    monkeypatch.setattr(os, "major", lambda device: 0)
    monkeypatch.setattr(filesystems, "kind_of", lambda path: "nfs4")
    with pytest.raises(StoreError, match="network"):
        Store.open(tmp_path / "store")


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(StoreError, match=r"no locks .* No locks available"):
        Store.open(tmp_path / "store")


def test_locks_that_exclude_nobody_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda fd, operation: None)
    with pytest.raises(StoreError, match="exclude nobody"):
        Store.open(tmp_path / "store")
    assert list((tmp_path / "store" / "locks").iterdir()) == []
    assert not (tmp_path / "store" / "index.json").exists()  # so that the next open tries again
