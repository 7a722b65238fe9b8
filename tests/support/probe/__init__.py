"""The escape probe: a program that tries to see or touch the host (probe.c), and what it needs to know of the host."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_SOURCE = Path(__file__).parent / "probe.c"
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
_HIERARCHIES = ("/sys/fs/cgroup/pids", "/sys/fs/cgroup")


def compiled(directory: Path) -> Path:
    """The program: static, so that it runs in any image."""
    program = directory / "probe"
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Werror", "-o", program, _SOURCE], check=True)
    return program


@contextmanager
def bait() -> Iterator[list[str]]:
    """Things of this host a sandbox must not reach, and what the probe is told of them (FACT=VALUE)."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bait-")))
        directory.chmod(0o755)
        (directory / "secret").write_text("secret")
        name = f"{directory.name}.{os.getpid()}"
        sentinel = stack.enter_context(subprocess.Popen(["sh", "-c", "read line", name], stdin=subprocess.PIPE))
        stack.callback(sentinel.kill)
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0{name}")
        abstract.listen()
        loopback = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        group = _group(name)
        stack.callback(group.rmdir)
        major, minor = _disk()
        yield [
            f"SECRET={directory}/secret", f"PID={sentinel.pid}", f"SENTINEL={name}", f"ABSTRACT={name}",
            f"PORT={loopback.getsockname()[1]}", f"CGROUP={name}", f"MAJOR={major}", f"MINOR={minor}",
            f"HOSTNAME={socket.gethostname()}",
            *(f"NS_{kind}={os.readlink(f'/proc/self/ns/{kind}')}" for kind in _NAMESPACES),
        ]  # fmt: skip


def rows(text: str) -> dict[str, str]:
    """The table the probe printed."""
    return dict(line.split("\t", 1) for line in text.splitlines())


def _group(name: str) -> Path:
    top = next(path for path in map(Path, _HIERARCHIES) if (path / "cgroup.procs").exists())
    group = top / name
    group.mkdir()
    return group


def _disk() -> tuple[str, str]:
    """The first disk of this machine: where it has none, the first loop device."""
    lines = [line.split() for line in Path("/proc/partitions").read_text().splitlines()[2:]]
    return (lines[0][0], lines[0][1]) if lines else ("7", "0")
