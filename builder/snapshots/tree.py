"""File trees for those outside the mapped IDs: layers made ready, a stack's merged tree or a part of it as a tar."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from builder.digest import Digest, Reader
from builder.errors import NotFoundError
from builder.image.descriptor import Layer
from builder.layers.changes import changes, single
from builder.layers.treetar import write_tree
from builder.linux.paths import open_in_root, resolve_in_root
from builder.sandbox.launcher import Call, Launcher
from builder.snapshots.active import Snapshots
from builder.snapshots.layer import unpack

_DIRECTORY, _FILE = b"d", b"f"
# standard output
_OUT = 1


def ensure(launcher: Launcher, root: Path, layers: Iterable[Layer]) -> None:
    """Unpack those of `layers` that have no snapshot yet, side by side."""
    snapshots = Snapshots(root)
    missing = [layer for layer in dict.fromkeys(layers) if not snapshots.has(layer.diff_id)]
    for call in [launcher.call(unpack, None, root, layer) for layer in missing]:
        call.result()


@contextmanager
def merged(launcher: Launcher, root: Path, layers: tuple[Layer, ...]) -> Iterator[IO[bytes]]:
    """The tree `layers` stack up to, as the plain bytes of a tar; read it to its end."""
    ensure(launcher, root, layers)
    stack = tuple(layer.diff_id for layer in layers)
    with _sent(lambda stdio: launcher.call(_send, stdio, root, stack)) as stream:
        yield stream


@contextmanager
def part(
    launcher: Launcher, root: Path, layers: tuple[Layer, ...], above: tuple[str, ...], path: str
) -> Iterator[tuple[bool, Reader]]:
    """What is at `path` in the tree of `layers` and the upper directories `above`, its links followed inside.

    Gives whether it is a directory, and a plain tar to be read to its end: of what is in that directory, or of that one
    file by its name. Raises NotFoundError when nothing is there.
    """
    ensure(launcher, root, layers)
    stack = tuple(layer.diff_id for layer in layers)
    with _sent(lambda stdio: launcher.call(_send_part, stdio, root, stack, above, path)) as stream:
        kind = stream.read(1)
        if kind:
            yield kind == _DIRECTORY, stream
            return
    raise AssertionError("a child that sends nothing raises")


@contextmanager
def _sent(begin: Callable[[tuple[int, int, int]], Call[None]]) -> Iterator[IO[bytes]]:
    """What a call that `begin` starts writes to its standard output; what it raises is raised at the end."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        call = begin((null, writer, null))
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
    with Snapshots(root).readable(stack) as tree:
        write_tree(changes(tree, ()), _OUT)


def _send_part(root: Path, stack: tuple[Digest, ...], above: tuple[str, ...], path: str) -> None:
    with Snapshots(root).readable(stack, above) as tree:
        found = _inside(tree, path)
        directory = os.path.isdir(found)
        os.write(_OUT, _DIRECTORY if directory else _FILE)
        write_tree(changes(found, ()) if directory else iter((single(found),)), _OUT)


def _inside(tree: str, path: str) -> str:
    """Where `path` is in `tree`, its links followed as if that were `/`. Raises NotFoundError."""
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        resolved = resolve_in_root(fd, path)
        os.close(open_in_root(fd, resolved))
    except OSError as error:
        raise NotFoundError(f"{path} is not there: {error.strerror}") from error
    finally:
        os.close(fd)
    return f"{tree}/{resolved}" if resolved else tree
