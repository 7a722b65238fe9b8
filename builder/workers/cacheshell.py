"""A shell in a cache mount: its directory in a root that is thrown away. In a launcher's child."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from builder.digest import Digest
from builder.sandbox.run import run_step
from builder.sandbox.spec import BindMount, StepResult, StepSpec
from builder.snapshots.active import Snapshots
from builder.snapshots.cachemounts import entered
from builder.store.blobs import store_errors
from builder.store.open import FILTERS
from builder.workers.shells import found

_SHELL = ("/bin/sh", "-c")


def enter(
    root: Path,
    name: str,
    spec: StepSpec,
    stack: tuple[Digest, ...],
    script: str | None,
    seconds: float,
    *,
    alone: bool,
) -> StepResult:
    """Run a command on `stack` with the cache mount `name` at `spec.cwd`; the stack's shell when it has no argv.

    Waits at most `seconds` for who has the cache mount; `alone`: nobody has it meanwhile. Raises NotFoundError when
    it is gone or there is no shell, StoreError when it stays in use.
    """
    with (
        store_errors(root),
        entered(root, name, seconds, alone=alone) as path,
        Snapshots(root).writable(stack) as top,
    ):
        argv = spec.argv or found(top.root, _SHELL, dict(spec.env), script)
        return run_step(
            replace(spec, argv=argv, mounts=(*spec.mounts, BindMount(path, spec.cwd))), top.root, root / FILTERS
        )
