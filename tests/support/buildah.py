"""buildah on storage of the tests' own."""

from __future__ import annotations

from pathlib import Path

from tests.support.peer import program, run

_IMAGE = "built"


class Buildah:
    """buildah, all its files below `directory`."""

    name = "buildah"

    def __init__(self, directory: Path) -> None:
        self._home = directory

    def load(self, archive: Path) -> None:
        self._run("pull", "--quiet", f"docker-archive:{archive}")

    def build(self, context: Path, options: list[str], archive: Path) -> None:
        """Build the Buildfile in `context` into a docker archive with one layer above the base. Raises PeerError."""
        self._run(
            "build", "--pull=false", "--isolation", "oci", "--runtime", program("runc"), "--network", "none",
            "--format", "docker", *options, "--file", context / "Buildfile", "--tag", _IMAGE, context,
        )  # fmt: skip
        archive.unlink(missing_ok=True)
        self._run("push", "--quiet", _IMAGE, f"docker-archive:{archive}")

    def copy(self, image: str, name: str) -> None:
        """Pull an image from a registry on loopback and push it to one by another name."""
        self._run("pull", "--quiet", "--tls-verify=false", image)
        self._run("push", "--quiet", "--tls-verify=false", image, f"docker://{name}")

    def _run(self, *arguments: str | Path) -> str:
        storage = ("--root", self._home / "root", "--runroot", self._home / "run", "--storage-driver", "vfs")
        # the driver's options of the host's storage.conf belong to the host's storage
        return run([program("buildah"), *storage, *arguments], self._home, {"STORAGE_OPTS": ""})
