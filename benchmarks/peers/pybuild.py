"""pybuild itself: the installed program, one process a build."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from benchmarks.peers.base import BASE, IMAGE, PeerError, run

_BUILD = ("build", "--network", "none", "--progress", "plain")


class Pybuild:
    """pybuild of this interpreter's environment, on a store of its own."""

    name = "pybuild"

    def setup(self, directory: Path, base: Path) -> None:
        """See Peer."""
        self._home = directory
        self._program = Path(sys.executable).parent / "pybuild"
        if not self._program.exists():
            raise PeerError(f"there is no pybuild beside {sys.executable}: pip install -e .")
        self._run("import", base, BASE)

    def facts(self) -> dict[str, str]:
        """See Peer."""
        return {"version": self._run("--version").split()[1]}

    def build(self, context: Path, *, use_cache: bool = True) -> str:
        """See Peer."""
        fresh = () if use_cache else ("--no-cache",)
        return self._run(*_BUILD, *fresh, "-t", IMAGE, context, shown=True)

    def save(self, archive: Path) -> None:
        """See Peer."""
        self._run("save", "--format", "docker", "-o", archive, IMAGE)

    def export(self, archive: Path) -> None:
        """See Peer."""
        self._run("save", "--format", "oci", "-o", archive, IMAGE)

    def build_to(self, archive: Path, context: Path, *, use_cache: bool = True) -> None:
        """See Peer."""
        fresh = () if use_cache else ("--no-cache",)
        self._run(*_BUILD, *fresh, "--output", f"type=oci,dest={archive}", context)

    def load(self, archive: Path) -> None:
        """See Peer."""
        self._run("load", "-q", "-i", archive)

    def processes(self) -> list[int]:
        """See Peer."""
        return []

    def forget(self) -> None:
        """See Peer."""
        with suppress(PeerError):
            self._run("rmi", "-f", IMAGE)
        self._run("cache", "prune", "-f")

    def list_images(self) -> None:
        """See Peer."""
        self._run("images")

    def teardown(self) -> None:
        """Nothing runs between builds."""

    def _run(self, *arguments: str | Path, shown: bool = False) -> str:
        return run([self._program, "--root", self._home / "store", *arguments], self._home, shown=shown)
