"""Per vertex kind, two questions: what from outside the graph goes into its key, and what its task is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from builder import spans
from builder.graph.attempts import seconds
from builder.graph.vertex import (
    CAP_DROP,
    NO_HOSTS,
    NO_NEW_PRIVILEGES,
    UNFILTERED,
    BaseImage,
    Copy,
    CopyFrom,
    GitTree,
    InlineFile,
    Keyed,
    Run,
    Scratch,
    UrlFile,
    Vertex,
    VertexId,
    Workdir,
)
from builder.layers.copyjob import Choice, Chosen, CopyJob, Inline
from builder.request import NETWORK_HOST, SECURITY_INSECURE
from builder.sandbox.spec import BindMount, FileMount, Names, Network, StepSpec
from builder.solve import mounts
from builder.solve.result import Stack
from builder.solve.worker import CopyPart, CopyTask, DirectoryTask, RunTask, Task
from builder.sources.context import Context
from builder.sources.remotes import Remotes, TreeContent, UrlContent
from builder.sources.secrets import Secrets
from builder.sources.selection import Selection

Outside = Selection | UrlContent | TreeContent


class Pick(Struct, frozen=True):
    """Some files that a part of a vertex (itself, a CopyFrom, a BindMount) takes of the vertex `source`."""

    part: Keyed
    source: VertexId
    chosen: Chosen


def outside(vertex: Vertex, contexts: Mapping[str, Context], remotes: Remotes) -> tuple[Outside, ...]:
    """What `vertex` takes from build contexts and servers, in the order it names it. Servers are asked here."""
    match vertex:
        case Copy():
            chosen = (_choice(vertex, part) for part in _parts(vertex) if _from_context(part))
            with spans.span("scan"):
                return tuple(contexts[vertex.context].select(choice) for choice in chosen)
        case Run():
            with spans.span("scan"):
                return mounts.selections(vertex, contexts)
        case UrlFile() | GitTree():
            with spans.span("fetch"):
                return (remotes.current(vertex),)
        case _:
            return ()


def contexts_of(vertex: Vertex) -> frozenset[str]:
    """The names of the build contexts that `vertex` takes something of."""
    if isinstance(vertex, Copy):
        return frozenset(vertex.context for part in _parts(vertex) if _from_context(part))
    return frozenset(mounts.contexts_of(vertex) if isinstance(vertex, Run) else ())


def picks(vertex: Vertex) -> tuple[Pick, ...]:
    """What `vertex` takes of other vertices but their whole trees."""
    found: Iterable[tuple[Keyed, VertexId | None, Chosen]] = ()
    if isinstance(vertex, Copy):
        parts = ((vertex, _parts(vertex)[0]), *((part, part) for part in vertex.also))
        found = ((whole, part.source, Chosen(_choice(vertex, part))) for whole, part in parts)
    elif isinstance(vertex, Run):
        found = mounts.taken(vertex)
    return tuple(
        Pick(part, source, chosen) for part, source, chosen in found if source is not None and not chosen.whole
    )


def task(
    vertex: Vertex,
    chosen: tuple[Outside, ...],
    stack_of: Callable[[VertexId], Stack],
    names: Names,
    secrets: Secrets,
) -> Task:
    """The work of `vertex`, given what `outside` found; base images have none. What is remote is fetched here."""
    selections = tuple(found for found in chosen if isinstance(found, Selection))
    match vertex:
        case Run():
            step = _spec(vertex, names, mounts.secret_variables(vertex, secrets))
            return RunTask(step, mounts.step_mounts(vertex, selections, stack_of, secrets))
        case Copy():
            return CopyTask(tuple(_copies(vertex, selections, stack_of)), vertex.link)
        case Workdir(path=path, user=user):
            return DirectoryTask(path, user)
        case Scratch() | BaseImage():
            raise ValueError(f"{type(vertex).__name__} is looked up, never run")
        case UrlFile() | GitTree():
            return CopyTask(tuple(_fetched(content) for content in chosen if not isinstance(content, Selection)))
        case _ as unreachable:
            assert_never(unreachable)


def entitlements(vertex: Vertex) -> tuple[str, ...]:
    """What the user must have granted before `vertex` may run."""
    if not isinstance(vertex, Run):
        return ()
    needed = {NETWORK_HOST: vertex.network == "host", SECURITY_INSECURE: vertex.security == "insecure"}
    return tuple(name for name, is_needed in needed.items() if is_needed)


def _spec(vertex: Run, names: Names, secret: Mapping[str, str]) -> StepSpec:
    scripts = tuple(FileMount(f"/dev/pipes/{script.name}", script.content, 0o755) for script in vertex.scripts)
    return StepSpec(
        argv=vertex.argv,
        env=tuple(sorted({**dict(vertex.proxy_env), **dict(vertex.env), **secret}.items())),
        cwd=vertex.cwd,
        user=vertex.user,
        network=Network(vertex.network),
        names=replace(names, hosts=vertex.hosts, no_hosts=NO_HOSTS in vertex.confined),
        mounts=(*scripts, *(BindMount(p.source, p.target, not p.writable, p.device) for p in vertex.host_paths)),
        insecure=vertex.security == "insecure",
        unfiltered=UNFILTERED in vertex.confined,
        no_new_privileges=NO_NEW_PRIVILEGES in vertex.confined,
        dropped=tuple(word.removeprefix(CAP_DROP) for word in vertex.confined if word.startswith(CAP_DROP)),
        timeout=seconds(vertex.attempts.timeout),
        platform=str(vertex.platform),
    )


def _parts(vertex: Copy) -> tuple[CopyFrom, ...]:
    return (CopyFrom(vertex.source, vertex.paths, vertex.unpack), *vertex.also)


def _from_context(part: CopyFrom) -> bool:
    return part.source is None and bool(part.paths)


def _choice(vertex: Copy, part: CopyFrom) -> Choice:
    return Choice(part.paths, vertex.exclude, vertex.parents)


def _copies(vertex: Copy, chosen: tuple[Selection, ...], stack_of: Callable[[VertexId], Stack]) -> Iterator[CopyPart]:
    left = iter(chosen)
    parts = _parts(vertex)
    for part in parts:
        selection = next(left) if _from_context(part) else None
        job = CopyJob(
            destination=vertex.destination,
            context="" if selection is None else selection.root,
            sources=() if selection is None else selection.sources,
            choice=_choice(vertex, part),
            inline=tuple(map(_inline, vertex.inline)) if part is parts[-1] else (),
            chown=vertex.chown,
            chmod=vertex.chmod,
            unpack=part.unpack,
        )
        yield CopyPart(job, None if part.source is None else stack_of(part.source).layers)


def _fetched(content: UrlContent | TreeContent) -> CopyPart:
    with spans.span("fetch"):
        files = content.files()
    return CopyPart(CopyJob("/", files.root, (files.source,)))


def _inline(file: InlineFile) -> Inline:
    return Inline(file.name, file.content)
