from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.linux import filesystem as module
from builder.linux.filesystem import filesystem
from builder.store.open import Store

MOUNTS = """0 1 0:99999 / /proc rw - proc proc rw
{mount} 1 0:21 / / rw,relatime shared:1 - {kind} server:/export rw,vers=4.2
"""


def mounts(path: Path, kind: str) -> Path:
    fd = os.open(path, os.O_PATH)
    said = Path(f"/proc/self/fdinfo/{fd}").read_text()
    os.close(fd)
    table = path / "mountinfo"
    table.write_text(MOUNTS.format(mount=said.split("mnt_id:")[1].split()[0], kind=kind))
    return table


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that seems to be on no block device."""
    monkeypatch.setattr(os, "major", lambda device: 0)
    return tmp_path


def test_the_kind_of_a_file_system_is_found(tmp_path: Path) -> None:
    path = str(tmp_path)
    assert filesystem(path, str(mounts(tmp_path, "nfs4"))) == "nfs4"
    assert filesystem(path, str(tmp_path / "none")) == ""
    assert filesystem("/proc") == "proc"
    (tmp_path / "mountinfo").write_text("broken\n\n - \n")
    assert filesystem(path, str(tmp_path / "mountinfo")) == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "fuse.sshfs"])
def test_a_file_system_of_the_network_is_refused(on: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = mounts(on, kind)
    monkeypatch.setattr(module, "filesystem", lambda path: filesystem(path, str(table)))
    with pytest.raises(StoreError, match=f"{kind} is a file system of the network") as caught:
        Store.open(on / "store")
    assert "--root DIR" in str(caught.value.hint)
    assert list((on / "store").iterdir()) == [], "nothing is left there"


@pytest.mark.parametrize("kind", ["overlay", "tmpfs", "btrfs", "9p", "virtiofs", "zfs", "fuse.fuse-overlayfs"])
def test_others_are_taken(on: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = mounts(on, kind)
    monkeypatch.setattr(module, "filesystem", lambda path: filesystem(path, str(table)))
    Store.open(on / "store").close()


def test_a_store_that_came_to_the_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(tmp_path / "store").close()
    monkeypatch.setattr(os, "major", lambda device: 0)
    monkeypatch.setattr(module, "filesystem", lambda path: "nfs4")
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
