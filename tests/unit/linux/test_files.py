from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING

from builder.linux import files

if TYPE_CHECKING:
    import pytest


def test_who_sweeps_at_the_wrong_moment_takes_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is swept between its making and its locking: it is made again."""
    swept = []

    def flock(fd: int, operation: int) -> None:
        if not swept:
            swept.extend(tmp_path.glob(f"*{files.TEMPORARY}"))
            swept[0].unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    files.write_atomically(f"{tmp_path}/file", b"whole")
    assert len(swept) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"whole"
