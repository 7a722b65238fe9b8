"""`Peer`: a builder that can be measured; and how its programs are run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

# dockerd and runc lie where the PATH of an ordinary login does not lead
PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
# the name of the base image in every Buildfile, and that of the image built
BASE = "base"
IMAGE = "bench"


class PeerError(Exception):
    """A program of a peer failed, or cannot be used here. The message is one line."""


class NotOfferedError(PeerError):
    """A peer has nothing of the kind."""


class Peer(Protocol):
    """A builder with storage of its own: nothing it does may outlive `teardown` or change the host.

    All peers do the same work: a layer for every step, no network in RUN, the image kept in their own storage.
    """

    name: str

    def setup(self, directory: Path, base: Path) -> None:
        """Get ready to build in the empty `directory`, with the root file system tar `base` as image BASE.

        Raises PeerError with the reason when the peer cannot build here.
        """
        ...

    def facts(self) -> dict[str, str]:
        """What a reader must know to compare: versions, storage driver, runtime. After `setup`."""
        ...

    def build(self, context: Path, *, use_cache: bool = True) -> str:
        """Build the Dockerfile in `context` into the image IMAGE; `use_cache=False` runs every step again.

        Gives what was shown meanwhile: the output of the steps that ran, line by line.
        """
        ...

    def save(self, archive: Path) -> None:
        """Write IMAGE, as built last, to a docker archive."""
        ...

    def export(self, archive: Path) -> None:
        """Write IMAGE, as built last, to an OCI archive as this builder's users do; to a docker archive if it must."""
        ...

    def build_to(self, archive: Path, context: Path, *, use_cache: bool = True) -> None:
        """Build, and write what `export` writes: with one command where there is one."""
        ...

    def load(self, archive: Path) -> None:
        """Have all images of a docker archive in the storage. Raises NotOfferedError."""
        ...

    def list_images(self) -> None:
        """Have the images in the storage listed. Raises NotOfferedError."""
        ...

    def processes(self) -> list[int]:
        """What works for a build without being started by its command: the daemons."""
        ...

    def forget(self) -> None:
        """Give up what builds have left on the disk, as far as that is quick."""
        ...

    def teardown(self) -> None:
        """End all that was started. Called also when `setup` failed."""
        ...


def program(name: str) -> str:
    """The path of a program. Raises PeerError when there is none."""
    found = shutil.which(name, path=PATH)
    if found is None:
        raise PeerError(f"the program {name} is not installed (make bench installs it)")
    return found


def run(
    command: Sequence[str | Path], home: Path, variables: Mapping[str, str] | None = None, *, shown: bool = False
) -> str:
    """Run a program to its end and give what it prints; with `shown` on standard error too.

    It sees nothing of the caller's environment. Raises PeerError with its reason.
    """
    environment = {"PATH": PATH, "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", **(variables or {})}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PeerError(f"{Path(command[0]).name}: {_reason(done.stderr) or f'exit status {done.returncode}'}")
    return done.stdout + done.stderr if shown else done.stdout


def _reason(errors: str) -> str:
    """The line that says most: the first error, as those after it follow from it; else the last line."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
