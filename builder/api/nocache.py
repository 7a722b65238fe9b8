"""Which steps of a build are run though the store has their results: --no-cache and its like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from builder.errors import UsageError, suggestion
from builder.graph.stages import split
from builder.graph.vertex import Graph
from builder.lang import ast
from builder.lang.source import Source
from builder.request import BuildRequest


def ignored(request: BuildRequest, graph: Graph, tree: ast.Buildfile, source: Source) -> frozenset[int]:
    """The vertices of `graph` that are not looked up. Raises UsageError for stages and steps there are not.

    One that the target does not need is none of the graph, and no error: a script may name it for every target.
    """
    if request.no_cache:
        return frozenset(range(len(graph.vertices)))
    stages = {label for text in request.no_cache_filter for label in _labels(text, tree, source)}
    lines = {_line(text, tree, source.name) for text in request.no_cache_step}
    return frozenset(
        number
        for number, vertex in enumerate(graph.vertices)
        if vertex.origin.stage in stages or vertex.origin.line in lines
    )


def placed_line(step: str, buildfile: str, option: str) -> int | None:
    """The line that LINE or FILE:LINE names; None for what is no such text. Raises UsageError for another file."""
    place, colon, number = step.rpartition(":")
    if colon and place not in (buildfile, PurePath(buildfile).name):
        raise UsageError(f"{option} {step}: the Buildfile is {buildfile}")
    # No file has so many lines that more digits were one of them.
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None


def _labels(text: str, tree: ast.Buildfile, source: Source) -> Iterator[str]:
    table = split(tree, source)
    for name in filter(None, (part.strip() for part in text.split(","))):
        found = {stage.label for stage in table.stages if name.lower() == stage.label or name == str(stage.index)}
        if not found:
            known = [stage.label for stage in table.stages]
            hint = f"its stages: {', '.join(known)}"
            raise UsageError(f"--no-cache-filter {name}: there is no such stage", hint=suggestion(name, known, hint))
        yield from found


def _line(text: str, tree: ast.Buildfile, buildfile: str) -> int:
    line = placed_line(text, buildfile, "--no-cache-step")
    if line is None:
        raise UsageError(f"--no-cache-step {text}: that is no line", hint="write LINE or FILE:LINE, as in Buildfile:7")
    for step in tree.instructions:
        layered = isinstance(step, ast.Run | ast.Copy | ast.Add | ast.Workdir)
        if layered and step.span.line <= line <= step.span.end_line:
            return step.span.line
    raise UsageError(f"--no-cache-step {text}: no step is on line {line}", hint="pybuild graph shows the steps")
