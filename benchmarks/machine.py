"""The machine a result comes from: without it no figure means anything later."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def facts() -> dict[str, str]:
    """What the times depend on besides the programs."""
    return {
        "cpu": _after("/proc/cpuinfo", "model name"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": _after("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.2f}",
        "revision": _revision(),
    }


def _after(path: str, word: str) -> str:
    found = [line.partition(":")[2].strip() for line in Path(path).read_text().splitlines() if line.startswith(word)]
    return found[0] if found else "unknown"


def _revision() -> str:
    """The commit that is measured, with a mark when files differ from it."""
    top = Path(__file__).parents[1]
    command = ["git", "-C", str(top), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
