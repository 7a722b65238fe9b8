"""`python -m benchmarks.imports`: what a start loads; exit status 1 if anything heavy is among it.

The lists are those of tests/arch/test_imports.py too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.base import write_base
from benchmarks.peers.base import BASE, PeerError

# What must never be loaded when nothing runs. Each costs milliseconds that the cached build does not have.
HEAVY = (
    "lark",
    "rich",
    "zstandard",
    "isal",
    "urllib3",
    "elftools",
    "subprocess",
    "tarfile",
    "ssl",
    "http",
    "asyncio",
    "tempfile",
    "shutil",
    "logging",
    "multiprocessing",
    "concurrent",
    "email",
    "importlib.metadata",
    "tomllib",
)
# Modules of ours that only a build that runs something may load.
HEAVY_OURS = (
    "builder.lang.parser",
    "builder.lint",
    "builder.graph.walk",
    "builder.registry",
    "builder.export",
    "builder.runtime",
    "builder.progress.tty",
    "builder.workers",
    "builder.sandbox.launcher",
    "builder.layers.tarread",
)
# What takes time among the rest, and what a build that is known as a whole has no need of.
HEAVY_WHEN_KNOWN = (
    "click",
    "msgspec",
    "typing",
    "re",
    "json",
    "pathlib",
    "hashlib",
    "threading",
    "inspect",
    "struct",
)  # What one that takes files need not load: it has to walk them, and no more.
HEAVY_WITH_FILES = (
    "click",
    "json",
    "pathlib",
    "threading",
    "builder.graph",
    "builder.keys",
    "builder.solve",
)

_START = "from builder.cli.main import main; main()"


class Start(NamedTuple):
    """A command, and which modules it may not load."""

    what: str
    words: tuple[str, ...]
    heavy: tuple[str, ...]


STARTS = (
    Start("--version", ("--version",), (*HEAVY, *HEAVY_OURS)),
    Start("a known build", ("build", "-q", "-f", "Known", "."), (*HEAVY, *HEAVY_OURS, *HEAVY_WHEN_KNOWN)),
    Start("the same, with files", ("build", "-q", "."), (*HEAVY, *HEAVY_OURS, *HEAVY_WITH_FILES)),
    Start("a cached build", ("build", "-q", "-t", "unheard", "."), (*HEAVY, *HEAVY_OURS)),
    Start("cache ls", ("cache", "ls"), (*HEAVY, *HEAVY_OURS)),
)


def among(loaded: Iterable[str], heavy: Sequence[str]) -> list[str]:
    """Those of the modules that are heavy, or lie in a package that is."""
    return [name for name in loaded if any(name == one or name.startswith(f"{one}.") for one in heavy)]


def main() -> int:
    """A line for each command."""
    status = 0
    with tempfile.TemporaryDirectory(prefix="pybuild-imports-") as name:
        directory = Path(name)
        _prepare(directory)
        print(f"{'':24}{'modules':>10}{'ms to load them':>18}")
        for start in STARTS:
            loaded = _loaded(directory, start.words)
            print(f"{start.what:24}{len(loaded):>10}{sum(loaded.values()) / 1000:>18.1f}")
            for bad in among(loaded, start.heavy):
                status = 1
                print(f"    loads {bad}")
    return status


def _prepare(directory: Path) -> None:
    """A store in which two builds are known as a whole: they have been found to be cached before."""
    base = directory / "base.tar"
    write_base(base)
    _run(directory, ("import", str(base), BASE))
    (directory / "file").write_text("content\n")
    (directory / "Buildfile").write_text(f"FROM {BASE}\nRUN echo 1 > /one\nCOPY file /\n")
    (directory / "Known").write_text(f"FROM {BASE}\nRUN echo 1 > /one\n")
    for words in (("-f", "Known"), (), ("-f", "Known"), ()):
        _run(directory, ("build", "-q", *words, "."))


def _loaded(directory: Path, words: Sequence[str]) -> dict[str, int]:
    """What the command loads beside what the interpreter does by itself, with the microseconds of each alone."""
    found = {}
    for line in _run(directory, words).splitlines():
        # "import time:       123 |        456 |   package.module"
        if line.startswith("import time:") and (own := line[12:].split("|")[0].strip()).isdigit():
            found[line.rsplit("|")[-1].strip()] = int(own)
    # All before our own package is the interpreter and its site.
    names = list(found)
    first = names.index("builder")
    return {name: found[name] for name in names[first:]}


def _run(directory: Path, words: Sequence[str]) -> str:
    """A start of pybuild; gives what it says on standard error, and of its imports. Raises PeerError."""
    command = [sys.executable, "-X", "importtime", "-c", _START, "--root", str(directory / "store"), *words]
    done = subprocess.run(command, cwd=directory, env={**os.environ}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerError(f"pybuild {' '.join(words)}: {done.stderr.splitlines()[-1]}")
    return done.stderr


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PeerError as error:
        sys.exit(f"benchmarks: {error}")
