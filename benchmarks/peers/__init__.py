"""The builders that can be measured, each in one module."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.base import Peer
from benchmarks.peers.buildah import Buildah
from benchmarks.peers.buildkit import Buildkit
from benchmarks.peers.docker import Docker
from benchmarks.peers.podman import Podman

# what pybuild is measured against, by the name of --peer
PEERS: dict[str, Callable[[], Peer]] = {
    "docker": Docker,
    "buildah": Buildah,
    "podman": Podman,
    "buildkit": Buildkit,
}
# those measured when none is named: podman builds as buildah does, and BuildKit alone is nowhere in Debian
USUAL = ("docker", "buildah")
