"""What copies made before (layers/copybefore.py), by what they copy from where to where.

    <root>/copies/<sha256>   a copy's last layer; replaced by its next one

Only a help: each is checked when it is read, and what is not there, or names what is gone, is done without. The newest
are kept.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from builder.digest import Digest
from builder.layers.copybefore import Before, decoded, encoded
from builder.layers.copyjob import CopyJob
from builder.points import point

# As many copies are remembered; of 20,000 files each takes 3 MB.
_MOST = 40


class Copies:
    """Those of the store at `root`."""

    def __init__(self, root: Path) -> None:
        self._directory = root / "copies"

    def find(self, name: str) -> Before | None:
        """What was kept as `name`."""
        try:
            return decoded((self._directory / name).read_bytes())
        except OSError:
            return None

    def keep(self, name: str, before: Before) -> None:
        """Keep `before` as `name`; where that cannot be done, nothing is kept."""
        temporary = self._directory / f"{name}.{os.urandom(8).hex()}"
        with suppress(OSError, UnicodeEncodeError):
            data = encoded(before)
            self._directory.mkdir(0o700, exist_ok=True)
            self._sweep()
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(data)
            point("copy:remembering")
            temporary.rename(self._directory / name)
            return
        self.forget(temporary.name)

    def forget(self, name: str) -> None:
        """Keep it no longer."""
        with suppress(OSError):
            (self._directory / name).unlink()

    def _sweep(self) -> None:
        """Make room for one more; what a crash left half written gets old as all others."""
        with os.scandir(self._directory) as entries:
            found = sorted(((entry.stat().st_mtime_ns, entry.name) for entry in entries), reverse=True)
        for _, name in found[_MOST - 1 :]:
            self.forget(name)


def name_of(jobs: Sequence[CopyJob]) -> str:
    """What a copy is kept as: not what is in its files, but which they are and where they go.

    Empty for what is copied of stages, whose files have no digests to know them again by: nothing is kept of that.
    """
    if any(job.sources == () and job.choice.patterns for job in jobs):
        return ""
    about = [
        (
            job.context, job.destination, [source.name for source in job.sources], job.choice.patterns,
            job.choice.exclude, job.choice.parents, job.chown, job.chmod,
        )
        for job in jobs
    ]  # fmt: skip
    return Digest.of(repr(about).encode(errors="surrogateescape")).hex
