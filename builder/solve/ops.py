"""Per vertex kind, two questions: what of the build context goes into its key, and what its task is."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from builder.digest import Digest
from builder.graph.vertex import BaseImage, Copy, InlineFile, Run, Scratch, Vertex, VertexId, Workdir
from builder.layers.copyjob import CopyJob, Inline
from builder.sandbox.spec import FileMount, Network, StepSpec
from builder.solve.result import Stack
from builder.solve.worker import CopyTask, DirectoryTask, RunTask, Task
from builder.sources.context import Context, Selection


def selection(vertex: Vertex, context: Context) -> Selection | None:
    """What `vertex` takes from the build context; None when it takes nothing."""
    if isinstance(vertex, Copy) and vertex.source is None and vertex.paths:
        return context.select(vertex.paths)
    return None


def files_digest(chosen: Selection | None) -> Digest | None:
    """The part of a selection that goes into a key."""
    return None if chosen is None else chosen.digest


def task(
    vertex: Vertex,
    chosen: Selection | None,
    stack_of: Callable[[VertexId], Stack],
    resolver_files: Callable[[], tuple[FileMount, ...]],
) -> Task:
    """The work of `vertex`; base images have none."""
    match vertex:
        case Run():
            return RunTask(_spec(vertex, resolver_files()))
        case Copy():
            source = None if vertex.source is None else stack_of(vertex.source).layers
            return CopyTask(_job(vertex, chosen), source)
        case Workdir(path=path, user=user):
            return DirectoryTask(path, user)
        case Scratch() | BaseImage():
            raise ValueError(f"{type(vertex).__name__} is looked up, never run")
        case _ as unreachable:
            assert_never(unreachable)


def _spec(vertex: Run, resolver_files: tuple[FileMount, ...]) -> StepSpec:
    scripts = tuple(FileMount(f"/dev/pipes/{script.name}", script.content, 0o755) for script in vertex.scripts)
    return StepSpec(
        argv=vertex.argv,
        env=tuple(sorted({**dict(vertex.proxy_env), **dict(vertex.env)}.items())),
        cwd=vertex.cwd,
        user=vertex.user,
        network=Network(vertex.network),
        mounts=(*resolver_files, *scripts),
    )


def _job(vertex: Copy, chosen: Selection | None) -> CopyJob:
    return CopyJob(
        destination=vertex.destination,
        context="" if chosen is None else chosen.root,
        sources=() if chosen is None else chosen.sources,
        patterns=() if vertex.source is None else vertex.paths,
        inline=tuple(map(_inline, vertex.inline)),
        chown=vertex.chown,
        chmod=vertex.chmod,
        unpack=vertex.unpack,
    )


def _inline(file: InlineFile) -> Inline:
    return Inline(file.name, file.content)
