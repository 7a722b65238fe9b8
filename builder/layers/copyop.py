"""COPY, ADD and WORKDIR done in a root: rules of the Dockerfile reference, as BuildKit carries them out.

The destination is resolved once, inside the root; from there on everything is opened below its descriptor
without following links. Runs where the IDs of the root are mapped (a launcher's child).
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from typing import BinaryIO

from msgspec.structs import replace

from builder.digest import HashingReader, Reader
from builder.errors import BadInputError, BuildfileError, HostError
from builder.lang.chmod import ModeChange
from builder.layers import compress
from builder.layers.copyjob import ContextEntry, ContextSource, CopyJob
from builder.layers.copysource import Looks, changed, check_copy, looks, opened, unchanged
from builder.layers.entry import Entry, Kind
from builder.layers.extract import extract_archive
from builder.layers.select import select_in_root
from builder.linux.files import copy_data
from builder.linux.owners import check_mapped, make_node, set_owner
from builder.linux.paths import open_in_root, read_in_root, resolve_in_root
from builder.linux.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from builder.linux.users import owner
from builder.points import point

_CONFINED = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_PIECE = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_into(root: str, job: CopyJob, source_root: str | None = None) -> None:
    """Do `job` in the directory `root`; its `patterns` are matched in `source_root`.

    Raises NotFoundError for a missing source, BuildfileError where a file and a directory collide.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _Copying(fd, job, source_root).do()
    finally:
        os.close(fd)


