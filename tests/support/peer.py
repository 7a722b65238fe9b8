"""Running the programs of another builder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# dockerd and runc lie where the PATH of an ordinary login does not lead
PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


class PeerError(Exception):
    """A program failed; the message is all it said."""


def program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    assert found is not None, f"{name} is not installed: .ci/packages test"
    return found


def run(command: Sequence[str | Path], home: Path, variables: Mapping[str, str] | None = None) -> str:
    """Run a program that sees nothing of the caller's environment; give what it prints. Raises PeerError."""
    environment = {"PATH": PATH, "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", **(variables or {})}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PeerError(f"{[str(word) for word in command]} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
