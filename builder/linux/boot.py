"""Which boot of this machine this is (random(4), /proc/sys/kernel/random/boot_id)."""

from __future__ import annotations


def boot_id() -> str:
    """An ID that is another one after each boot."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
