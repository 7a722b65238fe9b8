"""The mounts of a RUN as work for a worker: layers, selections and secret values in the place of names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from builder.errors import BadInputError, NotFoundError
from builder.graph.vertex import (
    BindMount,
    CacheMount,
    Keyed,
    Run,
    RunMount,
    SecretMount,
    SshMount,
    TmpfsMount,
    VertexId,
)
from builder.image.cachemount import About
from builder.lang.patterns import escaped
from builder.layers.copyjob import Choice, Chosen
from builder.sandbox import spec
from builder.solve.result import Stack
from builder.solve.worker import AgentSocket, CacheDirectory, ContextMount, StackMount, StepMount
from builder.sources.context import Context
from builder.sources.secrets import Secrets
from builder.sources.selection import Selection


def selections(vertex: Run, contexts: Mapping[str, Context]) -> tuple[Selection, ...]:
    """What the bind mounts of `vertex` take from build contexts, in order. Raises NotFoundError."""
    return tuple(_selected(mount, contexts) for mount in vertex.mounts if _from_context(mount))


def contexts_of(vertex: Run) -> list[str]:
    """The names of the build contexts that its bind mounts show something of."""
    return [mount.context for mount in vertex.mounts if isinstance(mount, BindMount) and mount.origin is None]


def taken(vertex: Run) -> Iterator[tuple[Keyed, VertexId | None, Chosen]]:
    """What the bind mounts of `vertex` show of other vertices: a directory with its own mode and owner."""
    for mount in vertex.mounts:
        if isinstance(mount, BindMount):
            yield mount, mount.origin, Chosen(Choice((escaped(mount.source),)), top=True)


def step_mounts(
    vertex: Run, chosen: tuple[Selection, ...], stack_of: Callable[[VertexId], Stack], secrets: Secrets
) -> tuple[StepMount, ...]:
    """The mounts of a RUN, those that contain others first. `chosen` is what `selections` gave.

    Raises NotFoundError for a required secret or agent that was not given.
    """
    left = iter(chosen)
    found = (_step_mount(mount, left, stack_of, secrets) for mount in vertex.mounts)
    return tuple(sorted((mount for mount in found if mount is not None), key=lambda mount: mount.target))


def secret_variables(vertex: Run, secrets: Secrets) -> dict[str, str]:
    """The environment variables that hold secrets; empty for an optional one that was not given (as in BuildKit)."""
    found = {}
    for mount in vertex.mounts:
        if isinstance(mount, SecretMount) and mount.env:
            value = _secret(mount, secrets) or b""
            if b"\0" in value:
                raise BadInputError(f"secret {mount.id} cannot be a variable: it holds a NUL byte")
            found[mount.env] = value.decode(errors="surrogateescape")
    return found


def marks(vertex: Run, secrets: Secrets, root: Path) -> tuple[tuple[str, str], ...]:
    """What stands in the key for the values of secrets that count there, by id, sorted. Raises as `Secrets.value`."""
    names = {mount.id for mount in vertex.mounts if isinstance(mount, SecretMount) and secrets.in_key(mount.id)}
    if not names:
        return ()
    # lazy: few builds ask for it
    from builder.store.localkey import mark

    return tuple((name, mark(root, name, secrets.value(name) or b"")) for name in sorted(names))


def _from_context(mount: RunMount) -> bool:
    return isinstance(mount, BindMount) and mount.origin is None


def _selected(mount: RunMount, contexts: Mapping[str, Context]) -> Selection:
    assert isinstance(mount, BindMount)
    # A mount's source is a path, never a pattern.
    selection = contexts[mount.context].select(Choice((escaped(mount.source),)), top=True)
    if selection.empty:
        raise NotFoundError(f"{mount.source} is not in the build context")
    return selection


def _step_mount(
    mount: RunMount, left: Iterator[Selection], stack_of: Callable[[VertexId], Stack], secrets: Secrets
) -> StepMount | None:
    match mount:
        case BindMount(origin=None):
            selection = next(left)
            return ContextMount(mount.target, selection.root, selection.sources, mount.writable)
        case BindMount(origin=origin):
            assert origin is not None
            return StackMount(mount.target, stack_of(origin).layers, mount.source, mount.writable)
        case CacheMount():
            return _cache(mount, None if mount.origin is None else stack_of(mount.origin))
        case TmpfsMount():
            return spec.TmpfsMount(mount.target, mount.size)
        case SecretMount():
            value = _secret(mount, secrets)
            if value is None or not mount.target:
                return None
            return spec.FileMount(mount.target, value, mount.mode, read_only=True, uid=mount.uid, gid=mount.gid)
        case SshMount():
            agent = secrets.agent(mount.id)
            if agent is None and mount.required:
                raise NotFoundError(
                    f"the step requires the SSH agent {mount.id!r}, which was not given",
                    hint=f"pass it: --ssh {mount.id}",
                )
            return None if agent is None else AgentSocket(mount.target, agent, mount.mode, mount.uid, mount.gid)


def _secret(mount: SecretMount, secrets: Secrets) -> bytes | None:
    value = secrets.value(mount.id)
    if value is None and mount.required:
        raise NotFoundError(
            f"the step requires the secret {mount.id!r}, which was not given",
            hint=f"pass it: --secret id={mount.id},src=FILE or --secret id={mount.id},env=VARIABLE",
        )
    return value


def _cache(mount: CacheMount, stack: Stack | None) -> CacheDirectory:
    begins = "" if stack is None else str(stack.chain)
    about = About(mount.id, begins, mount.source, f"{mount.mode:o}", mount.uid, mount.gid)
    return CacheDirectory(
        mount.target,
        about.name,
        about.document(),
        mount.sharing,
        mount.read_only,
        mount.mode,
        mount.uid,
        mount.gid,
        None if stack is None else stack.layers,
        mount.source,
    )
