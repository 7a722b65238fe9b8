"""A dockerd of the tests' own, for the BuildKit in it, shut in namespaces so that nothing of the host is changed."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from builder.linux.files import remove_tree
from tests.support.peer import PATH, PeerError, program, run

_PATIENCE = 60
_IMAGE = "built"


class Dockerd:
    """The daemon, all its files below `directory`. Use it as a context manager."""

    name = "dockerd"

    def __init__(self, directory: Path) -> None:
        self._home = directory
        # Short, whatever pytest calls its directories: sockets are in it, whose paths have an end (unix(7)).
        self._exec = Path(tempfile.mkdtemp(prefix="dockerd-"))
        self._socket = f"unix://{self._exec}/socket"
        self._cgroup = f"pybuild-test-{os.getpid()}"
        self._client = _client(directory)

    def __enter__(self) -> Self:
        command: list[str | Path] = [
            # whatever ends the tests ends unshare; unshare ends the daemon; and the namespaces go with it
            "setpriv", "--pdeathsig", "KILL",
            "unshare", "--mount", "--net", "--pid", "--mount-proc", "--fork", "--kill-child",
            # what is thrown away need not reach a disk: each step waits for its data there
            "sh", "-c", 'mount -t tmpfs data "$0" && exec "$@"', self._home / "data",
            program("dockerd"), "--host", self._socket, "--pidfile", self._home / "pid",
            "--data-root", self._home / "data", "--exec-root", self._exec,
            "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{self._cgroup}",
            "--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false",
            "--log-level", "warn",
        ]  # fmt: skip
        (self._home / "data").mkdir()
        log = self._home / "log"
        with log.open("wb") as stream:
            self._daemon = subprocess.Popen(
                command,
                env={"PATH": PATH, "HOME": str(self._home)},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                self._end()
                raise AssertionError(f"dockerd did not start:\n{log.read_text()}")
            time.sleep(0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def load(self, archive: Path) -> None:
        self._run("load", "--quiet", "--input", archive)

    def save(self, archive: Path, *images: str) -> None:
        self._run("save", "--output", archive, *images)

    def build(self, context: Path, options: list[str], archive: Path) -> None:
        """Build the Buildfile in `context` into a docker archive. Raises PeerError."""
        self._run(
            "build", "--network", "none", "--progress", "plain", *options,
            "--file", context / "Buildfile", "--tag", _IMAGE, context,
        )  # fmt: skip
        self.save(archive, _IMAGE)

    def container(self, *arguments: str) -> str:
        """What a command prints in a container whose first process is Docker's init."""
        return self._run("run", "--rm", "--init", *arguments)

    def pull(self, image: str) -> str:
        """Pull from a registry in the daemon's network; what is printed."""
        return self._run("pull", image)

    def push(self, image: str, name: str) -> None:
        """Push an image it has by another name."""
        self._run("tag", image, name)
        self._run("push", name)

    def network(self) -> tuple[str, ...]:
        """What runs a command in the daemon's network, where there is only a loopback device."""
        children = Path(f"/proc/{self._daemon.pid}/task/{self._daemon.pid}/children").read_text().split()
        prefix = ("nsenter", f"--net=/proc/{children[0]}/ns/net")
        subprocess.run([*prefix, "ip", "link", "set", "lo", "up"], check=True)
        return prefix

    def _answers(self) -> bool:
        try:
            self._run("info")
        except PeerError:
            return False
        return True

    def _end(self) -> None:
        """Kill the daemon, and with it all that is in its namespaces: its data is thrown away."""
        children = Path(f"/proc/{self._daemon.pid}/task/{self._daemon.pid}/children")
        with suppress(OSError):
            for pid in children.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._daemon.wait(5)
        self._daemon.kill()
        self._daemon.wait()
        remove_tree(str(self._exec))
        self._remove_cgroups()

    def _remove_cgroups(self) -> None:
        """Take away what the daemon made in every hierarchy; its groups empty a little after it ends."""
        deadline = time.monotonic() + 5
        tops = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]
        while time.monotonic() < deadline:
            groups = [Path(found) for top in tops for found, _, _ in os.walk(top / self._cgroup, topdown=False)]
            if not groups:
                return
            for group in groups:
                with suppress(OSError):
                    group.rmdir()
            time.sleep(0.05)

    def _run(self, *arguments: str | Path) -> str:
        variables = {"DOCKER_HOST": self._socket, "DOCKER_CONFIG": str(self._home / "config"), "DOCKER_BUILDKIT": "1"}
        return run([self._client, *arguments], self._home, variables)


def _client(home: Path) -> Path:
    """The client of dockerd's own version: another one may have BuildKit in a plugin that is not installed."""
    wanted = run([program("dockerd"), "--version"], home).split(",")[0]
    for directory in PATH.split(os.pathsep):
        found = Path(directory) / "docker"
        if os.access(found, os.X_OK) and run([found, "--version"], home).split(",")[0] == wanted:
            return found
    raise AssertionError(f"there is no docker client of dockerd's version ({wanted})")
