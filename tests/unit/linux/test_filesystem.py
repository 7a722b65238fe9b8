"""How files lie on a file system."""

from __future__ import annotations

import subprocess
from pathlib import Path

from builder.linux.filesystem import filesystem, spread


def test_a_directory_is_a_top_where_there_is_such_a_thing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    spread(str(tmp_path))
    spread("/proc/self")  # which knows no attributes
    shown = subprocess.run(["lsattr", "-d", tmp_path], capture_output=True, text=True, check=False).stdout
    assert ("T" in shown.split(" ")[0]) == (filesystem(str(tmp_path)) == "ext4")
    assert (tmp_path / "file").read_text() == "x"
