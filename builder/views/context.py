"""What a build reads of its contexts, file by file, and why it reads a path or not. Nothing is read for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from builder.errors import PybuildError
from builder.graph.vertex import BindMount, Copy, Graph, Run
from builder.layers.copyjob import Choice
from builder.layers.entry import Kind
from builder.sources.context import Context


class ContextRow(Struct, frozen=True):
    """One file (or link) a build reads, `size` in bytes, and the places in the Buildfile that take it.

    `context` is the name of a named context, empty for the main one.
    """

    context: str
    path: str
    size: int
    taken_by: tuple[str, ...]


class Why(Struct, frozen=True):
    """What becomes of a path of the main context. `hidden_by` is a line of the ignore file, as `file:line (rule)`."""

    path: str
    exists: bool
    hidden_by: str | None
    taken_by: tuple[str, ...]


def rows(graph: Graph, contexts: Mapping[str, Context], buildfile: str) -> list[ContextRow]:
    """All files the build of `graph` reads, by context and path. Raises NotFoundError for a source that is missing."""
    sizes: dict[tuple[str, str], int] = {}
    takers: dict[tuple[str, str], list[str]] = {}
    for place, name, choice in _choices(graph, buildfile):
        for entry, size in contexts[name].listed(choice):
            if entry.kind is Kind.DIRECTORY:
                continue
            key = (name, entry.path)
            sizes[key] = size
            if place not in takers.setdefault(key, []):
                takers[key].append(place)
    return [ContextRow(*key, sizes[key], tuple(takers[key])) for key in sorted(sizes)]


def why(graph: Graph, contexts: Mapping[str, Context], buildfile: str, path: str) -> Why:
    """What becomes of `path`, relative to the main context or below it on this machine."""
    context = contexts[""]
    inside = context.inside(path)
    rule = context.ignore.hiding(inside)
    taken = []
    for place, name, choice in _choices(graph, buildfile):
        if not name and place not in taken and _takes(context, choice, inside):
            taken.append(place)
    return Why(inside, context.exists(inside), None if rule is None else context.ignore.place(rule), tuple(taken))


def _takes(context: Context, choice: Choice, path: str) -> bool:
    for pattern in choice.patterns:
        one = Choice((pattern,), choice.exclude, choice.parents)
        try:
            entries = context.listed(one)
        except PybuildError:
            continue  # that it names nothing is the build's to say
        if any(entry.path == path or entry.path.startswith(path + "/") for entry, _ in entries):
            return True
    return False


def _choices(graph: Graph, buildfile: str) -> Iterator[tuple[str, str, Choice]]:
    """Place in the Buildfile, name of the context, and what is chosen of it, for all that reads a context."""
    for vertex in graph.vertices:
        match vertex:
            case Copy(origin=origin, context=name, also=also):
                for source, paths in ((vertex.source, vertex.paths), *((part.source, part.paths) for part in also)):
                    if source is None and paths:
                        yield f"{buildfile}:{origin.line}", name, Choice(paths, vertex.exclude, vertex.parents)
            case Run(origin=origin, mounts=mounts):
                for mount in mounts:
                    if isinstance(mount, BindMount) and mount.origin is None:
                        yield f"{buildfile}:{origin.line}", mount.context, Choice((mount.source,))
            case _:
                pass
