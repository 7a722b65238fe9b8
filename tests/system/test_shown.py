"""Every command line that a page shows is run, in a project that has what the pages talk of."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arch.test_docs import PAGES, TOP, fenced
from tests.support.program import PROGRAM, Pybuild
from tests.support.registry import Registry
from tests.support.rootfs import busybox_rootfs

# Blocks that are called so and have a name are run with what they print: test_tutorial.py, test_examples.py.
WITH_OUTPUT = "console "
# Lines that end otherwise than with 0, as their pages say.
ENDS = {"PYBUILD_POINT": (7, 137)}
BUILDFILE = """\
FROM tools
COPY . /src
RUN --mount=type=cache,id=pip,target=/pip ls > /pip/known
RUN make
"""


def shown(page: Path) -> list[str]:
    """The lines after `$` in the page's blocks, but for those that are run with what they print."""
    bodies = (body for info, body in fenced(page) if not info.startswith(WITH_OUTPUT))
    return [line for body in bodies for line in re.findall(r"^\$ (.+)$", body, re.MULTILINE)]


LINES = [(page, line) for page in PAGES for line in shown(page) if page.parent.parent.name != "examples"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pybuild, dict[str, str]]]:
    """The program in a project, and the words of the pages that mean something else here."""
    top = tmp_path_factory.mktemp("shown")
    pybuild = Pybuild(top / "store", top / "app")
    pybuild.work.mkdir()
    pybuild("import", "-", "busybox", input=busybox_rootfs())
    pybuild("import", "--from-host", "sh,cat,chmod", "hello-base")
    pybuild.file("tools/make", "#!/bin/sh\nls > /made\n", 0o755)
    pybuild.file("tools/Buildfile", "FROM busybox\nCOPY make /bin/make\n")
    pybuild("-t", "tools", "tools")
    pybuild.file("Buildfile", BUILDFILE)
    pybuild.file(".dockerignore", "*.tar\nci-cache\ntrace\n")
    pybuild("-t", "app", "-t", "hello", ".")
    pybuild.file("bin/ssh", '#!/bin/sh\nshift\nexec sh -c "$*"\n', 0o755)  # another machine, which is this one
    shutil.copytree(TOP / "examples/hello", pybuild.work / "examples/hello")
    (top / "registry").mkdir()
    with Registry(top / "registry") as registry:
        yield pybuild, {"REGISTRY/": f"{registry.address}/", "/var/lib/pybuild": str(pybuild.root)}


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{page.name}: {line}" for page, line in LINES])
def test_a_line_that_is_shown(project: tuple[Pybuild, dict[str, str]], page: Path, line: str) -> None:
    pybuild, words = project
    if line == "pybuild logs":  # of the build that failed right before
        assert pybuild.try_("-f", "-", ".", input=b"FROM tools\nRUN false\n").returncode == 1
    for word, meaning in words.items():
        line = line.replace(word, meaning)
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=pybuild.work,
        env={
            **os.environ,
            "PATH": f"{pybuild.work}/bin:{PROGRAM.parent}:{os.environ['PATH']}",
            "PYBUILD_ROOT": str(pybuild.root),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    expected = next((ends for word, ends in ENDS.items() if word in line), (0,))
    assert done.returncode in expected, f"{page.name}: $ {line}\n{done.stdout}{done.stderr}"


def test_there_are_some() -> None:
    assert len(LINES) > 20
