"""Control groups: what the kernel's files say, and what is written where."""

from __future__ import annotations

import pytest

from builder.sandbox.cgroups import Hierarchy, hierarchies, memberships, settings
from builder.sandbox.spec import Resources

MIXED = """\
25 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 25 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 25 0:27 /docker/1 /sys/fs/cgroup/cpu,cpuacct rw shared:5 master:2 - cgroup none rw,cpu,cpuacct
32 25 0:28 / /mnt/with\\040space rw - cgroup2 cgroup2 rw,nsdelegate
"""


def test_hierarchies_of_both_versions_are_found() -> None:
    assert hierarchies(MIXED) == {
        "rw": Hierarchy("/sys/fs/cgroup/cpu,cpuacct", "/docker/1", 1),
        "memory": Hierarchy("/sys/fs/cgroup/memory", "/", 1),
        "cpu": Hierarchy("/sys/fs/cgroup/cpu,cpuacct", "/docker/1", 1),
        "cpuacct": Hierarchy("/sys/fs/cgroup/cpu,cpuacct", "/docker/1", 1),
        "": Hierarchy("/mnt/with space", "/", 2),
    }


def test_memberships_by_controller() -> None:
    assert memberships("4:memory:/a/b\n2:cpu,cpuacct:/c\n0::/user.slice/x:y\n") == {
        "memory": "/a/b", "cpu": "/c", "cpuacct": "/c", "": "/user.slice/x:y",
    }  # fmt: skip


MEMORY = Resources(memory=1000)


@pytest.mark.parametrize(
    ("resources", "version", "expected"),
    [
        (Resources(), 1, {}),
        (Resources(), 2, {}),
        (MEMORY, 1, {"memory": (("memory.limit_in_bytes", "1000"), ("memory.memsw.limit_in_bytes", "2000"))}),
        (MEMORY, 2, {"memory": (("memory.max", "1000"), ("memory.swap.max", "1000"))}),
        (Resources(memory=1000, memory_swap=1000), 2, {"memory": (("memory.max", "1000"), ("memory.swap.max", "0"))}),
        (Resources(memory=1000, memory_swap=-1), 1, {"memory": (("memory.limit_in_bytes", "1000"),)}),
        (Resources(memory=1000, memory_swap=-1), 2, {"memory": (("memory.max", "1000"), ("memory.swap.max", "max"))}),
        (Resources(cpus=1.5), 1, {"cpu": (("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "150000"))}),
        (Resources(cpus=0.01), 2, {"cpu": (("cpu.max", "1000 100000"),)}),
        (Resources(cpu_shares=1024), 1, {"cpu": (("cpu.shares", "1024"),)}),
        (Resources(cpu_shares=1024), 2, {"cpu": (("cpu.weight", "39"),)}),
        (Resources(cpu_shares=2), 2, {"cpu": (("cpu.weight", "1"),)}),
        (Resources(cpu_shares=262144), 2, {"cpu": (("cpu.weight", "10000"),)}),
        (Resources(cpu_quota=5000), 1, {"cpu": (("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "5000"))}),
        (Resources(cpu_period=2000), 1, {"cpu": (("cpu.cfs_period_us", "2000"),)}),
        (Resources(cpu_period=2000), 2, {"cpu": (("cpu.max", "max 2000"),)}),
        (Resources(cpu_period=2000, cpu_quota=5000), 2, {"cpu": (("cpu.max", "5000 2000"),)}),
        (Resources(cpuset_cpus="0,2-3"), 1, {"cpuset": (("cpuset.cpus", "0,2-3"), ("cpuset.mems", ""))}),
        (Resources(cpuset_mems="0"), 2, {"cpuset": (("cpuset.cpus", ""), ("cpuset.mems", "0"))}),
        (Resources(pids=7), 2, {"pids": (("pids.max", "7"),)}),
    ],
)
def test_what_is_written(resources: Resources, version: int, expected: dict[str, object]) -> None:
    assert settings(resources, version) == expected
