"""docker: a daemon of our own with its BuildKit, shut in namespaces so that nothing of the host is changed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.peers.base import BASE, IMAGE, PATH, PeerError, program, run

_START_SECONDS = 30.0
_END_SECONDS = 5.0


class Docker:
    """dockerd on a socket, data and exec directories of its own; its client as a user calls it."""

    name = "docker"

    def __init__(self) -> None:
        self._daemon: subprocess.Popen[bytes] | None = None
        self._cgroup = f"pybuild-bench-{os.getpid()}"

    def setup(self, directory: Path, base: Path) -> None:
        """See Peer."""
        self._home = directory
        self._socket = f"unix://{directory}/docker.sock"
        self._client = _client(directory)
        self._start()
        self._run("import", str(base), BASE)
        context = directory / "trial"
        context.mkdir()
        (context / "Dockerfile").write_text(f"FROM {BASE}\nRUN true\n")
        self.build(context)

    def facts(self) -> dict[str, str]:
        """See Peer."""
        form = "{{.ServerVersion}} {{.Driver}} {{.DefaultRuntime}} cgroup-v{{.CgroupVersion}}"
        version, storage, runtime, cgroup = self._run("info", "--format", form).split()
        return {"version": version, "builder": "BuildKit", "storage": storage, "runtime": runtime, "cgroup": cgroup}

    def build(self, context: Path, *, use_cache: bool = True) -> str:
        """See Peer."""
        fresh = () if use_cache else ("--no-cache",)
        return self._run(
            "build", "--network", "none", "--progress", "plain", *fresh, "--tag", IMAGE, str(context), shown=True
        )

    def save(self, archive: Path) -> None:
        """See Peer."""
        self._run("save", "--output", str(archive), IMAGE)

    def export(self, archive: Path) -> None:
        """See Peer. A docker archive of plain layers: the BuildKit in dockerd 20.10 writes no OCI archives."""
        self.save(archive)

    def build_to(self, archive: Path, context: Path, *, use_cache: bool = True) -> None:
        """See Peer."""
        self.build(context, use_cache=use_cache)
        self.export(archive)

    def load(self, archive: Path) -> None:
        """See Peer."""
        self._run("load", "--quiet", "--input", str(archive))

    def list_images(self) -> None:
        """See Peer."""
        self._run("images")

    def processes(self) -> list[int]:
        """See Peer."""
        return [self._daemon.pid] if self._daemon else []

    def forget(self) -> None:
        """See Peer."""
        with suppress(PeerError):
            self._run("image", "rm", "--force", IMAGE)
        self._run("builder", "prune", "--all", "--force")

    def teardown(self) -> None:
        """Kill the daemon, and with it all that is in its namespaces: its data is thrown away."""
        if self._daemon is None:
            return
        children = Path(f"/proc/{self._daemon.pid}/task/{self._daemon.pid}/children")
        with suppress(OSError):
            for pid in children.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._daemon.wait(_END_SECONDS)
        self._daemon.kill()
        self._daemon.wait()
        self._remove_cgroups()

    def _start(self) -> None:
        command: list[str | Path] = [
            # whatever ends us, however, ends unshare; unshare ends the daemon; and the namespaces go with it
            "setpriv", "--pdeathsig", "KILL",
            "unshare", "--mount", "--net", "--pid", "--mount-proc", "--fork", "--kill-child",
            program("dockerd"), "--host", self._socket, "--pidfile", self._home / "pid",
            "--data-root", self._home / "data", "--exec-root", self._home / "exec",
            "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{self._cgroup}",
            "--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false",
            "--log-level", "warn",
        ]  # fmt: skip
        log = self._home / "log"
        with log.open("wb") as stream:
            # a session of its own: Ctrl-C is for us, who then end it
            self._daemon = subprocess.Popen(
                command,
                env={"PATH": PATH, "HOME": str(self._home)},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                last = (log.read_text().splitlines() or ["no word from it"])[-1]
                raise PeerError(f"dockerd does not start: {last}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            self._run("info")
        except PeerError:
            return False
        return True

    def _remove_cgroups(self) -> None:
        """Take away what the daemon made in every hierarchy; its groups empty a little after it ends."""
        deadline = time.monotonic() + _END_SECONDS
        while time.monotonic() < deadline:
            hierarchies = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]
            groups = [
                Path(directory) for top in hierarchies for directory, _, _ in os.walk(top / self._cgroup, topdown=False)
            ]
            if not groups:
                return
            for group in groups:
                with suppress(OSError):
                    group.rmdir()
            time.sleep(0.05)

    def _run(self, *arguments: str, shown: bool = False) -> str:
        variables = {"DOCKER_HOST": self._socket, "DOCKER_CONFIG": str(self._home / "config"), "DOCKER_BUILDKIT": "1"}
        return run([self._client, *arguments], self._home, variables, shown=shown)


def _client(home: Path) -> Path:
    """The client of dockerd's own version: another one may have BuildKit in a plugin that is not installed."""
    wanted = run([program("dockerd"), "--version"], home).split(",")[0]
    for directory in PATH.split(os.pathsep):
        found = Path(directory) / "docker"
        if os.access(found, os.X_OK) and run([found, "--version"], home).split(",")[0] == wanted:
            return found
    raise PeerError(f"there is no docker client of dockerd's version ({wanted})")
