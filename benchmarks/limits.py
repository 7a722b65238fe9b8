"""What this machine cannot do faster, measured beside the builders: the floor under every figure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import timed

_SAMPLES = 20
BUSYBOX = Path("/bin/busybox")


def limits(directory: Path) -> dict[str, tuple[float, ...]]:
    """Seconds of each limit, many times. `directory` is written to."""
    return {
        "python -c pass": samples([sys.executable, "-c", "pass"]),
        "python -I -S -c pass": samples([sys.executable, "-I", "-S", "-c", "pass"]),
        "fork and exec of true": samples(["/bin/true"]),
        "sh -c 'echo 1 > step'": samples(step(directory)),
    }


def step(directory: Path) -> list[str | Path]:
    """A step of the cases as a bare command: its own time is no cost of a builder."""
    return [BUSYBOX, "sh", "-c", f"echo 1 > {directory}/step"]


def samples(command: Sequence[str | Path]) -> tuple[float, ...]:
    """Seconds of whole runs of `command`, after one that warms the page cache."""
    subprocess.run(command, check=True)
    return tuple(timed(subprocess.run, command, check=True) for _ in range(_SAMPLES))
