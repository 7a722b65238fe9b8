"""The two ends of a copy: files picked and sent as a tar, and a tar received, each below a root it cannot leave.

One end is this machine, the other a container; neither is trusted not to change meanwhile. All that is named is
opened below descriptors (linux/paths), so that no link leads out of its root.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from builder.digest import Reader, Writer
from builder.errors import NotFoundError, PybuildError, UsageError
from builder.layers.descend import entries
from builder.layers.entry import Entry, Kind
from builder.layers.extract import extract_archive
from builder.layers.tarwrite import write_layer
from builder.linux.paths import open_beneath, open_in_root, resolve_in_root
from builder.runtime.placing import Place, Side, State

# What a tar calls the thing that is copied; the place it goes to gives it its name.
TOP = "top"


@contextmanager
def picked(root: int, source: Side, *, follow: bool) -> Iterator[tuple[int, str, bool]]:
    """The directory (a descriptor), the name in it, and whether it is a directory, of `source` below `root`.

    Its own link is followed if `follow`, or if it must be a directory. Raises NotFoundError, UsageError.
    """
    with _refused(source.shown):
        path = source.path
        if follow or source.directory:
            path = "/" + resolve_in_root(root, path)
        parent = open_in_root(root, posixpath.dirname(path), os.O_PATH | os.O_DIRECTORY)
        try:
            name = posixpath.basename(path) or "."
            is_directory = stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
            if source.directory and not is_directory:
                raise UsageError(f"{source.shown} is not a directory")
            yield parent, name, is_directory
        finally:
            os.close(parent)


def send(place: tuple[int, str, bool], top: str, out: Writer, *, mounts: bool) -> int:
    """Write what was `picked` as a tar that calls it `top`; gives the tar's size in bytes.

    With `top` empty, only what lies in it. See layers/descend for `mounts`. Raises UsageError for a socket.
    """
    parent, name, _ = place
    written = write_layer(entries(parent, name, top, mounts=mounts), out, "uncompressed", moving=True)
    if top and not written.entries:
        raise UsageError("a socket cannot be copied")
    return written.size


def settled(root: int, destination: Side) -> tuple[Side, State]:
    """`destination` with its links followed, and what is there."""
    with _refused(destination.shown):
        found = replace(destination, path="/" + resolve_in_root(root, destination.path))
        try:
            fd = open_in_root(root, found.path)
        except FileNotFoundError:
            return found, State.MISSING
        try:
            return found, State.DIRECTORY if stat.S_ISDIR(os.fstat(fd).st_mode) else State.FILE
        finally:
            os.close(fd)


def receive(
    root: int, place: Place, tar: Reader, change: Callable[[Entry], Entry | None], *, shown: str, stream: bool = False
) -> None:
    """Unpack a tar made by `send` into `place`, or any tar that is a `stream`; `change` as in extract_archive.

    `shown` is what a user calls the destination.

    Files replace files, and directories take in directories. Raises UsageError for one in place of the other,
    BadInputError for a stream that is no clean tar.
    """
    with _refused(shown):
        try:
            directory = open_in_root(root, place.directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            raise NotFoundError(f"{shown} cannot be made: {place.directory} does not exist") from None
        try:

            def put(entry: Entry) -> Entry | None:
                named = entry if stream else _named(entry, place.name)
                changed = change(named) if named.path else None
                if changed is not None:
                    _check(directory, changed)
                return changed

            extract_archive(tar, f"/proc/self/fd/{directory}", put)
        finally:
            os.close(directory)


def _named(entry: Entry, name: str) -> Entry:
    link = _renamed(entry.link, name) if entry.kind is Kind.HARDLINK else entry.link
    return replace(entry, path=_renamed(entry.path, name), link=link)


def _renamed(path: str, name: str) -> str:
    rest = path[len(TOP) :]
    return name + rest if name else rest.lstrip("/")


def _check(directory: int, entry: Entry) -> None:
    """As docker cp, no directory is replaced by a file, nor the other way round."""
    try:
        fd = open_beneath(directory, entry.path, os.O_PATH | os.O_NOFOLLOW)
    except OSError:
        return  # not there, or in a way that the unpacking refuses
    try:
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
    finally:
        os.close(fd)
    if is_directory != (entry.kind is Kind.DIRECTORY):
        kind = "a directory" if is_directory else "no directory"
        raise UsageError(f"{entry.path} exists and is {kind}: it is not replaced")


@contextmanager
def _refused(path: str) -> Iterator[None]:
    """What the kernel refuses of a copy, as errors that say so."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # whose space it is the caller knows
        raise _explained(path, error) from error


def _explained(path: str, error: OSError) -> PybuildError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFoundError(f"{path} does not exist")
    if error.errno == errno.EROFS:
        return UsageError(f"{path} is read-only there")
    name = str(error.filename or "").rpartition("/")[2]
    return UsageError(f"{path} cannot be copied: {error.strerror}{f' ({name})' if name else ''}")
