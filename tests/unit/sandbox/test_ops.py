"""The plan of a step's mounts."""

from builder.sandbox.ops import mounted_below

MOUNTINFO = """22 1 0:20 / / rw shared:1 - ext4 /dev/vda rw
23 22 0:21 / /sys rw,relatime - sysfs sysfs rw
24 23 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs ro
25 24 0:23 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
26 23 0:7 / /sys/kernel/debug rw - debugfs debugfs rw
27 23 0:7 / /sys/kernel/debug/tracing rw - tracefs tracefs rw
28 23 0:8 / /sys/fs/cgroup2 rw - cgroup2 none rw
29 22 0:9 / /system rw - tmpfs tmpfs rw
"""


def test_what_is_mounted_below_a_directory() -> None:
    assert mounted_below("/sys", MOUNTINFO) == ["fs/cgroup", "fs/cgroup2", "kernel/debug"]
    assert mounted_below("/home", MOUNTINFO) == []
