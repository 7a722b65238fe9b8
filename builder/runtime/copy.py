"""Copies files between a container and this machine: a pipe with a tar in it, an end on each side.

The container's end runs in a launcher's child, where its files' owners are mapped: in the merged tree, mounted for
the copy, of a container that has ended; in the root of its first process while it runs, for no second overlayfs
may have the same top (kernel doc overlayfs.rst). This machine's end is this process, with its caller's rights.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest, HashingReader, Reader
from builder.errors import CanceledError, PybuildError, UsageError
from builder.layers import compress
from builder.layers.entry import Entry, Kind
from builder.linux.syscalls import umount
from builder.runtime.placing import Place, Side, State, place
from builder.runtime.transfer import TOP, picked, receive, send, settled
from builder.sandbox.launcher import Launcher
from builder.snapshots.active import Snapshots, own_mounts
from builder.snapshots.overlaymount import OverlayMount
from builder.store.blobs import store_errors

_SPECIAL = (Kind.CHAR, Kind.BLOCK, Kind.FIFO)


class Files(Struct, frozen=True):
    """Where a container's files are: store, its directory, its layers, and its root (a descriptor) while it runs."""

    root: Path
    path: Path
    stack: tuple[Digest, ...]
    running: int | None = None


class Copied(Struct, frozen=True):
    """What a copy did: bytes of the tar, and devices that were left out because this machine gets none."""

    size: int
    left_out: int = 0


def copy_out(launcher: Launcher, files: Files, source: Side, destination: Side, *, keep: bool, follow: bool) -> Copied:
    """Copy from a container to this machine, or as a tar to standard output. `keep` the owners; `follow` a link.

    Without `keep` all belongs to the caller and no program is setuid, as after chown(2). Raises UsageError and
    NotFoundError for what docker cp refuses.
    """
    if destination.stream:
        top = "" if source.content else source.name
        with _child_stdio(files, output=1) as stdio:
            call = launcher.call(_send, stdio, files, source, follow, top, False)
        return Copied(call.result())
    if keep and os.geteuid() != 0:
        raise UsageError("only root can give files to others", hint="leave -a away")
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        with _child_stdio(files, output=writer) as stdio:
            call = launcher.call(_send, stdio, files, source, follow, TOP, True)
    finally:
        os.close(writer)
    incoming = _Incoming(keep)
    trouble: Exception | None = None
    with os.fdopen(reader, "rb") as pipe:
        try:
            # Before the tar: whether it is a directory.
            if kind := pipe.read(1):
                incoming.unpack(pipe, source, destination, kind == b"d")
        except OSError as error:
            trouble = PybuildError(f"{destination.path} cannot be written: {error.strerror}")
        except Exception as error:
            trouble = error
    with suppress(BrokenPipeError):  # we stopped reading
        call.result()
    if trouble is not None:
        raise trouble
    return Copied(incoming.size, incoming.left_out)


class _Incoming:
    """This machine's end of a copy from a container."""

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.size = self.left_out = 0

    def unpack(self, pipe: Reader, source: Side, destination: Side, is_directory: bool) -> None:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            target = place(source, is_directory, *settled(root, destination))
            counted = HashingReader(pipe)
            receive(root, target, counted, self.change, shown=destination.shown)
            self.size = counted.size
        finally:
            os.close(root)

    def change(self, entry: Entry) -> Entry | None:
        if entry.kind in (Kind.CHAR, Kind.BLOCK):
            self.left_out += 1
            return None
        if self.keep:
            return entry
        kept = tuple((name, value) for name, value in entry.xattrs if name.startswith("user."))
        mode = entry.mode if entry.kind is Kind.DIRECTORY else entry.mode & ~(stat.S_ISUID | stat.S_ISGID)
        return replace(entry, uid=os.geteuid(), gid=os.getegid(), mode=mode, xattrs=kept)


def copy_in(launcher: Launcher, files: Files, source: Side, destination: Side, *, keep: bool, follow: bool) -> Copied:
    """Copy from this machine to a container, or a tar on standard input. Without `keep` all belongs to root there.

    A tar says itself to whom its files belong. Raises as `copy_out`.
    """
    if source.stream:
        with _child_stdio(files, input=0) as stdio:
            launcher.call(_receive, stdio, files, source, True, destination, True).result()
        return Copied(0)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with picked(root, source, follow=follow) as found:
            reader, writer = os.pipe2(os.O_CLOEXEC)
            with os.fdopen(writer, "wb", buffering=0) as pipe:
                try:
                    with _child_stdio(files, input=reader) as stdio:
                        call = launcher.call(_receive, stdio, files, source, found[2], destination, keep)
                finally:
                    os.close(reader)
                size = 0
                trouble: BaseException | None = None
                try:
                    size = send(found, TOP, pipe, mounts=True)
                except BrokenPipeError:
                    pass  # the other side says below what is wrong
                except BaseException as error:
                    trouble = error
                    call.cancel()
            try:
                call.result()
            except CanceledError:
                if trouble is None:
                    raise
            if trouble is not None:
                raise trouble
            return Copied(size)
    finally:
        os.close(root)


@contextmanager
def _child_stdio(
    files: Files, *, input: int | None = None, output: int | None = None
) -> Iterator[tuple[int, int, int]]:
    """Descriptors 0 to 2 of the container's end; the third is the root of a container that runs."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        chosen = [null if fd is None else fd for fd in (input, output, files.running)]
        yield chosen[0], chosen[1], chosen[2]
    finally:
        os.close(null)


# --- in the launcher's child ---------------------------------------------------------------------


def _send(files: Files, source: Side, follow: bool, top: str, tell: bool) -> int:
    with _opened(files) as root, picked(root, source, follow=follow) as found, os.fdopen(os.dup(1), "wb") as out:
        if tell:
            out.write(b"d" if found[2] else b"f")
        return send(found, top, out, mounts=False)


def _receive(files: Files, source: Side, is_directory: bool, destination: Side, keep: bool) -> None:
    def change(entry: Entry) -> Entry:
        if files.running is not None and entry.kind in _SPECIAL:
            raise UsageError(f"{entry.path} is a device or FIFO, which a running container cannot be given")
        if keep:
            return entry
        kept = tuple((name, value) for name, value in entry.xattrs if name.startswith("user."))
        return replace(entry, uid=0, gid=0, xattrs=kept)

    with _opened(files) as root, os.fdopen(os.dup(0), "rb") as pipe:
        found, state = settled(root, destination)
        if source.stream and state is not State.DIRECTORY:
            raise UsageError(f"{destination.shown} is not a directory, which a tar is unpacked into")
        target = Place(found.path, "") if source.stream else place(source, is_directory, found, state)
        tar = compress.plain(pipe) if source.stream else pipe
        with store_errors(files.root):
            receive(root, target, tar, change, shown=destination.shown, stream=source.stream)


@contextmanager
def _opened(files: Files) -> Iterator[int]:
    """The container's root, as a descriptor."""
    if files.running is not None:
        yield 2
        return
    path = str(files.path)
    own_mounts()
    snapshots = Snapshots(files.root)
    lowers = snapshots.lowers(files.stack) or (f"{path}/empty",)
    snapshots.mount(OverlayMount(lowers, f"{path}/root", f"{path}/upper", f"{path}/work"))
    try:
        root = os.open(f"{path}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield root
        finally:
            os.close(root)
    finally:
        umount(f"{path}/root")
