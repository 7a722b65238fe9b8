"""Programs that carry images from and to registries: for each the commands, on storage of its own."""

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

    def load(self, archive: Path, image: str, directory: Path) -> None:
        """Have the one image `image` of a docker archive, with plain layers, in the storage, ready to be pushed."""
        ...

    def push(self, image: str, target: str, directory: Path) -> list[str | Path]:
        """The command that pushes what was loaded as `image` as `target`, to such a registry."""
        ...

    def forget(self, directory: Path) -> None:
        """Have the next push compress layers anew, if they were kept."""
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

    def load(self, archive: Path, image: str, directory: Path) -> None:
        """See Carrier."""
        self._run(directory, "load", "-q", "-i", archive)

    def push(self, image: str, target: str, directory: Path) -> list[str | Path]:
        """See Carrier. It has been given the name before: that is no part of pushing."""
        self._run(directory, "tag", image, target)
        return [self.path, "--root", directory / "store", "push", "-q", target]

    def forget(self, directory: Path) -> None:
        """See Carrier."""
        self._run(directory, "cache", "prune", "-f")

    def _run(self, directory: Path, *arguments: str | Path) -> None:
        run([self.path, "--root", directory / "store", *arguments], directory)


@dataclass(frozen=True)
class Skopeo:
    """skopeo into the storage that podman and buildah run images from: layers unpacked."""

    name: str = "skopeo"

    def facts(self) -> dict[str, str]:
        """See Carrier."""
        return {"version": _version("skopeo"), "storage": "unpacked"}

    def pull(self, image: str, directory: Path) -> list[str | Path]:
        """See Carrier."""
        return [*self._copy(image), f"{self._place(directory)}localhost/bench:1"]

    def load(self, archive: Path, image: str, directory: Path) -> None:
        """See Carrier."""
        run([program("skopeo"), "copy", "--quiet", f"docker-archive:{archive}", self._loaded(directory)], directory)

    def push(self, image: str, target: str, directory: Path) -> list[str | Path]:
        """See Carrier."""
        copy = [program("skopeo"), "copy", "--quiet", "--dest-tls-verify=false"]
        return [*copy, self._loaded(directory), f"docker://{target}"]

    def forget(self, directory: Path) -> None:
        """See Carrier. It keeps nothing."""

    def _loaded(self, directory: Path) -> str:
        return f"{self._place(directory)}localhost/bench:1"

    def _place(self, directory: Path) -> str:
        return f"containers-storage:[overlay@{directory / 'root'}+{directory / 'run'}]"

    def _copy(self, image: str) -> list[str | Path]:
        return [program("skopeo"), "copy", "--quiet", "--src-tls-verify=false", f"docker://{image}"]


@dataclass(frozen=True)
class SkopeoLayout(Skopeo):
    """skopeo into an OCI layout: blobs are kept, nothing is unpacked, so nothing could be run or built on."""

    name: str = "skopeo-layout"

    def facts(self) -> dict[str, str]:
        """See Carrier."""
        return {"version": _version("skopeo"), "storage": "an OCI layout, nothing unpacked"}

    def pull(self, image: str, directory: Path) -> list[str | Path]:
        """See Carrier."""
        return [*self._copy(image), self._loaded(directory)]

    def _loaded(self, directory: Path) -> str:
        return f"oci:{directory / 'layout'}:bench"


@dataclass(frozen=True)
class Podman:
    """podman: layers unpacked."""

    name: str = "podman"

    def facts(self) -> dict[str, str]:
        """See Carrier."""
        return {"version": _version("podman"), "storage": "unpacked"}

    def pull(self, image: str, directory: Path) -> list[str | Path]:
        """See Carrier."""
        return [*self._on(directory), "pull", "--quiet", "--tls-verify=false", image]

    def load(self, archive: Path, image: str, directory: Path) -> None:
        """See Carrier."""
        run([*self._on(directory), "load", "--quiet", "--input", archive], directory)

    def push(self, image: str, target: str, directory: Path) -> list[str | Path]:
        """See Carrier."""
        return [*self._on(directory), "push", "--quiet", "--tls-verify=false", image, f"docker://{target}"]

    def forget(self, directory: Path) -> None:
        """See Carrier. It keeps nothing."""

    def _on(self, directory: Path) -> list[str | Path]:
        storage = ("--root", directory / "root", "--runroot", directory / "run", "--storage-driver", "overlay")
        return [program("podman"), *storage]


def _version(name: str) -> str:
    return run([program(name), "--version"], Path("/")).split()[2]


# what pybuild is measured against, by the name of --peer
CARRIERS: dict[str, Carrier] = {carrier.name: carrier for carrier in (Skopeo(), Podman(), SkopeoLayout())}
