"""Containers: made, listed, removed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from builder.api.session import Session
from builder.errors import NotFoundError, UsageError
from builder.events import Warned
from builder.image.config import ImageConfig
from builder.image.platform import Platform, host
from builder.image.reference import Reference
from builder.request import RunRequest
from builder.runtime import run as runtime
from builder.runtime.attach import attached, signals
from builder.runtime.containers import Container, Containers
from builder.runtime.containers import ContainerRow as ContainerRow
from builder.runtime.control import kill
from builder.sandbox.launcher import Call
from builder.sandbox.spec import StepResult, StepSpec
from builder.sources.resolver import ImageResolver
from builder.store.images import StoredImage

if TYPE_CHECKING:
    from builder.api.chosen import Details

T = TypeVar("T")


class Captured(Struct, frozen=True):
    """How a container's command ended: its exit status, what it printed on both outputs, whether it took too long."""

    status: int
    out: bytes
    err: bytes
    timed_out: bool


def run(session: Session, request: RunRequest, told: Callable[[str], object] = lambda _: None) -> int:
    """Run a container; returns its command's exit status, when `detach` is asked for 0 as soon as it runs.

    `told` gets the ID of one that is detached.
    """
    if request.terminal and request.interactive and not request.detach and not os.isatty(0):
        raise UsageError("the input device is not a TTY", hint="leave -t away")
    pass_on: AbstractContextManager[Callable[[Call[Any]], None]] = nullcontext(_nobody) if request.detach else signals()
    with _contained(session, request, pass_on) as (container, lock, telling):
        if request.detach:
            return begin(session, container, lock, told)
        return foreground(session, container, lock, telling, interactive=request.interactive)


def capture(session: Session, request: RunRequest, given: bytes = b"", seconds: float = 0) -> Captured:
    """Run a container with pipes in place of this process's input and output; from any thread.

    Its command is `given` input, and may take so many `seconds`, 0 any.
    """
    # lazy: `pybuild run` has its own input and output
    from builder.runtime.capture import captured

    printed = b"", b""

    def attach(begin: Callable[[tuple[int, int, int]], Call[StepResult]], spec: StepSpec) -> StepResult:
        nonlocal printed
        result, printed = captured(begin, given)
        return result

    with _contained(session, request, nullcontext(None)) as (container, lock, _):
        result = _attended(session, container, lock, attach, seconds)
    return Captured(result.status, *printed, result.timed_out)


@contextmanager
def _contained(
    session: Session, request: RunRequest, meanwhile: AbstractContextManager[T]
) -> Iterator[tuple[Container, int, T]]:
    """The container that is asked for, made, and its lock; it is made and run in the context of `meanwhile`."""
    for option in request.security:
        if option not in runtime.SECURITY_OPTIONS:
            raise UsageError(
                f"--security-opt {option} is not known", hint="use no-new-privileges or seccomp=unconfined"
            )
    if request.cidfile is not None and Path(request.cidfile).exists():
        raise UsageError(f"{request.cidfile} is there already", hint="remove it, or name another --cidfile")
    launcher = session.launcher()
    with ExitStack() as working:
        working.enter_context(session.store.leases.working())
        image, config = _claimed(session, request.image, request.platform)
        layers = session.store.images.layers(image.manifest.digest)
        with meanwhile as found:
            container, lock = runtime.created(request, image.config, config, layers, launcher, session.store.root)
            working.close()  # the container itself keeps its layers from now on
            try:
                if request.cidfile is not None:
                    _write_new(session, container, request.cidfile)
                yield container, lock, found
            finally:
                os.close(lock)


def begin(session: Session, container: Container, lock: int, told: Callable[[str], object]) -> int:
    """Have a container run under a monitor of its own, which takes over `lock`; gives 0 when its command has begun.

    Else what it could not begin by, 126 or 127, after a warning with the reason.
    """
    # lazy: only what is detached; it loads subprocess
    from builder.runtime.detach import detached

    os.set_inheritable(lock, True)
    words = (str(session.store.root), container.id, str(lock))
    said = detached("builder.api.monitor", *words, keep=(lock,))
    told(container.id)
    for message in said["warnings"]:
        session.emit(Warned(message))
    return int(said["status"] or 0)


