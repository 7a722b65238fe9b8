"""A container's part in the launcher's child: its writable top mounted on its layers, and the step run there."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from builder.digest import Digest
from builder.errors import HostError
from builder.layers.copyop import make_directory
from builder.linux.files import write_atomically
from builder.linux.syscalls import umount
from builder.runtime.containers import Begun
from builder.sandbox import child
from builder.sandbox.run import run_step
from builder.sandbox.running import Running
from builder.sandbox.spec import StepResult, StepSpec
from builder.snapshots.active import Snapshots, own_mounts
from builder.snapshots.overlaymount import OverlayMount
from builder.store.blobs import store_errors
from builder.store.open import FILTERS


def contain(root: Path, path: str, spec: StepSpec, stack: tuple[Digest, ...]) -> StepResult:
    """Run `spec` on `stack` with the writable top in `path`, kept there; the caller is told when it has begun."""

    def begun(running: Running) -> None:
        write_atomically(f"{path}/running.json", msgspec.json.encode(Begun(running, time.time())))
        child.tell_begun()

    with store_errors(root):
        for name in ("upper", "work", "root", "empty"):
            with suppress(FileExistsError):  # it is started again
                os.mkdir(f"{path}/{name}", 0o755)
    own_mounts()
    lowers = Snapshots(root).lowers(stack) or (f"{path}/empty",)
    Snapshots(root).mount(OverlayMount(lowers, f"{path}/root", f"{path}/upper", f"{path}/work"))
    try:
        # Docker makes a missing working directory; in a read-only container it must be there.
        if not spec.read_only_root:
            make_directory(f"{path}/root", spec.cwd, "")
        return run_step(spec, f"{path}/root", root / FILTERS, begun)
    except FileNotFoundError as error:
        raise HostError(f"cannot start the container: {error}") from error
    finally:
        with suppress(OSError):
            umount(f"{path}/root")
