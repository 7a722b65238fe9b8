"""Whole file trees for those outside the mapped IDs: layers made ready, and a stack's merged tree as a tar."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.digest import Digest, Reader
from builder.image.descriptor import Layer
from builder.layers.changes import changes
from builder.layers.tarwrite import write_layer
from builder.sandbox.launcher import Launcher
from builder.snapshots.active import Snapshots
from builder.snapshots.layer import unpack


def ensure(launcher: Launcher, root: Path, layers: Iterable[Layer]) -> None:
    """Unpack those of `layers` that have no snapshot yet, side by side."""
    snapshots = Snapshots(root)
    missing = [layer for layer in dict.fromkeys(layers) if not snapshots.has(layer.diff_id)]
    for call in [launcher.call(unpack, None, root, layer) for layer in missing]:
        call.result()


@contextmanager
def merged(launcher: Launcher, root: Path, layers: tuple[Layer, ...]) -> Iterator[Reader]:
    """The tree `layers` stack up to, as the plain bytes of a tar; read it to its end."""
    ensure(launcher, root, layers)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        call = launcher.call(_send, (null, writer, null), root, tuple(layer.diff_id for layer in layers))
    finally:
        os.close(writer)
        os.close(null)
    try:
        with os.fdopen(reader, "rb") as stream:
            yield stream
    except BaseException:
        call.cancel()
        raise
    call.result()


# --- in the launcher's child ---------------------------------------------------------------------


def _send(root: Path, stack: tuple[Digest, ...]) -> None:
    with Snapshots(root).readable(stack) as tree, os.fdopen(os.dup(1), "wb") as out:
        write_layer(changes(tree, ()), out, "uncompressed")
