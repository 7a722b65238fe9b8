"""Ways out of the sandbox, tried: a table of what came of each, as it was accepted, and beside Docker's (runc)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import probe
from tests.support.dockerd import Dockerd
from tests.support.golden import CASES, check
from tests.support.program import Pybuild
from tests.support.user import ordinary, without_ids

Table = dict[str, str]

# One line a reason: where a row of ours may be another than Docker's, in what is stricter or no matter of strength.
DIFFERENT = {
    "process 1 is pybuild's own, and closed to all others": (
        "environment of process 1", "memory of process 1", "program of process 1, to overwrite it",
        "program of process 1, to read it", "trace process 1 (ptrace)", "write /proc/1/oom_score_adj",
    ),
    "a container's host name is no variable of a step": ("environment",),
    "Docker's containers in the host's network have its name": ("host name",),
    "Docker gives no cgroup namespace where control groups are of version 1": (
        "cgroup namespace", "place among control groups (/proc/self/cgroup)",
    ),
    "Docker shows a container its own control groups, we show none": (
        "write /sys/fs/cgroup/cgroup.procs", "write /sys/fs/cgroup/release_agent",
        "write /sys/fs/cgroup/memory/cgroup.procs", "write /sys/fs/cgroup/memory/release_agent",
    ),
    "nodes of devices open nothing on file systems without devices; Docker has its device control group": (
        "mount /", "mount /dev", "open a device node: memory", "open a device node: kernel log",
        "open a device node: first loop device", "open a device node: the host's disk",
    ),
    "an ordinary user's step is in a user namespace": (
        "user namespace", "make a device node: memory", "socket: audit", "/proc/kmsg", "/proc/kpagecount",
        "raw socket: ICMP", "raw socket: packets",
    ),
    "a link BuildKit has too; what it leads to is hidden": ("/dev",),
    "blocked by Docker since its versions 25 to 29": (
        "io_uring_setup", "io_uring_enter", "socket: vsock", "socket: kernel's crypto (AF_ALG)",
    ),
    "hidden by Docker since version 28": ("/proc/interrupts", "/sys/devices/virtual/powercap"),
    "allowed by Docker since version 23: a handle can be had, but not opened": ("ask for a handle",),
    "Docker's containers have net.ipv4.ip_unprivileged_port_start=0": ("a port below 1024",),
}  # fmt: skip
# Without subordinate IDs all users of a step are one to the kernel: USER 1000 keeps the rights of the step's root,
# which end at its user namespace.
ONE_TO_THE_KERNEL = (
    "Groups", "CapEff", "CapPrm", "a capability more: chown", "chroot", "climb out of a chroot", "raw socket: ICMP",
    "raw socket: packets", "set an attribute: mark of overlayfs", "take the mark of overlayfs away",
)  # fmt: skip
# What lets something through; any other outcome of an attempt is a refusal, or shows nothing.
OPEN = ("allowed", "seen", "something", "the host's")
# What --network=host is for. This dockerd is in a network of its own, without what was laid out.
SHARED_BY_CHOICE = ("net namespace", "the host's loopback", "the host's abstract sockets")
# A write refused for the file's mode instead of for its mount: which comes first depends on who asks.
REFUSED_WRITES = ("EACCES", "EROFS")

BUILDFILE = """FROM base
COPY probe /
RUN /probe {facts} > /tmp/none-0
RUN --network=host /probe {facts} > /tmp/host-0
USER 1000
RUN /probe {facts} > /tmp/none-1000
"""
COLUMNS = {"none-0": "", "none-1000": ", USER 1000", "host-0": ", --network=host"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probe")


@pytest.fixture(scope="module")
def facts() -> Iterator[list[str]]:
    with probe.bait() as facts:
        yield facts


@pytest.fixture(scope="module")
def image(directory: Path) -> Pybuild:
    """The program as root, with an image of busybox and the probe, also in the archive probe.tar."""
    pybuild = Pybuild(directory / "store", directory)
    probe.compiled(directory)
    pybuild.base()
    pybuild.build("FROM base\nCOPY probe /\n", "-t", "probe", "-o", "type=docker,dest=probe.tar").ok()
    return pybuild


@pytest.fixture(scope="module")
def tables(directory: Path, image: Pybuild, facts: list[str]) -> dict[str, Table]:
    """What the probe printed in each kind of sandbox."""
    user = ordinary(directory / "user")
    user.base()
    user.file("probe", (directory / "probe").read_bytes(), 0o755)
    found = {}
    no_ids = without_ids(replace(user, root=directory / "user/other"))
    no_ids.base()
    for tier, program in (("root", image), ("ordinary user", user), ("no subordinate IDs", no_ids)):
        told = [*facts, f"DIRECTORY={program.root}"]
        options = ("--network", "none", "--allow", "network.host", "-o", "type=local,dest=out")
        program.build(BUILDFILE.format(facts=" ".join(told)), *options).ok()
        for kind, name in COLUMNS.items():
            found[tier + name] = probe.rows((program.work / "out/tmp" / kind).read_text())
    told = [*facts, f"DIRECTORY={image.root}"]
    found["container"] = probe.rows(image("run", "--rm", "--network", "none", "probe", "/probe", *told))
    image("run", "-d", "--network", "none", "--name", "probed", "probe", "sleep", "86400")
    try:
        found["exec in a container"] = probe.rows(image("exec", "probed", "/probe", *told))
    finally:
        image("rm", "-f", "probed")
    return found


def test_the_table_is_as_it_was_accepted(tables: dict[str, Table], accept: bool) -> None:
    text = formatted(tables)
    print(text)
    assert len(tables["root"]) >= 45
    check(CASES / "probe" / "table.txt", text, accept)


def formatted(tables: dict[str, Table]) -> str:
    """Each attempt with what came of it as root; below it who got something else."""
    lines = []
    for name in dict.fromkeys(name for table in tables.values() for name in table):
        others: dict[str, list[str]] = {}
        for column, table in tables.items():
            others.setdefault(table.get(name, "-"), []).append(column)
        (first, _), *rest = others.items()
        lines.append(f"{name}: {first}")
        lines += [f"    {'; '.join(columns)}: {outcome}" for outcome, columns in rest]
    return "\n".join(lines) + "\n"


def test_nothing_is_weaker_than_dockers(tables: dict[str, Table], image: Pybuild, facts: list[str]) -> None:
    home = image.work / "docker"
    home.mkdir()
    told = ("probe", "/probe", *facts, f"DIRECTORY={home}")
    with Dockerd(home) as docker:
        docker.load(image.work / "probe.tar")
        root = probe.rows(docker.container("--network", "none", *told))
        user = probe.rows(docker.container("--network", "none", "--user", "1000", *told))
        host = probe.rows(docker.container("--network", "host", *told))
    assert {name for names in DIFFERENT.values() for name in names} <= tables["root"].keys() | root.keys(), (
        "a difference of no row"
    )
    wrong = []
    for column, ours in tables.items():
        theirs = user if "USER" in column else host if "host" in column else root
        for name in sorted(ours.keys() | theirs.keys()):
            us, them = ours.get(name, "-"), theirs.get(name, "-")
            if "no subordinate IDs" in column and name in ONE_TO_THE_KERNEL:
                continue
            if not _fits(name, us, them, "host" in column):
                wrong.append(f"{name}, {column}: {us}, with Docker {them}")
    assert not wrong, "\n".join(wrong)


def _fits(name: str, ours: str, theirs: str, shared: bool) -> bool:
    """Whether an outcome is Docker's, or another for a reason that is known, and not weaker."""
    if ours == theirs or (shared and name in SHARED_BY_CHOICE):
        return True
    if name.startswith("write ") and ours in REFUSED_WRITES and theirs in REFUSED_WRITES:
        return True
    excused = any(name in names for names in DIFFERENT.values())
    return excused and (ours not in OPEN or theirs in OPEN)
