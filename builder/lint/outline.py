"""What a target takes (arguments, secrets, agents, cache mounts) and which targets a file has, with descriptions.

A description is the comment right above an ARG or a FROM that begins with the name it describes.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from builder.graph.stages import Stage, StageTable
from builder.graph.walk import Line, Walk
from builder.lang import ast
from builder.lang.source import Source
from builder.lint.report import Document, Location, location


class Argument(Document, frozen=True):
    """A build argument and its value, a given one or the default."""

    name: str
    description: str = ""
    value: str = ""
    location: Location = Location()


class Needed(Document, frozen=True):
    """A secret or an SSH agent by its id."""

    name: str
    required: bool = False
    location: Location = Location()


class CacheMount(Document, frozen=True, rename=None):
    """A cache mount by its id."""

    ID: str
    location: Location = Location()


class Outline(Document, frozen=True):
    """All that a target takes."""

    name: str = ""
    description: str = ""
    args: tuple[Argument, ...] = ()
    secrets: tuple[Needed, ...] = ()
    ssh: tuple[Needed, ...] = ()
    cache: tuple[CacheMount, ...] = ()
    sources: tuple[bytes, ...] = ()


class Target(Document, frozen=True):
    """A stage one can build. The default one is the last."""

    name: str = ""
    default: bool = False
    description: str = ""
    base: str = ""
    platform: str = ""
    location: Location = Location()


class Targets(Document, frozen=True):
    """The stages of a file."""

    targets: tuple[Target, ...]
    sources: tuple[bytes, ...]


def targets(table: StageTable, source: Source) -> Targets:
    """The stages of a file in order."""
    last = table.stages[-1]
    return Targets(
        tuple(
            Target(
                stage.name,
                stage is last,
                _description(stage.origin, stage.name),
                stage.origin.image,
                stage.origin.platform or "",
                _lines(stage.origin),
            )
            for stage in table.stages
        ),
        _sources(source),
    )


def outline(target: Stage, reached: frozenset[int], walk: Walk, source: Source) -> Outline:
    """What `target` takes, the stages it needs included. Of what is named twice the last is shown."""
    lines = [line for line in walk.lines if line.stage.index in reached]
    mounts = [(line, mount) for line in lines for mount in line.mounts]
    secrets: dict[str, Needed] = {}
    agents: dict[str, Needed] = {}
    caches: dict[str, CacheMount] = {}
    for line, mount in mounts:
        place = _lines(line.instruction)
        if mount.type == "secret":
            name = mount.id or mount.source or posixpath.basename(mount.target)
            secrets[name] = Needed(name, mount.required, place)
        elif mount.type == "ssh":
            agents[mount.id or "default"] = Needed(mount.id or "default", mount.required, place)
        elif mount.type == "cache":
            name = mount.id or posixpath.normpath(mount.target)
            caches[name] = CacheMount(name, place)
    return Outline(
        target.name,
        _description(target.origin, target.name),
        _arguments(reached, walk, lines),
        tuple(secrets.values()),
        tuple(agents.values()),
        tuple(caches.values()),
        _sources(source),
    )


def _arguments(reached: frozenset[int], walk: Walk, lines: list[Line]) -> tuple[Argument, ...]:
    """Those that stages declare, and those before the first FROM that a FROM, or such a one, uses."""
    outer = {a.name: (_argument(a.instruction, a.name, a.value), a.used) for a in walk.arguments}
    found: dict[str, Argument] = {}
    todo = []
    for entry in walk.entries:
        if entry.stage.index in reached:
            todo += [*entry.image.used, *(entry.platform.used if entry.platform else ())]
    for line, pair, value in _declared(lines):
        inherited = pair.value is None and pair.key not in walk.outer.given and pair.key in walk.outer.visible
        if inherited:
            todo.append(pair.key)
        else:
            found[pair.key] = _argument(line.instruction, pair.key, value)
    while todo:
        name = todo.pop()
        if name in outer and name not in found:
            found[name], used = outer[name]
            todo += used
    return tuple(sorted(found.values(), key=lambda argument: argument.location.ranges[0].start.line))


def _declared(lines: list[Line]) -> Iterator[tuple[Line, ast.Pair, str | None]]:
    for line in lines:
        if isinstance(line.instruction, ast.Arg):
            for pair, value in zip(line.instruction.pairs, line.values, strict=True):
                yield line, pair, value


def _argument(instruction: ast.AnyInstruction, name: str, value: str | None) -> Argument:
    return Argument(name, _description(instruction, name), value or "", _lines(instruction))


def _description(instruction: ast.AnyInstruction, name: str) -> str:
    starts = f"{name} "
    found = (comment for comment in instruction.comments if name and comment.startswith(starts))
    return next(found, "").removeprefix(starts)


def _lines(instruction: ast.AnyInstruction) -> Location:
    return location(instruction.span.line, instruction.span.end_line)


def _sources(source: Source) -> tuple[bytes, ...]:
    return (source.text.encode(errors="surrogateescape"),)
