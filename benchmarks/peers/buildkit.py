"""BuildKit on its own: the user's buildctl and buildkitd, whose cache this leaves in use."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import socket
import struct
from pathlib import Path

from benchmarks.peers.base import BASE, IMAGE, NotOfferedError, PeerError, run

_ADDRESS = "unix:///run/buildkit/buildkitd.sock"
_LAYOUT = "bench"
_OCI = "application/vnd.oci.image"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class Buildkit:
    """buildctl as the user gave it, without which nothing can be measured; buildkitd runs already.

    The daemon keeps what is built until the user prunes it: nothing else that it holds is touched.
    """

    name = "buildkit"

    def __init__(self, buildctl: Path | None = None, address: str | None = None) -> None:
        self._buildctl, self._address = buildctl, address or _ADDRESS
        self._context = Path()

    def setup(self, directory: Path, base: Path) -> None:
        """See Peer."""
        if self._buildctl is None:
            raise PeerError("name its client: --buildctl PATH")
        if not os.access(self._buildctl, os.X_OK) or self._buildctl.is_dir():
            raise PeerError(f"{self._buildctl} is no program")
        self._home = directory
        self._layout = directory / "base"
        self._digest = _write_layout(self._layout, base)
        context = directory / "trial"
        context.mkdir()
        (context / "Dockerfile").write_text(f"FROM {BASE}\nRUN true\n")
        self.build(context)

    def facts(self) -> dict[str, str]:
        """See Peer."""
        # "buildctl github.com/moby/buildkit v0.20.0 <commit>"
        facts = {"client": _version(run([self._program, "--version"], self._home))}
        told = self._run("debug", "info") + self._run("debug", "workers", "--verbose")
        facts["version"] = _version(told)
        found = re.search(r"worker\.snapshotter:\s*(\S+)", told)
        return facts | ({"storage": found[1]} if found else {})

    def build(self, context: Path, *, use_cache: bool = True) -> str:
        """See Peer."""
        self._context = context
        return self._build(context, use_cache=use_cache)

    def save(self, archive: Path) -> None:
        """See Peer. What was built is in the daemon's cache alone, so it is built again, from there."""
        self._build(self._context, "--output", f"type=docker,name={IMAGE},dest={archive}")

    def export(self, archive: Path) -> None:
        """See Peer. Its layers are packed with gzip."""
        self.build_to(archive, self._context)

    def build_to(self, archive: Path, context: Path, *, use_cache: bool = True) -> None:
        """See Peer."""
        self._context = context
        self._build(context, "--output", f"type=oci,dest={archive}", use_cache=use_cache)

    def load(self, archive: Path) -> None:
        """See Peer."""
        raise NotOfferedError("buildkitd has no images")

    def list_images(self) -> None:
        """See Peer."""
        raise NotOfferedError("buildkitd has no images")

    def processes(self) -> list[int]:
        """See Peer. None when the daemon is on another machine."""
        kind, _, path = self._address.partition("://")
        if kind != "unix":
            return []
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            # struct ucred of unix(7)
            pid, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return [pid]

    def forget(self) -> None:
        """See Peer. Its cache is the user's."""

    def teardown(self) -> None:
        """See Peer. Nothing was started."""

    @property
    def _program(self) -> Path:
        assert self._buildctl is not None, "setup has not been called"
        return self._buildctl

    def _build(self, context: Path, *output: str, use_cache: bool = True) -> str:
        base = ("--oci-layout", f"{_LAYOUT}={self._layout}")
        named = ("--opt", f"context:{BASE}=oci-layout://{_LAYOUT}@{self._digest}")
        what = ("--frontend", "dockerfile.v0", "--local", f"context={context}", "--local", f"dockerfile={context}")
        fresh = () if use_cache else ("--no-cache",)
        step = ("--opt", "force-network-mode=none")
        return self._run("build", "--progress", "plain", *what, *base, *named, *step, *fresh, *output)

    def _run(self, *arguments: str) -> str:
        return run([self._program, "--addr", self._address, *arguments], self._home, shown=True)


def _version(text: str) -> str:
    found = re.search(r"\bv\d[\w.+-]*", text)
    return found[0] if found else "unknown"


def _write_layout(directory: Path, base: Path) -> str:
    """An OCI layout with the image of the root file system tar `base`; gives the digest of its manifest."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    with base.open("rb") as stream:
        layer = hashlib.file_digest(stream, "sha256").hexdigest()
    shutil.copyfile(base, blobs / layer)
    config = {
        "architecture": _MACHINES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _put(blobs, json.dumps(config).encode(), f"{_OCI}.config.v1+json"),
        "layers": [
            {"mediaType": f"{_OCI}.layer.v1.tar", "digest": f"sha256:{layer}", "size": base.stat().st_size},
        ],
    }
    described = _put(blobs, json.dumps(manifest).encode(), f"{_OCI}.manifest.v1+json")
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    return str(described["digest"])


def _put(blobs: Path, data: bytes, media_type: str) -> dict[str, object]:
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
