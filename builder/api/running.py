"""Containers that run: started again, stopped, killed, waited for, joined; what they print."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from msgspec.structs import replace

from builder.api.containers import begin, foreground
from builder.api.session import Session
from builder.errors import NotFoundError, UsageError
from builder.request import ExecRequest
from builder.runtime import control
from builder.runtime.attach import attached, signals
from builder.runtime.containers import Container, Containers
from builder.runtime.hands import in_hand
from builder.runtime.log import Reader, Record
from builder.runtime.spec import kept_spec
from builder.sandbox.enter import enter
from builder.sandbox.launcher import Launcher
from builder.sandbox.spec import StepSpec
from builder.store.open import FILTERS

_FOLLOW_SECONDS = 0.05


def _found(session: Session, text: str) -> tuple[Containers, Container]:
    containers = Containers(session.store.root)
    return containers, containers.find(text)


def start(session: Session, text: str, *, attach: bool = False, interactive: bool = False) -> int:
    """Run a container that has ended again, on what it left; gives 0 when it has begun, as when it runs already.

    With `attach` it runs in the foreground, and its exit status is given; `interactive`: with this standard input.
    Raises NotFoundError, UsageError.
    """
    containers, container = _found(session, text)
    with in_hand(containers.path(container)):  # nobody has its top mounted elsewhere
        lock = containers.hold(container)
    if lock is None:
        if attach:
            raise UsageError(
                f"container {container.name} is running",
                hint=f"pybuild logs -f {container.name} follows what it prints, pybuild exec gives a shell in it",
            )
        return 0
    try:
        container = containers.find(container.id)  # it may have ended just now
        if not attach:
            return begin(session, container, lock, lambda _: None)
        if interactive and kept_spec(containers.path(container)).terminal and not os.isatty(0):
            raise UsageError("the input device is not a TTY", hint="leave -i away")
        session.launcher()  # forked while there is one thread
        with signals() as pass_on:
            return foreground(session, container, lock, pass_on, interactive=interactive)
    finally:
        os.close(lock)


def stop(session: Session, text: str, seconds: float) -> None:
    """End a container: its image's stop signal, and SIGKILL when it has not ended `seconds` later."""
    control.stop(session.store.root, _found(session, text)[1], seconds)


def kill(session: Session, text: str, number: str) -> None:
    """Send a container a signal. Raises UsageError when it does not run."""
    control.send(session.store.root, _found(session, text)[1], control.signal_number(number))


def wait(session: Session, text: str) -> int:
    """Wait until a container has ended; gives its exit status."""
    containers, container = _found(session, text)
    status = containers.wait(container)
    assert status is not None
    return status


def execute(session: Session, request: ExecRequest) -> int:
    """Run a command in a container that runs; gives its exit status, 0 for one that is detached and has begun."""
    containers, container = _found(session, request.container)
    root = session.store.root
    running = control.running(root, container)
    spec = joining(kept_spec(containers.path(container)), request)
    if request.detach:
        # lazy: only what is detached; it loads subprocess
        import msgspec

        from builder.runtime.detach import detached

        words = (str(root), container.id, msgspec.json.encode(request).decode())
        return int(detached("builder.api.joined", *words)["status"])
    if request.terminal and request.interactive and not os.isatty(0):
        raise UsageError("the input device is not a TTY", hint="leave -t away")
    launcher = outside()
    try:
        with signals() as pass_on:
            return attached(
                lambda stdio: launcher.call(enter, stdio, running, spec, root / FILTERS),
                pass_on,
                interactive=request.interactive,
                own_terminal=request.terminal,
            )
    finally:
        launcher.close()


def outside() -> Launcher:
    """A launcher whose children may join any container of this user's."""
    return Launcher.start(("builder.sandbox.enter",), user_namespace=False)


def joining(spec: StepSpec, request: ExecRequest) -> StepSpec:
    """What runs beside the container's command, by default as that does."""
    return replace(
        spec,
        argv=request.command,
        env=tuple({**dict(spec.env), **dict(request.env)}.items()),
        user=spec.user if request.user is None else request.user,
        cwd=request.workdir or spec.cwd,
        terminal=request.terminal,
        timeout=0,
    )


def printed(session: Session, text: str, *, follow: bool = False) -> Iterator[list[Record]]:
    """What a detached container has printed; with `follow` also what comes then, until it ends.

    Raises NotFoundError when its output was not kept.
    """
    containers, container = _found(session, text)
    reader = Reader(containers.path(container))
    if not reader.exists():
        raise NotFoundError(
            f"what container {container.name} printed was not kept",
            hint="it went to who ran it; that of containers run with -d is kept",
        )
    while True:
        going_on = follow and containers.running(container)
        yield list(reader.more())
        if not going_on:
            return
        time.sleep(_FOLLOW_SECONDS)
