"""--squash: one layer in the image where the cache has many, and the same tree."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.podman import Podman
from tests.support.program import Pybuild
from tests.support.tree import Node, tree

BUILDFILE = """FROM base AS one
RUN echo kept > /one && rm /etc/passwd && echo new > /bin/new
ENV A=1
FROM one AS two
RUN rm -r /home && mkdir /home && echo two > /home/two
COPY file /file
FROM two
RUN ln /one /linked && rm /file
WORKDIR /work
RUN echo end > end
"""


@pytest.fixture
def program(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    pybuild.file("file", "x" * 1000)
    return pybuild


def inspected(pybuild: Pybuild, image: str) -> dict[str, Any]:
    return dict(json.loads(pybuild("inspect", image))[0])


def saved(pybuild: Pybuild, image: str) -> bytes:
    return subprocess.run(pybuild.command("save", image), capture_output=True, check=True).stdout


def tree_of(pybuild: Pybuild, image: str, directory: Path) -> dict[str, Node]:
    pybuild("build", "-q", "-f", "-", "-o", f"type=local,dest={directory}", ".", input=f"FROM {image}\n".encode())
    return tree(directory)


@pytest.mark.parametrize(
    ("option", "kept"), [("--squash", 1), ("--squash=one", 2), ("--squash=TWO", 4), ("--squash=1", 4)]
)
def test_layers_above_the_base_or_a_stage_are_one(program: Pybuild, tmp_path: Path, option: str, kept: int) -> None:
    program.build(BUILDFILE, "-t", "plain").ok()
    built = program.build(BUILDFILE, "-t", "flat", option).ok()
    assert not built.ran
    assert f"merged {7 - kept} layers" in built.err
    plain, flat = inspected(program, "plain"), inspected(program, "flat")
    layers = flat["RootFS"]["Layers"]
    assert (layers[:-1], len(layers)) == (plain["RootFS"]["Layers"][:kept], kept + 1)
    assert flat["Config"] == plain["Config"]
    assert tree_of(program, "flat", tmp_path / "flat") == tree_of(program, "plain", tmp_path / "plain")
    history = json.loads(program("history", "--json", "flat"))
    assert len(history) == len(json.loads(program("history", "--json", "plain"))) + 1
    base = {"--squash": "base", "--squash=one": "one"}.get(option, "two")
    assert history[0]["comment"] == f"merge {plain['Id']} to {base}"


def test_again_it_is_the_same_and_nothing_is_merged(program: Pybuild) -> None:
    program.build(BUILDFILE, "-t", "flat", "--squash").ok()
    first = inspected(program, "flat")["Id"]
    again = program.build(BUILDFILE, "-t", "flat", "--squash").ok()
    assert "merged" not in again.err
    assert inspected(program, "flat")["Id"] == first
    program("rmi", "flat")  # with what only the image needed
    anew = program.build(BUILDFILE, "-t", "flat", "--squash").ok()
    assert ("merged 6 layers" in anew.err, anew.ran) == (True, [])
    assert inspected(program, "flat")["Id"] == first


def test_all_of_it_down_to_nothing(program: Pybuild, tmp_path: Path) -> None:
    program.build(BUILDFILE, "-t", "plain").ok()
    program.build(BUILDFILE, "-t", "flat", "--squash=scratch").ok()
    flat, plain = inspected(program, "flat"), inspected(program, "plain")
    assert len(flat["RootFS"]["Layers"]) == 1
    assert json.loads(program("history", "--json", "flat"))[0]["comment"] == f"create new from {plain['Id']}"
    assert tree_of(program, "flat", tmp_path / "flat") == tree_of(program, "plain", tmp_path / "plain")


def test_each_image_of_an_index(program: Pybuild) -> None:
    text = "FROM scratch\nARG TARGETARCH\nCOPY file /${TARGETARCH}\nCOPY file /b\nWORKDIR /c\n"
    platforms = ("linux/amd64", "linux/arm64")
    for name in ("plain", "flat"):
        options = ("--squash",) if name == "flat" else ()
        program.build(text, "-t", name, "--platform", ",".join(platforms), *options).ok()
    for platform in platforms:
        (found,) = json.loads(program("inspect", "--platform", platform, "flat"))
        assert len(found["RootFS"]["Layers"]) == 1
        for name in ("plain", "flat"):
            program("export", "--platform", platform, "-o", f"{name}.tar", name)
        assert (program.work / "plain.tar").read_bytes() == (program.work / "flat.tar").read_bytes()


def test_one_layer_is_left_as_it_is(program: Pybuild) -> None:
    text = "FROM base\nRUN echo > /one\nENV A=1\n"
    program.build(text, "-t", "plain").ok()
    program.build(text, "-t", "flat", "--squash").ok()
    assert inspected(program, "flat")["Id"] == inspected(program, "plain")["Id"]


def test_a_build_that_continues_from_it_sees_the_same(program: Pybuild) -> None:
    program.build(BUILDFILE, "-t", "flat", "--squash").ok()
    built = program.build("FROM flat\nRUN cat /one /home/two; ls /home; ls /file /etc/passwd || true\n").ok()
    assert re.search(r"kept\n.*two\n.*two\n", built.err)
    assert built.err.count("No such file") == 2


@pytest.mark.parametrize("name", ["nowhere", "3", "side"])
def test_a_stage_that_is_not_below_is_refused_before_anything_runs(program: Pybuild, name: str) -> None:
    built = program.build(f"FROM base AS side\nRUN true\n{BUILDFILE}", f"--squash={name}")
    assert (built.status, built.ran) == (2, [])
    assert f"--squash={name}: the stage stage-3 does not begin as such a one" in built.err
    assert "it can be two, one, scratch" in built.err


def test_podman_sees_the_tree_of_the_layers(program: Pybuild, tmp_path: Path) -> None:
    program.build(BUILDFILE, "-t", "plain").ok()
    program.build(BUILDFILE, "-t", "flat", "--squash").ok()
    with Podman() as podman:
        for image in ("plain", "flat"):
            podman("load", input=saved(program, image))
        with podman.mounted("plain") as plain, podman.mounted("flat") as flat:
            assert tree(plain) == tree(flat)


def test_with_an_epoch_two_stores_merge_to_the_same_layer(program: Pybuild, tmp_path: Path) -> None:
    other = Pybuild(tmp_path / "other", program.work)
    other("load", input=saved(program, "base"))
    ids = set()
    for one in (program, other):
        one.build(BUILDFILE, "-t", "flat", "--squash", "--source-date-epoch", "1000000000").ok()
        ids.add(inspected(one, "flat")["Id"])
    assert len(ids) == 1
