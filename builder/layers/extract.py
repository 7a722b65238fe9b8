"""Entries → files, confined: whatever an archive's links say, nothing is written outside its root.

Parents are opened by openat2(RESOLVE_BENEATH): a symlink of the archive that leads out stops the unpacking.
Directories get their times last, when nothing is put into them any more.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest, HashingReader, Reader
from builder.errors import BadInputError, HostError
from builder.layers.contentid import ContentId
from builder.layers.entry import Entry, Kind
from builder.layers.tarread import Data, read_entries
from builder.layers.whiteout import make_whiteout, set_opaque
from builder.linux.files import remove_tree, write_all
from builder.linux.owners import SPECIAL_ATTRIBUTE, make_node, set_owner
from builder.linux.paths import open_beneath

_PIECE = 1 << 20
# Directories whose times are held until nothing is put into them any more.
_MOST_TIMES = 50_000


class LayerFacts(Struct, frozen=True):
    """What reading a layer's tar found out; `size` in bytes of the plain tar."""

    diff_id: Digest
    content_id: Digest
    size: int


def inspect_layer(tar: Reader) -> LayerFacts:
    """Read a layer's plain tar to its end without keeping its files. Raises BadInputError."""
    hashing, content = HashingReader(tar), ContentId()
    for entry, data in read_entries(hashing):
        content.add(hashed(entry, data))
    return LayerFacts(hashing.digest(), content.digest(), hashing.size)


def extract_layer(tar: Reader, directory: str) -> LayerFacts:
    """Unpack a layer's plain tar into the empty `directory`, deletions in overlayfs's form."""
    hashing, content = HashingReader(tar), ContentId(os.path.dirname(directory))
    extraction = Extraction(directory, implied=0)  # so that it looks the same on every machine
    try:
        for entry, data in read_entries(hashing):
            content.add(extraction.put(entry, data))
        extraction.finish()
    finally:
        extraction.close()
    return LayerFacts(hashing.digest(), content.digest(), hashing.size)


def extract_archive(tar: Reader, directory: str, change: Callable[[Entry], Entry | None]) -> None:
    """Unpack any tar into the existing `directory` over what is there. `.wh.` names mean nothing here.

    `change` may give each entry another owner or mode, or None to leave it out.
    """
    extraction = Extraction(directory, hashed=False)
    try:
        for entry, data in read_entries(tar, whiteouts=False):
            changed = change(entry)
            if changed is not None:
                extraction.put(changed, data)
        extraction.finish()
    finally:
        extraction.close()


def hashed(entry: Entry, data: Data) -> Entry:
    """`entry`, if it is a file with the digest of its `data`, which is read for it."""
    if entry.kind is not Kind.FILE:
        return entry
    return replace(entry, digest=_copy(data, None))


def _copy(data: Data, target: int | None) -> Digest:
    state = hashlib.sha256()
    while data.left:
        piece = data.read(_PIECE)
        state.update(piece)
        if target is not None:
            write_all(target, piece)
    return Digest(state.hexdigest())


def _move(data: Data, target: int) -> None:
    while data.left:
        write_all(target, data.read(_PIECE))


