"""Nothing stays behind, however a build or a container ends: no process, mount, control group, network or file.

What a killed main process had no time to take away is taken away by the next command.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.program import Pybuild
from tests.support.waiting import PATIENCE, wait_for

PARENT = f"pybuild-hygiene-{os.getpid()}"
LIMITS = ("--memory", "500m", "--pids-limit", "100", "--cgroup-parent", f"/{PARENT}")


class Host:
    """What this machine has of a program's: processes by their environment or command line, the rest by names."""

    def __init__(self, pybuild: Pybuild, marker: str) -> None:
        self._store, self._marker = pybuild.root, marker

    def processes(self) -> dict[int, str]:
        """The command lines of the program's processes, and of what its sandboxes run."""
        return dict(self._found())

    def _found(self) -> Iterator[tuple[int, str]]:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                line = (process / "cmdline").read_bytes()
                own = self._marker.encode()
                if own in line or f"PYBUILD_TEST={self._marker}".encode() in (process / "environ").read_bytes():
                    yield int(process.name), line.replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue

    def groups(self) -> list[str]:
        """Control groups in the parent that is the test's own."""
        return [path for path, _, _ in os.walk("/sys/fs/cgroup") if f"/{PARENT}/" in path]

    def mounts(self) -> list[str]:
        """Mounts that every process of the machine sees."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line for line in lines if str(self._store) in line or "pybuild" in line.split(" - ")[0]]

    def check_nothing_runs(self) -> None:
        wait_for(lambda: not self.processes(), lambda: f"still there: {self.processes()}")
        assert not self.mounts()

    def check_nothing_is_left(self) -> None:
        self.check_nothing_runs()
        assert not self.groups()
        assert not list((self._store / "tmp").iterdir())
        assert not list((self._store / "locks").glob("lease-*"))
        containers = self._store / "containers"
        assert not containers.exists() or not list(containers.iterdir())


# Who is sent which signal: a number of steps up from the sleeping command. Its parent is process 1.
ENDINGS = {
    "interrupted": (4, signal.SIGINT),
    "terminated": (4, signal.SIGTERM),
    "main process killed": (4, signal.SIGKILL),
    "launcher killed": (3, signal.SIGKILL),
    "worker killed": (2, signal.SIGKILL),
    "process 1 killed": (1, signal.SIGKILL),
}


def ancestor(pid: int, steps: int) -> int:
    """The process so many steps up from `pid` (proc_pid_stat(5))."""
    for _ in range(steps):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pybuild]]:
    """The program as root and as an ordinary user, each on a store with a base of busybox."""
    from tests.support.user import ordinary

    directory = tmp_path_factory.mktemp("hygiene")
    (directory / "root").mkdir()
    found = {"root": Pybuild(directory / "root/store", directory / "root"), "user": ordinary(directory / "user")}
    for pybuild in found.values():
        pybuild.base()
    yield found
    for group in Path("/sys/fs/cgroup").glob(f"**/{PARENT}"):
        group.rmdir()


@pytest.fixture
def marker() -> str:
    """Seconds nobody else sleeps."""
    return f"86400.{os.getpid()}{time.monotonic_ns() % 1_000_000:06}"


@pytest.fixture
def program(request: pytest.FixtureRequest, stores: dict[str, Pybuild], marker: str) -> Pybuild:
    found = stores[request.param]
    return replace(found, env={**found.env, "PYBUILD_TEST": marker})


def limits(program: Pybuild) -> tuple[str, ...]:
    """Limits, for who may have them everywhere."""
    return LIMITS if os.geteuid() == 0 and "setpriv" not in program.prefix else ()


def started(program: Pybuild, kind: str, marker: str) -> subprocess.Popen[bytes]:
    """A step or container that sleeps, in the midst of it."""
    if kind == "run":
        process = program.start("run", "--rm", *limits(program), "base", "sleep", marker)
    else:
        program.file("Buildfile", f"FROM base\nRUN touch /half; setsid sleep {marker} & exec sleep {marker}\n")
        process = program.start("build", "--progress", "plain", "--no-cache", *limits(program), ".")
    wait_for(lambda: sleeper(marker) or process.poll() is not None, lambda: "it does not begin")
    assert process.poll() is None, process.communicate()
    return process


def sleeper(marker: str) -> int:
    """The command that sleeps; 0 where it does not yet."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cmdline").read_bytes() == f"sleep\0{marker}\0".encode():
                return int(process.name)
    return 0


CASES = [
    *(("root", kind, ending) for kind in ("build", "run") for ending in ENDINGS),
    # an ordinary user's are the same but for the user namespace around them
    *(("user", "build", ending) for ending in ("terminated", "main process killed", "launcher killed")),
    ("user", "run", "main process killed"),
]


@pytest.mark.parametrize(("program", "kind", "ending"), CASES, indirect=["program"])
def test_after_it_was_stopped(program: Pybuild, kind: str, ending: str, marker: str) -> None:
    host = Host(program, marker)
    process = started(program, kind, marker)
    steps, number = ENDINGS[ending]
    os.kill(ancestor(sleeper(marker), steps), number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0, (out, err)
    assert b"Traceback" not in err and b"internal error" not in err, err.decode()
    host.check_nothing_runs()
    if number != signal.SIGKILL:
        host.check_nothing_is_left()
    if left := program("ps", "-aq").split():  # what a killed `run --rm` could not take away
        program("rm", *left)
    assert program.build(f"FROM base\nRUN ls /half 2>/dev/null; echo {marker}\n", *limits(program)).status == 0
    host.check_nothing_is_left()


@pytest.mark.parametrize("program", ["root", "user"], indirect=True)
def test_after_it_ended_by_itself(program: Pybuild, marker: str) -> None:
    host = Host(program, marker)
    for script, status in (("true", 0), ("exit 3", 1), (f"sleep {marker} & true", 0)):
        assert (
            program.build(
                f"FROM base\nRUN {script}; echo {marker}; {script}\n", "--keep-failed", "0", *limits(program)
            ).status
            == status
        )
        host.check_nothing_is_left()
        done = program.try_("run", "--rm", *limits(program), "base", "sh", "-c", script)
        assert bool(done.returncode) == bool(status)
        host.check_nothing_is_left()


@pytest.mark.parametrize("network", ["default", "none"])
def test_a_step_does_not_read_the_command_that_started_it(pybuild: Pybuild, network: str) -> None:
    """Nor does a container: /proc/1/cmdline is open to all, and build arguments and paths stand in it."""
    pybuild.base()
    text = "FROM base\nARG A\nRUN cat /proc/1/cmdline /proc/*/cmdline | tr '\\0' '\\n' > /seen\n"
    pybuild.build(text, "--network", network, "--build-arg", "A=words of mine", "-t", "app").ok()
    seen = pybuild.shell("app", "cat /seen; cat /proc/1/cmdline", "-e", "B=more words", "--network", network)
    assert "pybuild-init" in seen
    assert "words" not in seen
    assert str(pybuild.root) not in seen
