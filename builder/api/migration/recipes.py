"""A Dockerfile: what of it cannot be built here, what it needs besides, and which images it begins with.

It is read and lowered as a build does that, stage by stage, with base images of which nothing is known but the name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from builder.api.migration.files import Found
from builder.api.migration.finding import Finding, wrong
from builder.digest import Digest
from builder.errors import PybuildError
from builder.graph.lower import Base, LowerOptions, lower
from builder.graph.stages import split
from builder.graph.vertex import BaseImage, Graph, Run
from builder.image.config import ImageConfig
from builder.image.platform import Platform, host
from builder.lang import ast, directives
from builder.lang.parser import parse
from builder.lang.source import Source
from builder.solve.ops import entitlements

# What stands for the value of an argument that has none.
_GIVEN = "given-when-it-is-built"
# Arguments that have one of their own.
_OF_PLATFORMS = re.compile(r"(TARGET|BUILD)(PLATFORM|OS|ARCH|VARIANT|STAGE)\Z|SOURCE_DATE_EPOCH\Z|BUILDKIT_")
# Front ends that are the language itself.
_FRONT_END = re.compile(r"(docker\.io/)?docker/dockerfile(-upstream)?(:[\w.-]+)?(@sha256:[0-9a-f]{64})?\Z")
_PATH = (("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),)
# What commands of a RUN need that no step has here: a pattern, what is so, what to do.
_COMMANDS = (
    (
        r"\b(docker|podman|buildah)\s+(build|buildx|run|pull|push|compose)\b|/var/run/docker\.sock",
        "a step reaches no container engine",
        "build that image by a stage of its own, or before this one",
    ),
    (r"\bmknod\b", "steps make no device nodes", "have them made where the container is started"),
    (
        r"(^|[;&|]\s*|\bsudo\s+)(mount|losetup|modprobe|insmod|sysctl\s+-w)\s",
        "it needs privileges that steps have not, as with docker build",
        "RUN --security=insecure, with --allow security.insecure; an ordinary user's gives no rights over the host",
    ),
)


class Needed(Struct, frozen=True):
    """A base image: its name, the platform it is wanted for, and where it stands."""

    reference: str
    platform: Platform
    file: str
    line: int


class Recipe(Struct, frozen=True):
    """What was found in a Buildfile, and which base images it names."""

    findings: tuple[Finding, ...]
    images: tuple[Needed, ...] = ()


class _AnyImage:
    """A resolver for which every image is there, and says nothing."""

    def base(self, reference: str, platform: Platform) -> Base:
        return Base(reference, Digest.of(reference.encode()), ImageConfig(platform, env=_PATH))


def looked_at(found: Found, runnable: Collection[str]) -> Recipe:
    """What is to be told of a Buildfile where programs of the architectures `runnable` can run."""
    source = Source(found.path, found.text)
    try:
        syntax = directives.read(source, found.text.splitlines()).syntax
        if syntax is not None and not _FRONT_END.match(syntax.strip()):
            return Recipe((_other(found.path, syntax),))
        tree = parse(source)
        stages = split(tree, source).stages
    except PybuildError as error:
        return Recipe((wrong(found.path, "syntax", error),))
    findings = [] if syntax is None else [_built_in(found.path, syntax)]
    findings += _commands(source, tree)
    images: dict[Needed, None] = {}
    for number in range(len(stages)):
        try:
            graph = _lowered(tree, source, str(number))
        except PybuildError as error:
            findings.append(wrong(found.path, "instruction", error))
            continue
        findings += _graph(found.path, graph, runnable)
        images |= dict.fromkeys(_images(found.path, graph))
    return Recipe(tuple(findings), tuple(images))


def _lowered(tree: ast.Buildfile, source: Source, target: str) -> Graph:
    """The graph of a stage; where it cannot be had without values that are given at a build, with some."""
    options = LowerOptions(platform=host(), build_platform=host(), target=target)
    try:
        return lower(tree, source, options, _AnyImage())
    except PybuildError:
        given = dict.fromkeys(_lacking(tree), _GIVEN)
        with suppress(PybuildError):
            return lower(tree, source, replace(options, build_args=given), _AnyImage())
        raise


def _built_in(file: str, syntax: str) -> Finding:
    return Finding(file, 1, "note", "frontend", f"# syntax={syntax} is not fetched: the language is built in")


def _other(file: str, syntax: str) -> Finding:
    return Finding(
        file,
        1,
        "error",
        "frontend",
        f"# syntax={syntax} is another language, and no front ends are run",
        "write a Dockerfile in its place, or have its program write one",
    )


def _commands(source: Source, tree: ast.Buildfile) -> Iterator[Finding]:
    for instruction in tree.instructions:
        if not isinstance(instruction, ast.Run):
            continue
        for number in range(instruction.span.line, instruction.span.end_line + 1):
            line = source.line(number).removeprefix(instruction.written).strip()
            for pattern, message, hint in _COMMANDS:
                if re.search(pattern, line) and not line.startswith("#"):
                    yield Finding(source.name, number, "warning", "command", message, hint)


def _graph(file: str, graph: Graph, runnable: Collection[str]) -> Iterator[Finding]:
    for text, place in graph.warnings:
        line = place.rpartition(":")[2]
        yield Finding(file, int(line) if line.isdigit() else 0, "warning", "instruction", text)
    for vertex in graph.vertices:
        for name in entitlements(vertex):
            yield Finding(
                file, vertex.origin.line, "warning", "entitlement", f"the step needs {name}", f"give --allow {name}"
            )
        if isinstance(vertex, Run) and vertex.platform.architecture not in runnable:
            yield Finding(
                file,
                vertex.origin.line,
                "error",
                "platform",
                f"this machine runs nothing made for {vertex.platform}",
                "install qemu-user-static; pybuild doctor shows what can be run",
            )


def _lacking(tree: ast.Buildfile) -> Iterator[str]:
    """The arguments without a value: whoever builds gives them, as with Docker."""
    for instruction in tree.instructions:
        if isinstance(instruction, ast.Arg):
            yield from (
                pair.key for pair in instruction.pairs if pair.value is None and not _OF_PLATFORMS.match(pair.key)
            )


def _images(file: str, graph: Graph) -> Iterator[Needed]:
    for vertex in graph.vertices:
        if isinstance(vertex, BaseImage) and _GIVEN not in vertex.reference:
            yield Needed(vertex.reference, vertex.platform, file, vertex.origin.line)
