"""The manual: a page for each command, which man shows without a warning."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.arch.test_docs import commands, options
from tests.support.program import Pybuild


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the pages."""
    directory = tmp_path_factory.mktemp("man")
    pybuild = Pybuild(directory / "store", directory)
    assert pybuild("man", "share") == "man -l share/man1/pybuild.1\n"
    return directory / "share" / "man1"


def rendered(*pages: Path, device: str) -> str:
    """Pages as a terminal shows them, without emphasis; there must be no warning."""
    command = ["groff", "-man", "-ww", f"-T{device}", "-P-c", "-P-b", "-P-u", "-rLL=100n"]
    done = subprocess.run([*command, *pages], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("device", ["utf8", "ascii"])
def test_pages_have_no_warnings(pages: Path, device: str) -> None:
    found = sorted(pages.iterdir())
    assert {path.stem for path in found} > {f"pybuild-{name.replace(' ', '-')}" for name in commands()}
    assert rendered(*found, device=device).count("SEE ALSO") == len(found)


def test_man_shows_them(pages: Path) -> None:
    for locale in ("C.UTF-8", "C"):
        done = subprocess.run(
            ["man", "--warnings", "-l", pages / "pybuild.1", pages / "pybuild-build.1"],
            env={**os.environ, "LC_ALL": locale, "MANWIDTH": "80", "MANPAGER": "cat"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        assert "Build container images" in done.stdout
    found = subprocess.run(
        ["man", "-M", pages.parent, "-w", "pybuild-cache-mount-ls"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(pages / "pybuild-cache-mount-ls.1")


@pytest.mark.parametrize("name", ["build", "images", "cache mount import", "run"])
def test_a_page_tells_all_of_its_command(pages: Path, name: str) -> None:
    command = commands()[name]
    text = rendered(pages / f"pybuild-{name.replace(' ', '-')}.1", device="ascii")
    flat = " ".join(text.replace("‐", "-").split())
    for option in options(command).values():
        assert option.hidden or re.search(rf"(^|[ ,]){re.escape(option.opts[0])}\b", flat), option.opts
    assert f"pybuild {name}" in flat
    for line, _ in getattr(command, "examples", ()):
        assert line in text


def test_odd_texts_are_no_macros() -> None:
    from builder.cli.manpages import plain

    assert plain(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert plain("'x \\fB--no-cache… é\x1b") == "\\&'x \\efB\\-\\-no\\-cache... \\[u00E9]"


def test_where_they_cannot_be_written(pybuild: Pybuild) -> None:
    pybuild.file("file", "")
    done = pybuild.try_("man", "file")
    assert (done.returncode, "cannot be written" in done.stderr) == (2, True)
