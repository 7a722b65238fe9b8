"""Programs that carry images from and to registries: for each the command, on storage of its own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.peers.base import program, run


class Carrier(Protocol):
    """A program that pulls into a new directory, in which all stays until the end."""

    name: str

    def facts(self) -> dict[str, str]:
        """What a reader must know to compare. Raises PeerError when it is not there."""
        ...

    def pull(self, image: str, directory: Path) -> list[str | Path]:
        """The command that pulls `image`, of a registry on loopback without TLS."""
        ...


@dataclass(frozen=True)
class Pybuild:
    """pybuild of this interpreter's environment: blobs are kept, layers unpacked."""

    name: str = "pybuild"
    path: Path = Path(sys.executable).parent / "pybuild"

    def facts(self) -> dict[str, str]:
        """See Carrier."""
        return {"version": run([self.path, "--version"], Path("/")).split()[-1]}

    def pull(self, image: str, directory: Path) -> list[str | Path]:
        """See Carrier."""
        return [self.path, "--root", directory / "store", "pull", "-q", image]


@dataclass(frozen=True)
class Skopeo:
    """skopeo into the storage that podman and buildah run images from: layers unpacked."""

    name: str = "skopeo"

    def facts(self) -> dict[str, str]:
        """See Carrier."""
        return {"version": _version("skopeo"), "into": "storage, unpacked"}

    def pull(self, image: str, directory: Path) -> list[str | Path]:
        """See Carrier."""
        place = f"[overlay@{directory / 'root'}+{directory / 'run'}]"
        return [*self._copy(image), f"containers-storage:{place}localhost/bench:1"]

    def _copy(self, image: str) -> list[str | Path]:
        return [program("skopeo"), "copy", "--quiet", "--src-tls-verify=false", f"docker://{image}"]


@dataclass(frozen=True)
class SkopeoLayout(Skopeo):
    """skopeo into an OCI layout: blobs are kept, nothing is unpacked, so nothing could be run or built on."""

    name: str = "skopeo-layout"

    def facts(self) -> dict[str, str]:
        """See Carrier."""
        return {"version": _version("skopeo"), "into": "an OCI layout, nothing unpacked"}

    def pull(self, image: str, directory: Path) -> list[str | Path]:
        """See Carrier."""
        return [*self._copy(image), f"oci:{directory / 'layout'}:bench"]


@dataclass(frozen=True)
class Podman:
    """podman: layers unpacked."""

    name: str = "podman"

    def facts(self) -> dict[str, str]:
        """See Carrier."""
        return {"version": _version("podman"), "into": "storage, unpacked"}

    def pull(self, image: str, directory: Path) -> list[str | Path]:
        """See Carrier."""
        storage = ("--root", directory / "root", "--runroot", directory / "run", "--storage-driver", "overlay")
        return [program("podman"), *storage, "pull", "--quiet", "--tls-verify=false", image]


def _version(name: str) -> str:
    return run([program(name), "--version"], Path("/")).split()[2]


# what pybuild is measured against, by the name of --peer
CARRIERS: dict[str, Carrier] = {carrier.name: carrier for carrier in (Skopeo(), Podman(), SkopeoLayout())}
