"""What this machine cannot do faster, measured beside the builders: the floor under every figure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import contexts
from benchmarks.harness import timed
from benchmarks.sizes import Sizes

_SAMPLES = 20
_HEAVY_SAMPLES = 3
BUSYBOX = Path("/bin/busybox")


def limits(directory: Path) -> dict[str, tuple[float, ...]]:
    """Seconds of what starts and steps are made of, many times. `directory` is written to."""
    return {
        "python -c pass": samples([sys.executable, "-c", "pass"]),
        "python -I -S -c pass": samples([sys.executable, "-I", "-S", "-c", "pass"]),
        "fork and exec of true": samples(["/bin/true"]),
        "sh -c 'echo 1 > step'": samples(step(directory)),
    }


def heavy_limits(directory: Path, sizes: Sizes) -> dict[str, tuple[float, ...]]:
    """Seconds of what COPY and archives are made of, on the trees of P3 and P6, made in `directory`."""
    small, big, copy = directory / "small", directory / "big", directory / "copy"
    for path in (small, big):
        path.mkdir(parents=True)
    contexts.fill_small(small, sizes.files)
    contexts.fill_big(big, sizes.big_files, sizes.big_bytes)
    os.sync()
    files, many = f"{sizes.files:,} files", f"{sizes.big_files * sizes.big_bytes / 1e6:.0f} MB"
    return {
        f"walk and stat of {files}": _heavy(lambda: _walk(small)),
        f"tar | sha256sum of {files}": _heavy(lambda: _shell('tar -C "$0" -cf - . | sha256sum', small)),
        f"tar | sha256sum of {many}": _heavy(lambda: _shell('tar -C "$0" -cf - . | sha256sum', big)),
        f"cp -a of {files}": _heavy(lambda: _copy(small, copy)),
        f"cp -a of {many}": _heavy(lambda: _copy(big, copy)),
    }


def step(directory: Path) -> list[str | Path]:
    """A step of the cases as a bare command: its own time is no cost of a builder."""
    return [BUSYBOX, "sh", "-c", f"echo 1 > {directory}/step"]


def samples(command: Sequence[str | Path]) -> tuple[float, ...]:
    """Seconds of whole runs of `command`, after one that warms the page cache."""
    subprocess.run(command, check=True)
    return tuple(timed(subprocess.run, command, check=True) for _ in range(_SAMPLES))


def _heavy(action: Callable[[], object]) -> tuple[float, ...]:
    return tuple(timed(action) for _ in range(_HEAVY_SAMPLES))


def _walk(top: Path) -> None:
    todo = [os.fspath(top)]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)


def _shell(script: str, path: Path) -> None:
    subprocess.run(["sh", "-c", script, path], stdout=subprocess.DEVNULL, check=True)


def _copy(tree: Path, copy: Path) -> None:
    """To a name of its own: what is deleted in between would slow down what is made next (ext4)."""
    number = 0
    while (to := Path(f"{copy}-{number}")).exists():
        number += 1
    subprocess.run(["cp", "-a", tree, to], check=True)