def _nobody(call: Call[Any]) -> None:
    """Who is told of the command of a detached container: its signals are its monitor's."""


def foreground(
    session: Session, container: Container, lock: int, pass_on: Callable[[Call[Any]], None], *, interactive: bool
) -> int:
    """Run a container with this process's input, output and signals (`signals`); gives its exit status."""

    def attach(begin: Callable[[tuple[int, int, int]], Call[StepResult]], spec: StepSpec) -> StepResult:
        return attached(begin, pass_on, interactive=interactive, own_terminal=spec.terminal)

    return _attended(session, container, lock, attach).status


def _attended(
    session: Session, container: Container, lock: int, attach: runtime.Attach, seconds: float = 0
) -> StepResult:
    worker = session.worker()
    result, spec = runtime.run_attached(
        container, lock, worker.launcher, worker.networks, session.store.root, attach, seconds=seconds
    )
    if result.memory_kills:
        session.emit(Warned(_killed_for_memory(result, spec)))
    return result


def _killed_for_memory(result: StepResult, spec: StepSpec) -> str:
    limit, peak = spec.resources.memory, result.usage.peak_bytes
    return f"killed for memory: its limit is {limit / (1 << 20):.1f} MiB, it had {peak / (1 << 20):.1f} MiB at most"


def _write_new(session: Session, container: Container, path: str) -> None:
    try:
        with Path(path).open("x") as file:
            file.write(container.id)
    except OSError as error:
        runtime.delete(session.launcher(), session.store.root, container)
        raise UsageError(f"--cidfile {path} cannot be written: {error.strerror}") from None


def _claimed(session: Session, text: str, platform: str) -> tuple[StoredImage, ImageConfig]:
    images, wanted = session.store.images, Platform.parse(platform) if platform else None
    found = images.claimed(text, wanted)
    if found is not None:
        made_for = found[1].platform
        if wanted is not None and made_for.normal() not in set(wanted.accepted()):
            raise NotFoundError(
                f"{text} is made for {made_for}, not for {wanted}",
                hint=f"pybuild pull --platform {wanted} {text}, if a registry has it",
            )
        return found
    Reference.parse(text)
    base = ImageResolver(session.ingest, ".", session.emit).base(text, wanted or host())
    return images.by_manifest(base.manifest), base.config


def containers(session: Session, filters: Sequence[str] = ()) -> list[ContainerRow]:
    """Every container, newest first; only those that `filters`, KEY=VALUE each, let through.

    Keys: views/filters, CONTAINERS. Raises UsageError, and NotFoundError for a container to compare with.
    """
    found = Containers(session.store.root)
    rows = [row_of(found, container) for container in found.all()]
    if not filters:
        return rows
    # lazy: most lists are of all
    from builder.api import chosen

    return chosen.containers(session, filters, rows)


def details(session: Session, row: ContainerRow) -> Details:
    """The labels, mounts and network of a container."""
    # lazy: most lists do without
    from builder.api import chosen

    return chosen.details(session, row)


def bytes_of(session: Session, rows: Sequence[ContainerRow]) -> list[int]:
    """What each container's own files take on disk."""
    # lazy: it measures the whole store
    from builder.api.usage import sizes

    found = sizes(session)
    return [found.below("containers", (row.container.id,)) for row in rows]


def row_of(found: Containers, container: Container) -> ContainerRow:
    """A container with what is seen of it now."""
    state = found.state(container)
    begun = found.begun(container) if state == "running" else None
    started = container.started if begun is None else begun.started
    if state in ("created", "running"):
        container = replace(container, status=None, ended=None)  # how it ended before it was started again
    return ContainerRow(container, state in ("created", "running"), state, started)


def remove(session: Session, text: str, *, force: bool = False) -> str:
    """Remove a container; one that runs only with `force`, which ends it. Gives its name. Raises UsageError."""
    found = Containers(session.store.root)
    container = found.find(text)
    if found.running(container):
        if not force:
            raise UsageError(f"container {container.name} is running", hint="end it first, or use rm -f")
        try:
            kill(session.store.root, container)
        except NotFoundError:
            return text
    runtime.delete(session.launcher(), session.store.root, container)
    return text
