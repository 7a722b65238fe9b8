"""Failed steps that are kept: listed, entered, removed."""

from __future__ import annotations

import os
import sys

from msgspec.structs import replace

from builder.api.session import Session
from builder.events import Warned
from builder.request import ShellRequest
from builder.runtime.attach import attached, signals
from builder.snapshots.tree import ensure
from builder.solve.failed import FailedStep as FailedStep
from builder.solve.failed import FailedSteps, reopened
from builder.sources.secrets import parse as parse_secrets
from builder.workers.failed import enter
from builder.workers.failed import forget as forget_steps


def failed(session: Session) -> list[FailedStep]:
    """The failed steps that are kept, newest first."""
    return FailedSteps(session.store.root).all()


def shell(session: Session, request: ShellRequest) -> int:
    """Open a shell, or run a command, in a failed step with this process's input and output; gives its exit status.

    Raises NotFoundError when no such step is kept or it has no shell, UsageError when one is in it already.
    """
    root, secrets = session.store.root, parse_secrets(request.secrets, request.ssh)
    steps = FailedSteps(root)
    launcher = session.launcher()  # first: only then the store shows the files that go with our IDs
    step = steps.find(request.step)
    layers = tuple(step.stacked())
    with session.store.leases.layers(layer.diff_id for layer in layers):
        ensure(launcher, root, layers)
        spec, mounts, missing = reopened(step, steps.path(step), secrets)
        for option in missing:
            session.emit(Warned(f"the step was given {option}, which this shell is not"))
        own_terminal = os.isatty(0) and sys.stdout.isatty()
        ready = replace(
            spec,
            argv=request.command,
            env=tuple({**dict(spec.env), **dict(request.env)}.items()),
            terminal=own_terminal,
        )
        with session.worker().networks.joined(ready) as joined, signals() as pass_on:
            return attached(
                lambda stdio: launcher.call(
                    enter, stdio, root, step, joined, mounts, request.script, before=request.before
                ),
                pass_on,
                interactive=True,
                own_terminal=own_terminal,
            ).status


def forget(session: Session, most: int) -> None:
    """Remove all but the `most` newest failed steps; those in use stay."""
    session.launcher().call(forget_steps, None, session.store.root, most).result()
