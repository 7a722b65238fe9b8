"""A fully cached build loads only what it needs: start-up is a feature."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.imports import HEAVY, HEAVY_OURS, HEAVY_WHEN_KNOWN, among
from tests.support.program import Pybuild

MOST_MODULES = 285
# A build that is known needs its parts of the interpreter, SQLite, and a dozen modules of ours.
MOST_ANSWERED = 13
# What shared caches add that need not be asked.
MORE_WITH_CACHES = 20

PROBE = """
import sys
from builder.cli import main
try:
    main.main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print("\\n".join(sorted(sys.modules)))
"""


@pytest.fixture(params=["free", "locked", "shared"])
def loaded(pybuild: Pybuild, request: pytest.FixtureRequest) -> set[str]:
    pybuild.file("a.txt", "content")
    pybuild("import", "--from-host", "sh,cat", "base")
    pybuild.build("FROM base\nARG X=1\nENV Y=${X:-2}\nRUN cat /etc/passwd\nCOPY a.txt /\nCMD sh\n").ok()
    if request.param == "locked":
        pybuild("lock", "--offline")
        pybuild("build", "--locked", ".")  # reads the lock, and remembers what it says
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            PROBE,
            "--root",
            str(pybuild.root),
            "build",
            "--progress",
            "plain",
            "-f",
            "Buildfile",
            *(["--cache-from", "localhost:1/app:cache"] if request.param == "shared" else []),
            ".",
        ],
        cwd=pybuild.work,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "CACHED" in done.stderr
    assert "DONE" not in done.stderr
    assert "is not used" not in done.stderr
    return set(done.stdout.split())


def test_a_cached_build_stays_within_its_import_budget(loaded: set[str]) -> None:
    assert not among(loaded, (*HEAVY, *HEAVY_OURS))
    most = MOST_MODULES + (MORE_WITH_CACHES if "builder.solve.remote" in loaded else 0)
    assert len(loaded) < most, "the warm path has grown: what is new, and is it needed?"


def test_a_build_that_is_known_loads_next_to_nothing(pybuild: Pybuild) -> None:
    pybuild("import", "--from-host", "sh", "base")
    pybuild.file("Buildfile", "FROM base\nRUN true\n")
    start = "from builder.cli.main import main; main()"
    words = ["--root", str(pybuild.root), "build", "-q", "."]

    def loaded() -> list[str]:
        """The modules, without those that the interpreter loads by itself."""
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", start, *words],
            cwd=pybuild.work,
            capture_output=True,
            text=True,
            check=True,
        )
        found = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line]
        return found[found.index("site") + 1 :]

    loaded()
    assert "click" in loaded()
    known = loaded()
    assert "builder.store.answers" in known
    assert not among(known, HEAVY_WHEN_KNOWN)
    assert len([m for m in known if m.startswith("builder")]) <= MOST_ANSWERED
