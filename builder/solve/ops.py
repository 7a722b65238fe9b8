"""Per vertex kind, two questions: what from outside the graph goes into its key, and what its task is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_never

from builder.graph.vertex import (
    BaseImage,
    Copy,
    GitTree,
    InlineFile,
    Run,
    Scratch,
    UrlFile,
    Vertex,
    VertexId,
    Workdir,
)
from builder.layers.copyjob import Choice, CopyJob, Inline
from builder.request import NETWORK_HOST, SECURITY_INSECURE
from builder.sandbox.spec import FileMount, Network, StepSpec
from builder.solve import mounts
from builder.solve.result import Stack
from builder.solve.worker import CopyTask, DirectoryTask, RunTask, Task
from builder.sources.context import Context, Selection
from builder.sources.secrets import Secrets


def outside(vertex: Vertex, contexts: Mapping[str, Context]) -> tuple[Selection, ...]:
    """What `vertex` takes from build contexts, in the order it names them."""
    match vertex:
        case Copy(source=None, paths=paths) if paths:
            return (contexts[vertex.context].select(_choice(vertex)),)
        case Run():
            return mounts.selections(vertex, contexts)
        case _:
            return ()


def task(
    vertex: Vertex,
    chosen: tuple[Selection, ...],
    stack_of: Callable[[VertexId], Stack],
    resolver_files: Callable[[], tuple[FileMount, ...]],
    secrets: Secrets,
) -> Task:
    """The work of `vertex`; base images have none."""
    match vertex:
        case Run():
            step = _spec(vertex, resolver_files(), mounts.secret_variables(vertex, secrets))
            return RunTask(step, mounts.step_mounts(vertex, chosen, stack_of, secrets))
        case Copy():
            source = None if vertex.source is None else stack_of(vertex.source).layers
            return CopyTask(_job(vertex, chosen[0] if chosen else None), source, vertex.link)
        case Workdir(path=path, user=user, mtime=mtime):
            return DirectoryTask(path, user, mtime)
        case Scratch() | BaseImage():
            raise ValueError(f"{type(vertex).__name__} is looked up, never run")
        case UrlFile() | GitTree():
            raise NotImplementedError
        case _ as unreachable:
            assert_never(unreachable)


def entitlements(vertex: Vertex) -> tuple[str, ...]:
    """What the user must have granted before `vertex` may run."""
    if not isinstance(vertex, Run):
        return ()
    needed = {NETWORK_HOST: vertex.network == "host", SECURITY_INSECURE: vertex.security == "insecure"}
    return tuple(name for name, is_needed in needed.items() if is_needed)


def _spec(vertex: Run, resolver_files: tuple[FileMount, ...], secret: Mapping[str, str]) -> StepSpec:
    scripts = tuple(FileMount(f"/dev/pipes/{script.name}", script.content, 0o755) for script in vertex.scripts)
    return StepSpec(
        argv=vertex.argv,
        env=tuple(sorted({**dict(vertex.proxy_env), **dict(vertex.env), **secret}.items())),
        cwd=vertex.cwd,
        user=vertex.user,
        network=Network(vertex.network),
        mounts=(*resolver_files, *scripts),
        insecure=vertex.security == "insecure",
    )


def _job(vertex: Copy, chosen: Selection | None) -> CopyJob:
    return CopyJob(
        destination=vertex.destination,
        context="" if chosen is None else chosen.root,
        sources=() if chosen is None else chosen.sources,
        choice=_choice(vertex),
        inline=tuple(map(_inline, vertex.inline)),
        chown=vertex.chown,
        chmod=vertex.chmod,
        unpack=vertex.unpack,
        mtime=vertex.mtime,
    )


def _choice(vertex: Copy) -> Choice:
    return Choice(vertex.paths, vertex.exclude, vertex.parents)


def _inline(file: InlineFile) -> Inline:
    return Inline(file.name, file.content)
