"""buildah: no daemon, one process a build, an OCI runtime a step."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
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
        self._program = program("buildah")
        _first_that_works(_DRIVERS, lambda driver: self._import(driver, base))
        _first_that_works(_RUNTIMES, self._try_runtime)

    def facts(self) -> dict[str, str]:
        """See Peer."""
        version = self._run("--version").split()[2]
        runtime = run([program(self._runtime), "--version"], self._home).splitlines()[0].split()[-1]
        return {"version": version, "storage": self._driver, "runtime": f"{self._runtime} {runtime}"}

    def build(self, context: Path, *, use_cache: bool = True) -> str:
        """See Peer."""
        fresh = () if use_cache else ("--no-cache",)
        step = ("--isolation", "oci", "--runtime", self._runtime, "--network", "none")
        # without --layers all steps would share one container and one layer, and nothing would be cached
        return self._run("build", "--layers", "--pull=false", *fresh, *step, "--tag", IMAGE, str(context), shown=True)

    def save(self, archive: Path) -> None:
        """See Peer."""
        self._run("push", "--quiet", IMAGE, f"docker-archive:{archive}")

    def teardown(self) -> None:
        """Take away the mounts that a build which ended early leaves."""
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for path in reversed([path for path in mounts if path.startswith(f"{self._home}/")]):
            subprocess.run(["umount", "--lazy", path], check=False)

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
        storage = ("--root", self._home / "root", "--runroot", self._home / "run", "--storage-driver", self._driver)
        # the driver's options of the host's storage.conf belong to the host's storage
        return run([self._program, *storage, *arguments], self._home, {"STORAGE_OPTS": ""}, shown=shown)


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
