"""Steps that failed, on this machine: kept, entered by a shell, and forgotten. All in the launcher's children."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec.structs import replace

from builder.errors import NotFoundError, UsageError
from builder.linux.files import write_atomically
from builder.linux.locks import try_lock
from builder.points import point
from builder.sandbox.run import run_step
from builder.sandbox.spec import BindMount, Mount, StepResult, StepSpec
from builder.snapshots.active import Snapshots, Writable
from builder.solve.failed import FailedStep, FailedSteps, decoded, encoded
from builder.solve.worker import ContextMount, RunTask, StepMount
from builder.store.blobs import store_errors
from builder.store.open import FAILED, FILTERS
from builder.workers.mounts import shown
from builder.workers.shells import directory, found

_GONE = "the failed step is no longer kept"


def keep(root: Path, task: RunTask, top: Writable, result: StepResult, mounts: Sequence[Mount]) -> bool:
    """Keep what `task` left in `top`; `mounts` are what its own were for the sandbox. Says whether it could."""
    step = replace(decoded(task.keep), status=result.status, timed_out=result.timed_out, ended=time.time())
    try:
        with Snapshots(root).scratch() as place:
            new = f"{place}/failed"
            os.mkdir(new, 0o700)
            os.mkdir(f"{new}/work", 0o755)
            if not top.native:
                top.unmount()  # a server of its own may still hold what was written
            os.rename(top.upper, f"{new}/upper")
            for number, (mount, made) in enumerate(zip(task.mounts, mounts, strict=True)):
                if isinstance(mount, ContextMount) and isinstance(made, BindMount):
                    os.rename(made.source, f"{new}/files-{number}")
            write_atomically(f"{new}/failed.json", encoded(step))
            (root / FAILED).mkdir(mode=0o700, exist_ok=True)
            point("failed:ready")
            os.rename(new, FailedSteps(root).path(step))
    except OSError:
        return False  # a full disk: the failure is what must be told
    return True


def forget(root: Path, most: int) -> None:
    """Remove all but the `most` newest failed steps, and those that someone uses."""
    with store_errors(root), Snapshots(root).scratch() as doomed:
        for name in sorted(os.listdir(root / FAILED) if (root / FAILED).is_dir() else (), reverse=True)[most:]:
            remove(root, name, doomed)


def remove(root: Path, name: str, doomed: str) -> bool:
    """Move the failed step `name` to `doomed`, to be removed; False when someone uses it."""
    path = root / FAILED / name
    with suppress(FileNotFoundError):
        lock = try_lock(path / "lock")
        if lock is None:
            return False
        try:
            path.rename(f"{doomed}/{name}")
        finally:
            os.close(lock)
    return True


def enter(
    root: Path,
    step: FailedStep,
    spec: StepSpec,
    mounts: tuple[StepMount, ...],
    script: str | None,
    *,
    before: bool,
) -> StepResult:
    """Run a command in the state `step` left, or in the one it found (`before`; what is written is thrown away then).

    `spec` and `mounts` are what `reopened` gave, with the command as argv; without one, `script` is run by the step's
    shell, or that shell by itself. Raises NotFoundError when the step is gone or there is no shell.
    """
    stack = [layer.diff_id for layer in step.layers]
    snapshots, path = Snapshots(root), FailedSteps(root).path(step)
    opened = snapshots.writable(stack) if before else snapshots.resumed(stack, path)
    with store_errors(root), _used(path, alone=not before), opened as top:
        ready = replace(
            spec,
            argv=spec.argv or found(top.root, step.shell, dict(spec.env), script),
            cwd=directory(top.root, spec.cwd),
        )
        with shown(root, mounts) as more:
            return run_step(replace(ready, mounts=(*ready.mounts, *more)), top.root, root / FILTERS)


@contextmanager
def _used(path: str, *, alone: bool) -> Iterator[None]:
    """Use the failed step at `path`; `alone`: as the only one that writes to it."""
    held = []
    try:
        fd = os.open(f"{path}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        held.append(fd)
        fcntl.flock(fd, fcntl.LOCK_SH)
        if not os.path.exists(f"{path}/failed.json"):
            raise NotFoundError(_GONE)
        if alone:
            top = try_lock(Path(f"{path}/top.lock"))
            if top is None:
                raise UsageError("a shell is in this step already", hint="--before opens one in the state before it")
            held.append(top)
        yield
    except FileNotFoundError as error:
        if error.filename != f"{path}/lock":
            raise
        raise NotFoundError(_GONE) from error
    finally:
        for fd in held:
            os.close(fd)
