"""Registries of shared caches that die, keep waiting or talk nonsense: the build goes well, and says one time why."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from builder.signing.keys import generate
from tests.support.between import CUT, HTML, STALL, Between
from tests.support.program import Pybuild
from tests.support.registry import Registry

TEXT = """FROM base AS build
COPY src /src
RUN cat /src > /all
FROM base
RUN echo one > /one
COPY --from=build /all /all
"""
# The program, but sooner out of patience.
HASTY = """
import builder.registry.exchange, builder.registry.uploads
from builder.remotecache import patience
patience.PATIENCE = patience.STALLED = 1.0
builder.registry.uploads._FIRST_PAUSE = 0.01
from builder.cli.main import main
main()
"""


@pytest.fixture
def program(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    pybuild("save", "-o", "base.tar", "base")
    pybuild.file("src", "content")
    pybuild.file(".dockerignore", "*.tar\n")
    return pybuild


def hasty(program: Pybuild) -> Pybuild:
    return replace(program, prefix=(sys.executable, "-c", HASTY))


@pytest.fixture
def between(tmp_path: Path) -> Iterator[Between]:
    (tmp_path / "registry").mkdir()
    with Registry(tmp_path / "registry") as registry, Between(registry.address) as between:
        yield between


def is_layer(path: str) -> bool:
    return "/blobs/sha256:" in path


def is_index(path: str) -> bool:
    return path.endswith("/manifests/cache")


def built(program: Pybuild, told: str, *arguments: str) -> None:
    done = program.build(TEXT, "-t", "app", *arguments).ok()
    warnings = [line for line in done.err.splitlines() if line.startswith("WARNING")]
    assert [told in line for line in warnings] == [True], done.err
    assert program.shell("app", "cat /one /all") == "one\ncontent"


@pytest.mark.parametrize(
    ("when", "trouble"),
    [("beginning", CUT), ("beginning", STALL), ("beginning", HTML), ("middle", CUT), ("middle", STALL)],
)
def test_a_cache_that_cannot_be_read(program: Pybuild, between: Between, when: str, trouble: str) -> None:
    name = f"{between.address}/app:cache"
    program.build(TEXT, "--cache-to", f"ref={name},mode=max").ok()
    other = replace(program, root=program.root.with_name("other"))
    other("load", "-i", "base.tar")
    count = [0]

    def rule(method: str, path: str) -> str | None:
        if when == "beginning":
            return trouble if is_index(path) else None
        count[0] += method == "GET" and is_layer(path)
        return trouble if method == "GET" and is_layer(path) and count[0] > 2 else None

    between.rule = rule
    built(hasty(other), "is not used", "--cache-from", name)


@pytest.mark.parametrize(
    ("what", "trouble"), [("layers", CUT), ("layers", STALL), ("index", CUT), ("index", HTML), ("index", STALL)]
)
def test_a_cache_that_cannot_be_written(program: Pybuild, between: Between, what: str, trouble: str) -> None:
    def rule(method: str, path: str) -> str | None:
        if what == "layers":
            return trouble if method in ("POST", "PATCH", "PUT") and "/blobs/" in path else None
        return trouble if method in ("PUT", "HEAD") and is_index(path) else None

    between.rule = rule
    built(hasty(program), "is not written", "--cache-to", f"ref={between.address}/app:cache,mode=max")
    assert [m for m, path in between.asked if is_index(path) and m == "GET"], "it was asked what is there"


def test_two_that_write_at_once_lose_nothing(program: Pybuild, between: Between) -> None:
    name = f"{between.address}/app:cache"
    machines = []
    for number in range(3):
        machine = replace(program, root=program.root.with_name(f"m{number}"))
        machine("load", "-i", "base.tar")
        program.file(f"f{number}/Buildfile", f"FROM base\nRUN echo {number} > /n\n")
        machines.append(machine.start("build", "-f", f"f{number}/Buildfile", "--cache-to", f"ref={name}", "."))
    for process in machines:
        _, said = process.communicate()
        assert process.returncode == 0
        assert b"WARNING" not in said
    left = replace(program, root=program.root.with_name("left"))
    left("load", "-i", "base.tar")
    for number in range(3):
        assert left.build(f"FROM base\nRUN echo {number} > /n\n", "--cache-from", name).ok().ran == []


def test_who_is_interrupted_leaves_the_old_cache(program: Pybuild, between: Between) -> None:
    name = f"{between.address}/app:cache"
    program.build(TEXT, "--cache-to", f"ref={name},mode=max").ok()
    program.file("src", "changed")

    def rule(method: str, path: str) -> str | None:
        return STALL if method in ("POST", "PATCH", "PUT") and "/blobs/" in path else None

    between.rule, before = rule, len(between.asked)
    process = program.start("build", "--cache-to", f"ref={name},mode=max", ".")
    while not any(method == "POST" for method, _ in between.asked[before:]):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in said
    between.rule = lambda method, path: None
    other = replace(program, root=program.root.with_name("other"))
    other("load", "-i", "base.tar")
    program.file("src", "content")
    assert other.build(TEXT, "--cache-from", name).ok().ran == []


def test_who_is_interrupted_while_it_fetches_ends(program: Pybuild, between: Between) -> None:
    name = f"{between.address}/app:cache"
    program.build(TEXT, "--cache-to", f"ref={name},mode=max").ok()
    other = replace(program, root=program.root.with_name("other"))
    other("load", "-i", "base.tar")
    begun = len(between.asked)

    def rule(method: str, path: str) -> str | None:
        seen = [path for method, path in between.asked[begun:] if method == "GET" and is_layer(path)]
        return STALL if method == "GET" and len(seen) > 2 else None

    between.rule = rule
    process = other.start("build", "-t", "app", "--cache-from", name, ".")
    while len([path for _, path in between.asked[begun:] if is_layer(path)]) < 3:
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert not list((other.root / "tmp").iterdir())


def test_a_cache_is_used_only_when_it_is_signed(program: Pybuild, between: Between) -> None:
    env = {"COSIGN_PASSWORD": ""}
    for name in ("mine", "other"):
        private, public = generate(b"")
        program.file(f"{name}.key", private)
        program.file(f"{name}.pub", public)
    name = f"{between.address}/app:cache"
    program.build(TEXT, "--cache-to", f"ref={name},mode=max,sign-key=mine.key", **env).ok()
    b = replace(program, root=program.root.with_name("other"))
    b("load", "-i", "base.tar")
    assert b.build(TEXT, "-t", "app", "--cache-from", f"ref={name},verify-key=mine.pub").ok().ran == []
    c = replace(program, root=program.root.with_name("third"))
    c("load", "-i", "base.tar")
    built(c, "not one of the key", "--cache-from", f"ref={name},verify-key=other.pub")
    # Who adds to it without the key takes the signature away.
    text = "FROM base\nRUN echo two > /two\n"
    program.build(text, "--cache-to", f"ref={name},mode=max").ok()
    d = replace(program, root=program.root.with_name("fourth"))
    d("load", "-i", "base.tar")
    built(d, "it is not signed", "--cache-from", f"ref={name},verify-key=mine.pub")
    # Who signs merges only with what was signed by the same key.
    done = program.build(text, "--cache-to", f"ref={name},sign-key=mine.key", **env).ok()
    assert "is written anew: it is not signed" in done.err
    assert json.loads(b("plan", "--json", "--cache-from", f"ref={name},verify-key=mine.pub", "."))["runs"] is False
    assert d.try_("build", "--cache-from", f"ref={name},verify-key=none.pub", ".").returncode == 4