def make_directory(root: str, path: str, user: str) -> None:
    """WORKDIR: make `path` and its missing parents in `root`, 0755, owned as by --chown=`user`."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(_made(fd, path, _owner_ids(fd, user)))
    finally:
        os.close(fd)


def _owner_ids(root: int, text: str) -> tuple[int, int]:
    """The IDs `text` means in `root`. Raises NotFoundError, and HostError for IDs no file can have here."""
    ids = owner(text, lambda path, limit: read_in_root(root, path, limit))
    check_mapped(*ids)
    return ids


def _made(root: int, path: str, ids: tuple[int, int]) -> int:
    """A descriptor of directory `path`, made with its missing parents."""
    resolved = resolve_in_root(root, path)
    current = os.dup(root)
    for part in filter(None, resolved.split("/")):
        try:
            os.mkdir(part, 0o755, dir_fd=current)
            set_owner(f"/proc/self/fd/{current}/{part}", *ids)
            os.chmod(part, 0o755, dir_fd=current)
        except FileExistsError:
            pass
        try:
            following = os.open(part, _DIRECTORY, dir_fd=current)
        except NotADirectoryError:
            raise BuildfileError(f"/{resolved} cannot be a directory: {part} is a file") from None
        finally:
            os.close(current)
        current = following
    return current


class _Copying:
    def __init__(self, root: int, job: CopyJob, source_root: str | None) -> None:
        self.root, self.job, self.source_root = root, job, source_root
        self.base = self.job.context
        self.sources = self.job.sources
        self.keep_ids = False
        if self.source_root is not None:
            self.base, self.keep_ids = self.source_root, True
            self.sources = select_in_root(self.source_root, self.job.choice)
        self.change = ModeChange.parse(self.job.chmod) if self.job.chmod else None
        self.ids: tuple[int, int] | None = None
        if self.job.chown:
            self.ids = _owner_ids(self.root, self.job.chown)
        # The directory last written to stays open: entries come directory by directory.
        self.parent: tuple[str, int] | None = None
        # Where the first of several hard links of a source went.
        self.links: dict[tuple[int, int], str] = {}

    def do(self) -> None:
        job = self.job
        for source in self.sources:
            if source.entries[0].kind is Kind.DIRECTORY:
                self._directory(source)
            elif job.unpack and source.entries[0].kind is Kind.FILE and self._unpacked(source):
                continue
            else:
                self._single(source)
        for inline in job.inline:
            directory, name = self._place(inline.name)
            with _closing(directory) as parent:
                self._inline(parent, name, inline.content)

    # --- where to --------------------------------------------------------------------------------

    def _is_directory(self) -> bool:
        if self.job.destination.endswith("/"):
            return True
        try:
            fd = open_in_root(self.root, self.job.destination, os.O_PATH)
        except OSError:
            return False
        try:
            return stat.S_ISDIR(os.fstat(fd).st_mode)
        finally:
            os.close(fd)

    def _place(self, name: str) -> tuple[int, str]:
        """The open directory and the name a single source called `name` gets."""
        if self._is_directory():
            return self._made(self.job.destination), posixpath.basename(name)
        resolved = resolve_in_root(self.root, self.job.destination)
        above, base = posixpath.split(resolved)
        return self._made(above), base

    def _made(self, path: str) -> int:
        return _made(self.root, path, self.ids or (0, 0))

    # --- what ------------------------------------------------------------------------------------

    def _single(self, source: ContextSource) -> None:
        directory, name = self._place(source.name)
        with _closing(directory) as parent:
            self._entry(parent, name, source.entries[0])

    def _directory(self, source: ContextSource) -> None:
        """The contents of a directory; the destination is made like any parent, not like the source."""
        self.links = {}
        with _closing(self._made(self.job.destination)) as destination:
            for entry in source.entries[1:]:
                above, name = posixpath.split(entry.target)
                self._entry(self._below(destination, above), name, entry, destination)
            self._forget()
            # Times last: putting entries in changes them.
            for entry in source.entries[1:]:
                if entry.kind is Kind.DIRECTORY:
                    fd = self._below(destination, entry.target)
                    os.utime(fd, ns=_times(self._looks(entry)))
            self._forget()

    def _below(self, destination: int, path: str) -> int:
        if self.parent is None or self.parent[0] != path:
            self._forget()
            flags = os.O_RDONLY | os.O_DIRECTORY
            self.parent = (
                path,
                openat2(destination, path or ".", flags, 0, _CONFINED),
            )
        return self.parent[1]

    def _forget(self) -> None:
        if self.parent is not None:
            os.close(self.parent[1])
            self.parent = None

    def _host(self, entry: ContextEntry) -> str:
        return os.path.join(self.base, entry.path) if entry.path else self.base

    def _looks(self, entry: ContextEntry) -> Looks:
        return looks(entry, self._host(entry), whole=self.keep_ids)

    def _entry(self, parent: int, name: str, entry: ContextEntry, top: int | None = None) -> None:
        """Make one entry; below the descriptor `top`, hard links stay links."""
        made = self._looks(entry)
        if entry.kind is Kind.DIRECTORY:
            self._make(parent, name, entry, made)
            return
        _clear(parent, name)
        if entry.kind is Kind.FILE:
            if top is None or not self._linked(parent, name, entry, made, top):
                self._file(parent, name, entry, made)
        elif entry.kind is Kind.SYMLINK:
            os.symlink(made.link, name, dir_fd=parent)
            set_owner(f"/proc/self/fd/{parent}/{name}", *self._owner(made))
            os.utime(name, ns=_times(made), dir_fd=parent, follow_symlinks=False)
        else:
            self._node(parent, name, made)

    def _linked(self, parent: int, name: str, entry: ContextEntry, made: Looks, top: int) -> bool:
        """Whether `entry` is a hard link of an earlier one, and made as that."""
        first = made.link
        if made.inode is not None:
            first = self.links.setdefault(made.inode, entry.target)
        if first in ("", entry.target):
            return False
        above, base = posixpath.split(first)
        with _closing(openat2(top, above or ".", os.O_PATH | os.O_DIRECTORY, 0, _CONFINED)) as directory:
            os.link(base, name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
        return True

    def _make(self, parent: int, name: str, entry: ContextEntry, made: Looks) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                raise BuildfileError(f"cannot copy directory {entry.target} over what is no directory there") from None
            if entry.parent:
                return
        with _closing(os.open(name, _DIRECTORY, dir_fd=parent)) as fd:
            self._dress(fd, entry, made)

    def _file(self, parent: int, name: str, entry: ContextEntry, made: Looks) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with (
            _closing(opened(entry, self._host(entry))) as source,
            _closing(os.open(name, flags, 0o600, dir_fd=parent)) as target,
        ):
            copy_data(source, target)
            point("copy:copied")
            check_copy(entry, source, target)
            self._dress(target, entry, made)

    def _node(self, parent: int, name: str, made: Looks) -> None:
        path = f"/proc/self/fd/{parent}/{name}"
        make_node(path, stat.S_IFMT(made.seen.mode) | 0o600, made.seen.device, self._owner(made))
        os.chmod(path, self._mode(made))
        os.utime(path, ns=_times(made), follow_symlinks=False)

    def _inline(self, parent: int, name: str, content: bytes) -> None:
        _clear(parent, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=parent), "wb") as file:
            file.write(content)
            set_owner(file.fileno(), *(self.ids or (0, 0)))
            os.fchmod(file.fileno(), self._changed(0o644))

    def _dress(self, fd: int, entry: ContextEntry, made: Looks) -> None:
        """Owner, attributes, mode and time, in the order in which none undoes another (chown(2))."""
        set_owner(fd, *self._owner(made))
        for name, value in made.xattrs:
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                raise _unkept(entry, name, error) from error
        os.fchmod(fd, self._mode(made))
        os.utime(fd, ns=_times(made))

    def _owner(self, made: Looks) -> tuple[int, int]:
        return self.ids if self.ids is not None else (made.seen.uid, made.seen.gid)

    def _mode(self, made: Looks) -> int:
        mode = made.seen.mode
        return self._changed(stat.S_IMODE(mode), directory=stat.S_ISDIR(mode))

    def _changed(self, mode: int, *, directory: bool = False) -> int:
        return mode if self.change is None else self.change.applied(mode, directory=directory)

    # --- archives --------------------------------------------------------------------------------

    def _unpacked_entry(self, entry: Entry) -> Entry:
        """As BuildKit unpacks: --chown counts, --chmod does not."""
        uid, gid = self.ids or (entry.uid, entry.gid)
        return replace(entry, uid=uid, gid=gid)

    def _unpacked(self, source: ContextSource) -> bool:
        """Unpack a local archive into the destination; False when the file is none."""
        entry = source.entries[0]
        with os.fdopen(opened(entry, self._host(entry)), "rb") as file:
            if not _is_archive(file):
                return False
            file.seek(0)
            with _closing(self._made(self.job.destination)) as directory:
                self._extract(entry, file, f"/proc/self/fd/{directory}")
        return True

    def _extract(self, entry: ContextEntry, file: BinaryIO, directory: str) -> None:
        """Unpack `file`. Raises BadInputError unless it is what its key says."""
        fixed, hashing = entry.fixed, HashingReader(file)
        known = fixed is None or unchanged(fixed, file.fileno())
        extract_archive(compress.plain(file if known else hashing), directory, self._unpacked_entry)
        point("copy:unpacked")
        if fixed is None or (known and unchanged(fixed, file.fileno())):
            return
        while not known and hashing.read(_PIECE):
            pass
        if known or hashing.digest() != fixed.digest:
            raise changed(entry)


def is_archive(path: str) -> bool:
    """Whether a file's content, decompressed if need be, begins like a tar archive."""
    with open(path, "rb") as file:
        return _is_archive(file)


def _is_archive(file: Reader) -> bool:
    try:
        block = compress.Peekable(compress.plain(file)).peek(512)
    except BadInputError:
        return False
    if len(block) < 512 or not block.strip(b"\0"):
        return False
    try:
        stored = int(block[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return stored == sum(block[:148]) + 256 + sum(block[156:])


def _times(made: Looks) -> tuple[int, int]:
    return made.mtime, made.mtime


def _unkept(entry: ContextEntry, name: str, error: OSError) -> HostError:
    return HostError(
        f"the extended attribute {name} of {entry.path} cannot be kept in the store: {error.strerror}",
        hint="use a directory on another file system (--root DIR), or build with --context-mode=git",
    )


class _closing:
    """A descriptor, closed at the end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _clear(parent: int, name: str) -> None:
    """Make room for a file: another file or a link is replaced, a directory is not."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.EPERM):
            raise BuildfileError(f"cannot replace the directory {name} by a file") from error
        raise
