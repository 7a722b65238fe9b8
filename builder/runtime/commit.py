"""What a container changed: shown as lines, and made into an image.

Its top stays its own: the layer's blob is written from it, and unpacked when somebody needs it.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError
from builder.graph.amend import amended
from builder.image.config import History, ImageConfig, timestamp
from builder.image.descriptor import Descriptor, Layer
from builder.image.mediatypes import layer_type
from builder.layers.changes import changes
from builder.layers.difference import difference
from builder.layers.entry import Entry
from builder.layers.tarwrite import write_layer
from builder.linux.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from builder.runtime.spec import kept_spec
from builder.sandbox.launcher import Launcher
from builder.sandbox.targets import KEPT
from builder.snapshots.active import Snapshots
from builder.snapshots.layer import COMPRESSION
from builder.store.blobs import Blobs, store_errors

T = TypeVar("T")
_ATTEMPTS = 10


def shown(launcher: Launcher, root: Path, path: Path, stack: tuple[Digest, ...]) -> list[tuple[str, str]]:
    """(A, C or D, path) of what the container in the directory `path` changed of its `stack`."""
    return launcher.call(_shown, None, root, path, stack).result()


def packed(launcher: Launcher, root: Path, path: Path, stack: tuple[Digest, ...]) -> Layer | None:
    """What the container in the directory `path` changed, as a layer whose blob is in the store; None for nothing.

    While it runs, each file is taken as it is when its turn comes.
    """
    return launcher.call(_packed, None, root, path, stack).result()


def committed(
    config: ImageConfig, layer: Layer | None, change: Sequence[str], author: str, comment: str, now: float
) -> ImageConfig:
    """The config of a container's image, at `now` in seconds. Raises UsageError for what no --change may say.

    As in Docker: the history has the container's command, and without changed files no layer is added.
    """
    created = timestamp(now)
    entry = History(" ".join(config.cmd or ()), created, comment, author, empty_layer=layer is None)
    return replace(
        amended(config, change),
        created=created,
        author=author,
        history=(*config.history, entry),
        diff_ids=config.diff_ids if layer is None else (*config.diff_ids, layer.diff_id),
    )


# --- in the launcher's child ---------------------------------------------------------------------


def _changes(path: Path, lowers: Sequence[str]) -> Iterator[tuple[Entry, str]]:
    """What the container changed, less what the sandbox made to mount on."""
    upper = path / "upper"
    if not upper.is_dir():
        return iter(())  # it has not begun yet
    targets = (*KEPT, *(mount.target for mount in kept_spec(path).mounts))
    return changes(str(upper), lowers, frozenset(posixpath.normpath(target).lstrip("/") for target in targets))


def _shown(root: Path, path: Path, stack: tuple[Digest, ...]) -> list[tuple[str, str]]:
    snapshots = Snapshots(root)

    def look(below: int) -> list[tuple[str, str]]:
        entries = (entry for entry, _ in _changes(path, snapshots.lowers(stack)))
        return difference(entries, lambda name: _names(below, name))

    with store_errors(root), snapshots.readable(stack) as tree, _directory(tree) as below:
        return _settled(lambda: look(below))


def _settled(look: Callable[[], T]) -> T:
    """What `look` finds; it is called again when a file of a running container went away in front of it."""
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            return look()
    raise BadInputError("the container's files change too fast to be read", hint="stop it first")


@contextmanager
def _directory(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _names(tree: int, path: str) -> list[str] | None:
    """What lies below: the names in a directory, none for a file, None for nothing."""
    try:
        fd = openat2(tree, path, os.O_PATH | os.O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    except OSError as error:
        # ELOOP: a link lay above, where now is a directory.
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
    try:
        return os.listdir(f"/proc/self/fd/{fd}") if stat.S_ISDIR(os.fstat(fd).st_mode) else []
    finally:
        os.close(fd)


def _packed(root: Path, path: Path, stack: tuple[Digest, ...]) -> Layer | None:
    with store_errors(root):
        return _settled(lambda: _pack(root, path, stack))


def _pack(root: Path, path: Path, stack: tuple[Digest, ...]) -> Layer | None:
    found = _changes(path, Snapshots(root).lowers(stack))
    with Blobs(root).writer() as blob:
        written = write_layer(found, blob, COMPRESSION, moving=True)
        if not written.entries:
            return None
        blob.commit(written.blob)
    descriptor = Descriptor(layer_type(COMPRESSION), written.blob, written.blob_size)
    return Layer(written.diff_id, written.content_id, written.size, descriptor)
