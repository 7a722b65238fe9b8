"""The examples build and run as their pages say, over the real package registries where they need them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.program import PROGRAM, Pybuild

EXAMPLES = Path(__file__).parents[2] / "examples"
# Both Debian bases in one: most of the time to make one goes into what they share.
PACKAGES = ("gcc", "libc6-dev", "python3", "python3-venv", "python3-pip")


@dataclass(frozen=True)
class Edit:
    """A change of one copied file: what it replaces, the steps that must run then, and what is printed after."""

    file: str
    old: str
    new: str
    ran: tuple[str, ...]
    prints: str


@dataclass(frozen=True)
class Example:
    name: str
    run: tuple[str, ...]
    steps: int
    edit: Edit


HELLO = Example(
    "hello",
    ("hello",),
    3,
    Edit(
        "greet.sh", "Hello", "Hallo",
        ("COPY greet.sh .", "RUN chmod +x greet.sh && ./greet.sh builder > built.txt"), "Hallo, world!\n",
    ),
)  # fmt: skip
GREETER = Example(
    "greeter-c",
    ("greeter-c",),
    5,
    Edit(
        "greeter.c", "Hello", "Hallo",
        ("COPY *.c .", "RUN gcc -O2 -static -Wall -Werror -o greeter greeter.c",
         "RUN ./greeter builder | grep -q builder", "COPY --from=build /src/greeter /greeter"),
        "Hallo, world, from user 12\n",
    ),
)  # fmt: skip
WEB_APP = Example(
    "web-app",
    # in a network of its own: no port of this machine is taken
    ("--network", "none", "web-app", "python3", "app.py", "--once"),
    7,
    Edit("app.py", "Hello", "Hallo", ("COPY app.py .",), "Hallo, world!\n"),
)


def demo(pybuild: Pybuild, directory: Path) -> str:
    """Run a copy of hello's demo with `pybuild` found along PATH; its whole output."""
    shutil.copytree(EXAMPLES / "hello", directory / "hello")
    (directory / "bin").mkdir()
    program = directory / "bin" / "pybuild"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(pybuild.prefix)} "$@"\n')
    program.chmod(0o755)
    env = {**os.environ, **pybuild.env, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [directory / "hello" / "demo.sh"],
        env={**env, "PYBUILD_ROOT": str(pybuild.root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("who", ["pybuild", "as_user"])
def test_the_demo(who: str, request: pytest.FixtureRequest) -> None:
    """By root and by an ordinary user: two builds, of which the second runs nothing, and two greetings."""
    program: Pybuild = request.getfixturevalue(who)
    # Where an ordinary user may not open /dev/net/tun, each run says that it uses this machine's network.
    out = re.sub("WARNING: steps use the host's network.*\n", "", demo(program, program.work))
    counts = re.findall(r"built sha256:([0-9a-f]{64}) hello:latest\n.*; (\d+) of 3 steps cached", out)
    assert [cached for _, cached in counts] == ["0", "3"]
    assert len({image for image, _ in counts}) == 1
    expected = (EXAMPLES / "hello" / "expect.txt").read_text()
    assert f"\n$ pybuild run --rm hello\n{expected}" in out
    assert "\nHello, you!\n" in out
    assert re.search(r"^hello +latest +[0-9a-f]{12} ", out, re.MULTILINE)


def test_hello(pybuild: Pybuild) -> None:
    pybuild("import", "--from-host", "sh,cat,chmod", "hello-base")
    check(pybuild, HELLO)


def test_bake(pybuild: Pybuild) -> None:
    """What its page shows, line by line."""
    shutil.copytree(EXAMPLES / "bake", pybuild.work, dirs_exist_ok=True)
    printed = []
    for line in re.findall(r"^    (.*pybuild .+)$", (EXAMPLES / "bake" / "README.md").read_text(), re.MULTILINE):
        words = shlex.split(line)
        at = words.index("pybuild")
        printed.append(pybuild(*words[at + 1 :], **dict(word.split("=", 1) for word in words[:at])))
    assert [text for text in printed if "!" in text] == ["Hallo, world!\n", "Ciao, world!\n"]


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    """A store with the Debian bases of the examples, made as their pages say."""
    directory = tmp_path_factory.mktemp("debian")
    pybuild = Pybuild(directory / "store", directory)
    env = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "PYBUILD_ROOT": str(pybuild.root)}
    command = [EXAMPLES / "debian-base" / "make-base", "debian-gcc", *PACKAGES]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pybuild("tag", "debian-gcc", "debian-python")
    return pybuild


@pytest.mark.network
@pytest.mark.parametrize("example", [GREETER, WEB_APP], ids=lambda e: e.name)
def test_on_debian(debian: Pybuild, tmp_path: Path, example: Example) -> None:
    check(replace(debian, work=tmp_path / "work"), example)


def test_the_bases_that_pages_name_are_those_the_tests_make() -> None:
    """A base of the tests has the packages of all: a page must not name one more."""
    named = {
        package
        for file in EXAMPLES.glob("*/Buildfile")
        for line in re.findall(r"make-base \S+ (.*)", file.read_text())
        for package in line.split()
    }
    assert named == set(PACKAGES)


def check(pybuild: Pybuild, example: Example) -> None:
    """It prints what it should; a second build runs nothing; an edit runs only what depends on it."""
    shutil.copytree(EXAMPLES / example.name, pybuild.work, dirs_exist_ok=True)
    text = (pybuild.work / "Buildfile").read_text()

    first = pybuild.build(text, "-t", example.name).ok()
    assert (len(first.ran), first.cached) == (example.steps, [])
    assert pybuild("run", "--rm", *example.run) == (EXAMPLES / example.name / "expect.txt").read_text()

    second = pybuild.build(text, "-t", example.name).ok()
    assert second.ran == [], "the second build runs nothing"

    path = pybuild.work / example.edit.file
    path.write_text(path.read_text().replace(example.edit.old, example.edit.new))
    third = pybuild.build(text, "-t", example.name).ok()
    assert tuple(third.ran) == example.edit.ran
    assert pybuild("run", "--rm", *example.run) == example.edit.prints
