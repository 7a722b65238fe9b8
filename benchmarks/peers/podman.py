"""podman: builds with buildah's code, and has its own way to the storage and to archives."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.base import BASE, IMAGE
from benchmarks.peers.buildah import Buildah


class Podman(Buildah):
    """podman on storage of its own, with the first storage driver and runtime that work on this host."""

    name = "podman"

    def export(self, archive: Path) -> None:
        """See Peer. Its layers are packed with gzip."""
        archive.unlink(missing_ok=True)
        self._run("save", "--quiet", "--format", "oci-archive", "--output", str(archive), IMAGE)

    def load(self, archive: Path) -> None:
        """See Peer."""
        self._run("load", "--quiet", "--input", str(archive))

    def _with_runtime(self) -> tuple[str, ...]:
        return ()  # an option of podman, not of its build

    def _prune(self) -> None:
        self._run("image", "prune", "--force")

    def _import(self, driver: str, base: Path) -> None:
        self._driver = driver
        self._run("import", "--quiet", str(base), BASE)

    def _storage(self) -> tuple[str | Path, ...]:
        runtime = ("--runtime", self._runtime) if self._runtime else ()
        return (*super()._storage(), "--cgroup-manager", "cgroupfs", *runtime)
