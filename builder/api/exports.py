"""What a build copies out of its steps: --on-fail-export and --step-export."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from builder.api.nocache import placed_line
from builder.api.session import Session
from builder.errors import NotFoundError, PybuildError, StepFailedError, UsageError
from builder.events import Note, Warned
from builder.export.taken import Taken, parse, take
from builder.graph.vertex import Graph
from builder.image.descriptor import Layer
from builder.request import BuildRequest
from builder.solve.failed import FailedSteps
from builder.solve.result import Stack


class Exports(Struct, frozen=True):
    """What is asked for: of the step that fails, and of vertices that are solved."""

    failed: tuple[Taken, ...]
    steps: tuple[tuple[int, Taken], ...]

    def after(self, session: Session, stacks: Mapping[int, Stack], error: StepFailedError | None = None) -> None:
        """Copy it, when a build has ended with these vertices solved.

        When it ended with `error`, trouble with the copying is a warning; else it is raised.
        """
        for vertex, taken in self.steps:
            if vertex in stacks:
                _take(session, stacks[vertex].layers, (), taken, warn=error is not None)
        if error is None or not self.failed:
            return
        if not error.kept:
            session.emit(Warned("nothing can be exported of the step that failed: its files could not be kept"))
            return
        kept = FailedSteps(session.store.root)
        try:
            step = kept.find(error.kept)
        except NotFoundError as gone:  # another build makes room
            session.emit(Warned(f"nothing can be exported: {gone.message}"))
            return
        for taken in self.failed:
            _take(session, step.layers, (f"{kept.path(step)}/upper",), taken, warn=True)


def exports(request: BuildRequest, graph: Graph, buildfile: str) -> Exports:
    """What `request` asks for. Raises UsageError for what cannot be read, and for steps there are not."""
    steps = [parse(text, named=True) for text in request.step_export]
    if steps and len(graph.targets) > 1:
        raise UsageError("--step-export takes files of a build for one platform", hint="build them one after another")
    return Exports(
        tuple(parse(text, named=False) for text in request.on_fail_export),
        tuple((_vertex(graph, buildfile, taken.step), taken) for taken in steps),
    )


def _take(session: Session, layers: tuple[Layer, ...], above: tuple[str, ...], taken: Taken, *, warn: bool) -> None:
    try:
        take(session.launcher(), session.store.root, layers, above, taken)
    except PybuildError as error:
        if not warn:
            raise
        session.emit(Warned(f"{taken.path} is not exported to {taken.destination}: {error.message}"))
    else:
        session.emit(Note(f"exported {taken.path} to {taken.destination}"))


def _vertex(graph: Graph, buildfile: str, step: str) -> int:
    """The vertex `step` names: the last of a stage, or the one on a line of the Buildfile. Raises UsageError."""
    line = placed_line(step, buildfile, "--step-export")
    if line is not None:
        found = [n for n, vertex in enumerate(graph.vertices) if vertex.origin.line == line]
        what = f"no step of this build is on line {line}"
    else:
        found = [n for n, vertex in enumerate(graph.vertices) if vertex.origin.stage.lower() == step.lower()]
        what = f"no step of this build is in a stage {step}"
    if not found:
        raise UsageError(f"--step-export {step}: {what}", hint="pybuild graph shows the steps")
    return found[-1]
