"""Steps that failed, on this machine: kept, entered by a shell, and forgotten. All in the launcher's children."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec.structs import replace

from builder.errors import NotFoundError, UsageError
from builder.linux.files import write_atomically
from builder.linux.locks import try_lock
from builder.linux.paths import open_in_root
from builder.points import point
from builder.sandbox.run import run_step
from builder.sandbox.spec import BindMount, Mount, StepResult, StepSpec
from builder.snapshots.active import Snapshots, Writable
from builder.solve.failed import FailedStep, FailedSteps, decoded, encoded
from builder.solve.worker import ContextMount, RunTask, StepMount
from builder.store.blobs import store_errors
from builder.store.open import FAILED, FILTERS
from builder.workers.mounts import shown

_SHELLS = ("/bin/bash", "/bin/sh")
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
            argv=spec.argv or _shell(top.root, step, dict(spec.env), script),
            cwd=_directory(top.root, spec.cwd),
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


def _shell(root: str, step: FailedStep, env: dict[str, str], script: str | None) -> tuple[str, ...]:
    """The step's shell in `root`, with `script`: SHELL if it is there, else what most images have."""
    own, *options = step.shell
    if _program(root, own, env):
        return (own,) if script is None else (own, *options, script)
    found = next((name for name in _SHELLS if _program(root, name, env)), None)
    if found is None:
        tried = ", ".join(dict.fromkeys((own, *_SHELLS)))
        raise NotFoundError(f"the step has no shell: there is no {tried}", hint="name a program: -- PROGRAM ARGUMENT…")
    return (found,) if script is None else (found, "-c", script)


def _program(root: str, name: str, env: dict[str, str]) -> bool:
    along = [os.path.join(directory, name) for directory in env.get("PATH", "").split(":") if directory]
    return any(_mode(root, path) & 0o111 for path in ([name] if "/" in name else along))


def _directory(root: str, path: str) -> str:
    """`path`, or `/` when the step has taken it away."""
    return path if stat.S_ISDIR(_mode(root, path)) else "/"


def _mode(root: str, path: str) -> int:
    """The mode of `path` in `root`; 0 when it is not there."""
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in_root(top, path)
    except OSError:
        return 0
    finally:
        os.close(top)
    try:
        return os.fstat(fd).st_mode
    finally:
        os.close(fd)
