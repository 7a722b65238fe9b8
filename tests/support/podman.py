"""podman on storage of the test's own."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Podman:
    """Use it as a context manager."""

    def __init__(self) -> None:
        # podman refuses a run directory with a longer path than pytest's
        self._directory = tempfile.TemporaryDirectory(prefix="podman-")
        self._command = (
            "podman", "--root", f"{self._directory.name}/storage", "--runroot", f"{self._directory.name}/run",
            "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none",
        )  # fmt: skip

    def __enter__(self) -> Podman:
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.cleanup()

    def __call__(self, *arguments: str, input: bytes | None = None) -> str:
        done = subprocess.run([*self._command, *arguments], input=input, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """The tree of an image."""
        path = Path(self("image", "mount", image).split()[-1])
        try:
            yield path
        finally:
            self("image", "unmount", image)