class Extraction:
    """Puts entries below one root, one after the other; `finish` when all are there, `close` in any case.

    `implied` is the time, in seconds, of directories that no entry names; None: that they are made at. Files whose
    digest nobody asks for are not `hashed`.
    """

    def __init__(self, directory: str, implied: int | None = None, *, hashed: bool = True) -> None:
        self._implied, self._hashed = implied, hashed
        self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._directory_times: dict[str, tuple[int, int]] = {}
        # Whether some have their times already, as there were too many to hold.
        self._settled = False
        # Most entries follow a sibling: the parent last used stays open.
        self._parent: tuple[str, int] | None = None

    def close(self) -> None:
        """Let go of the root."""
        self._forget()
        os.close(self._root)

    def put(self, entry: Entry, data: Data) -> Entry:
        """Make one entry; returns it, with its file's digest if that is hashed.

        Raises BadInputError for one that cannot be.
        """
        if not entry.path:
            return self._put_root(entry)
        try:
            return self._put(entry, data)
        except OSError as error:
            raise _explained(entry, error) from error

    def take(self, entry: Entry, source: str) -> None:
        """Make a file another name of the one at `source`, which has all that `entry` says."""
        above, _, name = entry.path.rpartition("/")
        parent = self._open_parent(above)
        self._clear(parent, name)
        os.link(source, name, dst_dir_fd=parent, follow_symlinks=False)

    def finish(self) -> None:
        """Give the directories the times of their entries."""
        self._forget()
        self._settle()

    def _settle(self) -> None:
        for path in sorted(self._directory_times, key=lambda p: p.count("/"), reverse=True):
            # A later entry may have replaced the directory by something else.
            with suppress(FileNotFoundError, NotADirectoryError):
                fd = open_beneath(self._root, path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                os.utime(fd, ns=self._directory_times[path])
                os.close(fd)
        self._directory_times = {}

    def _forget(self) -> None:
        if self._parent is not None:
            os.close(self._parent[1])
            self._parent = None

    def _put_root(self, entry: Entry) -> Entry:
        if entry.kind is Kind.DIRECTORY:
            _own(self._root, entry)
            os.fchmod(self._root, entry.mode)
        elif entry.kind is Kind.OPAQUE:
            set_opaque(self._root)
        return entry

    def _put(self, entry: Entry, data: Data) -> Entry:
        if entry.kind is Kind.OPAQUE:
            set_opaque(self._open_parent(entry.path))  # a directory that the layer need not name before
            return entry
        above, _, name = entry.path.rpartition("/")
        parent = self._open_parent(above)
        if entry.kind is Kind.DIRECTORY:
            self._directory(parent, name, entry)
            return entry
        if entry.kind is Kind.FILE:
            return self._file(parent, name, entry, data)
        self._clear(parent, name)
        match entry.kind:
            case Kind.HARDLINK:
                self._hardlink(parent, name, entry)
            case Kind.SYMLINK:
                os.symlink(entry.link, name, dir_fd=parent)
                path = f"/proc/self/fd/{parent}/{name}"
                _set_xattrs(path, entry)
                set_owner(path, entry.uid, entry.gid)
                os.utime(path, ns=_times(entry), follow_symlinks=False)
            case Kind.WHITEOUT:
                make_whiteout(name, parent)
            case Kind.CHAR | Kind.BLOCK | Kind.FIFO:
                self._node(parent, name, entry)
        return entry

    def _open_parent(self, path: str) -> int:
        if self._parent is not None and self._parent[0] == path:
            return self._parent[1]
        self._forget()
        fd = self._make_parents(path)
        self._parent = (path, fd)
        if self._settled and path and path not in self._directory_times:
            status = os.fstat(fd)  # it has its time, and loses it with what comes
            self._keep_times(path, (status.st_mtime_ns, status.st_mtime_ns))
        return fd

    def _keep_times(self, path: str, times: tuple[int, int]) -> None:
        if len(self._directory_times) >= _MOST_TIMES:
            self._settle()
            self._settled = True
        self._directory_times[path] = times

    def _make_parents(self, path: str) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY
        try:
            return open_beneath(self._root, path, flags)
        except FileNotFoundError:
            pass
        current = os.dup(self._root)
        walked = ""
        for part in path.split("/"):
            walked = f"{walked}/{part}" if walked else part
            made = False
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=current)
                made = True
            following = open_beneath(self._root, walked, flags)
            if made:
                os.fchmod(following, 0o755)
                if self._implied is not None:
                    self._keep_times(walked, (self._implied * 10**9,) * 2)
            os.close(current)
            current = following
        return current

    def _clear(self, parent: int, name: str) -> None:
        """A later entry takes an earlier one's place."""
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            remove_tree(f"/proc/self/fd/{parent}/{name}")

    def _directory(self, parent: int, name: str, entry: Entry) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                self._clear(parent, name)
                os.mkdir(name, 0o700, dir_fd=parent)
        with _opened(parent, name) as fd:
            _own(fd, entry)
            os.fchmod(fd, entry.mode)
        self._keep_times(entry.path, _times(entry))

    def _file(self, parent: int, name: str, entry: Entry, data: Data) -> Entry:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, 0o600, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, name)
            fd = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            if self._hashed:
                entry = replace(entry, digest=_copy(data, fd))
            else:
                _move(data, fd)
            # chown clears setuid and capabilities (chown(2)): owner first, then mode and attributes
            _own(fd, entry)
            os.fchmod(fd, entry.mode)
            os.utime(fd, ns=_times(entry))
        finally:
            os.close(fd)
        return entry

    def _hardlink(self, parent: int, name: str, entry: Entry) -> None:
        above, _, base = entry.link.rpartition("/")
        source = open_beneath(self._root, above, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.link(base, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _node(self, parent: int, name: str, entry: Entry) -> None:
        kind = {Kind.CHAR: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK, Kind.FIFO: stat.S_IFIFO}[entry.kind]
        if entry.kind is Kind.CHAR and entry.device == (0, 0):
            raise BadInputError(f"entry {entry.path!r} of the archive is a device 0:0")
        path = f"/proc/self/fd/{parent}/{name}"
        make_node(path, kind | 0o600, os.makedev(*entry.device), (entry.uid, entry.gid))
        _set_xattrs(path, entry)
        # chmod(2) would follow a link that somebody put there meanwhile.
        node = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{node}", entry.mode)
        finally:
            os.close(node)
        os.utime(path, ns=_times(entry), follow_symlinks=False)


class _opened:
    """A directory below another, opened without following a link, closed at the end."""

    def __init__(self, parent: int, name: str) -> None:
        self._fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _own(fd: int, entry: Entry) -> None:
    set_owner(fd, entry.uid, entry.gid)
    for name, value in entry.xattrs:
        os.setxattr(fd, name, value)


def _set_xattrs(path: str, entry: Entry) -> None:
    """Of what is no file or directory: capabilities mean nothing there, and are where owners are recorded."""
    for name, value in entry.xattrs:
        if name != SPECIAL_ATTRIBUTE:
            os.setxattr(path, name, value, follow_symlinks=False)


def _times(entry: Entry) -> tuple[int, int]:
    whole = entry.mtime * 1_000_000_000 + entry.nanoseconds
    return whole, whole


def _explained(entry: Entry, error: OSError) -> Exception:
    name = f"entry {entry.path!r} of the archive"
    if error.errno in (errno.EXDEV, errno.ELOOP):
        return BadInputError(f"{name} goes through a symbolic link that leads out of the archive's root")
    if error.errno in (errno.ENOTDIR, errno.ENOENT) and entry.kind is Kind.HARDLINK:
        return BadInputError(f"{name} is a hard link to {entry.link!r}, which is not in it")
    if error.errno == errno.EPERM and entry.kind is Kind.HARDLINK:
        return BadInputError(f"{name} is a hard link to {entry.link!r}, which is a directory")
    if error.errno in (errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENOENT):
        return BadInputError(f"{name} cannot be made: {error.strerror}")
    if error.errno == errno.EINVAL and entry.uid + entry.gid > 0:
        return HostError(
            f"{name} belongs to {entry.uid}:{entry.gid}, which is not among the IDs you may use",
            hint="give yourself more subordinate IDs in /etc/subuid and /etc/subgid (65536 are usual)",
        )
    if error.errno == errno.EPERM and entry.kind in (Kind.CHAR, Kind.BLOCK):
        return HostError(f"{name} is a device, which only root can make", hint="build as root, or without it")
    return error
