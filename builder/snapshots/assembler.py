"""How stacks are put together: by overlayfs, by fuse-overlayfs, or by copying.

All three give the same layers; snapshots are always of overlayfs's form.
"""

from __future__ import annotations

import os
from typing import Protocol

from msgspec import Struct

from builder.errors import HostError
from builder.layers.whiteout import OVERLAY as OVERLAY_FORM
from builder.layers.whiteout import form_of
from builder.snapshots import overlay
from builder.snapshots.overlaymount import OverlayMount

OVERLAY, FUSE, COPY = "overlay", "fuse-overlayfs", "copy"
NAMES = (OVERLAY, FUSE, COPY)
VARIABLE = "PYBUILD_ASSEMBLER"


class Mount(Protocol):
    """Mounts what is wanted, for this process's mount namespace; umount(2) ends it. Raises HostError when it cannot.

    Without devices: a step may make their nodes (mknod is one of Docker's capabilities), but opening one would be the
    way to this machine's disks.
    """

    def __call__(self, wanted: OverlayMount) -> None:
        """Do it."""
        ...


class Assembler(Struct, frozen=True):
    """A way to put stacks together, and why those before it were not taken: (name, reason)."""

    name: str
    refused: tuple[tuple[str, str], ...] = ()

    def mount(self, wanted: OverlayMount) -> None:
        """See Mount. Raises HostError too for a top that another one has begun."""
        upper = wanted.upper
        if upper is not None and os.listdir(upper):
            form = form_of(upper)
            name = OVERLAY if form == OVERLAY_FORM else FUSE if form.fuse else COPY
            if name != self.name:
                raise HostError(
                    f"{upper} was begun by {name} and cannot go on by {self.name}", hint=f"set {VARIABLE}={name}"
                )
        mount_of(self.name)(wanted)

    def warning(self) -> str | None:
        """What a user should know of it: why it is not overlayfs."""
        if not self.refused:
            return None
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self.refused)
        price = "every step copies its whole root" if self.name == COPY else "steps touch files more slowly"
        return f"layers are put together by {self.name} here, so that {price} ({reasons})"


def mount_of(name: str) -> Mount:
    """What mounts for the assembler `name`."""
    if name == OVERLAY:
        return overlay.mount
    if name == FUSE:
        # lazy: only where overlayfs cannot be had
        from builder.snapshots import fuseoverlay

        return fuseoverlay.mount
    # lazy: likewise
    from builder.snapshots import copying

    return copying.mount
