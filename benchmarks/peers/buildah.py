"""buildah: no daemon, one process a build, an OCI runtime a step."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.peers.base import BASE, IMAGE, PeerError, program, run

# the faster one first; the second is for hosts that refuse the first
_DRIVERS = ("overlay", "vfs")
_RUNTIMES = ("crun", "runc")


class Buildah:
    """buildah on storage of its own, with the first storage driver and runtime that work on this host."""

    name = "buildah"

    def __init__(self) -> None:
        self._driver = self._runtime = ""

    def setup(self, directory: Path, base: Path) -> None:
        """See Peer."""
        self._home = directory
        self._program = program(self.name)
        _first_that_works(_DRIVERS, lambda driver: self._import(driver, base))
        _first_that_works(_RUNTIMES, self._try_runtime)

    def facts(self) -> dict[str, str]:
        """See Peer."""
        version = run([self._program, "--version"], self._home).split()[2]
        runtime = run([program(self._runtime), "--version"], self._home).splitlines()[0].split()[-1]
        return {"version": version, "storage": self._driver, "runtime": f"{self._runtime} {runtime}"}

    def build(self, context: Path, *, use_cache: bool = True) -> str:
        """See Peer."""
        fresh = () if use_cache else ("--no-cache",)
        # without --layers all steps would share one container and one layer, and nothing would be cached
        how = ("--layers", "--jobs", "2", "--isolation", "oci", "--network", "none", *self._with_runtime())
        return self._run("build", *how, "--pull=false", *fresh, "--tag", IMAGE, str(context), shown=True)

    def save(self, archive: Path) -> None:
        """See Peer."""
        self._push(IMAGE, f"docker-archive:{archive}")

    def export(self, archive: Path) -> None:
        """See Peer. Its layers are packed with gzip."""
        archive.unlink(missing_ok=True)
        self._push(IMAGE, f"oci-archive:{archive}")

    def build_to(self, archive: Path, context: Path, *, use_cache: bool = True) -> None:
        """See Peer."""
        self.build(context, use_cache=use_cache)
        self.export(archive)

    def load(self, archive: Path) -> None:
        """See Peer. An image at a time, as it has no command for more."""
        with tarfile.open(archive) as opened:
            stream = opened.extractfile("manifest.json")
            assert stream is not None, archive
            count = len(json.load(stream))
        for number in range(count):
            self._run("pull", "--quiet", f"docker-archive:{archive}:@{number}")

    def list_images(self) -> None:
        """See Peer."""
        self._run("images")

    def processes(self) -> list[int]:
        """See Peer."""
        return []

    def forget(self) -> None:
        """See Peer."""
        with suppress(PeerError):
            self._run("rmi", "--force", IMAGE)
        self._prune()

    def teardown(self) -> None:
        """Take away the mounts that a build which ended early leaves."""
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for path in reversed([path for path in mounts if path.startswith(f"{self._home}/")]):
            subprocess.run(["umount", "--lazy", path], check=False)

    def _with_runtime(self) -> tuple[str, ...]:
        return ("--runtime", self._runtime)

    def _push(self, image: str, target: str) -> None:
        self._run("push", "--quiet", image, target)

    def _prune(self) -> None:
        self._run("rmi", "--prune", "--force")

    def _import(self, driver: str, base: Path) -> None:
        self._driver = driver
        container = self._run("from", "scratch").strip()
        self._run("add", "--quiet", container, str(base), "/")
        self._run("commit", "--quiet", "--rm", container, BASE)

    def _try_runtime(self, runtime: str) -> None:
        program(runtime)
        self._runtime = runtime
        context = self._home / "trial"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(f"FROM {BASE}\nRUN true\n")
        self.build(context)

    def _run(self, *arguments: str, shown: bool = False) -> str:
        # the driver's options of the host's storage.conf belong to the host's storage
        return run([self._program, *self._storage(), *arguments], self._home, {"STORAGE_OPTS": ""}, shown=shown)

    def _storage(self) -> tuple[str | Path, ...]:
        return ("--root", self._home / "root", "--runroot", self._home / "run", "--storage-driver", self._driver)


def _first_that_works(names: Sequence[str], attempt: Callable[[str], None]) -> None:
    """Attempt one after the other until one raises no PeerError; raises one that gives all reasons."""
    refused = []
    for name in names:
        try:
            attempt(name)
        except PeerError as error:
            refused.append(f"{name}: {error}")
        else:
            return
    raise PeerError("; ".join(refused))
