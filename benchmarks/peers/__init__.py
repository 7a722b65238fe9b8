"""The builders that can be measured, each in one module."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.base import Peer
from benchmarks.peers.buildah import Buildah
from benchmarks.peers.docker import Docker

# what pybuild is measured against, by the name of --peer
PEERS: dict[str, Callable[[], Peer]] = {"buildah": Buildah, "docker": Docker}
