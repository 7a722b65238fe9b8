"""A walk of a build context: what a choice finds there, by directory, and a fingerprint of it. No file is read.

There is no object for each file: of a directory there are the names and, packed, the statuses of what is taken of it.
Each directory is opened once, no link being followed, and its entries are asked for by that descriptor.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
import struct
from collections.abc import Iterator
from operator import attrgetter

from builder.errors import BadInputError
from builder.lang.ignore import Ignore
from builder.layers.choice import Part
from builder.sources.attributes import attributes
from builder.store.stats import Attributes

# st_dev, st_ino, st_size, st_mtime_ns, st_ctime_ns, st_mode, st_nlink: a status, packed.
STATE = struct.Struct("=QQQqqII")
_PACK = STATE.pack
# Where mode and links stand in it.
_MODE = struct.Struct("=I").size * 2
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAME = attrgetter("name")
# The form of what a fingerprint is made of: another form needs another name.
_FORM = b"pybuild walk 1"


class Listed:
    """What is taken of one directory: `names`, and a STATE each in `states`; directories among them are in `inner`.

    `path` is the directory's below the root, `target` below the source; for a source that is no directory, `single`,
    it has that alone. `others` are the indexes of what is no file, `links` says where symlinks lead, `parents` which
    directories are there only for what lies in them, `xattrs` is the directory's own.
    """

    __slots__ = ("inner", "links", "names", "others", "parents", "path", "single", "states", "target", "xattrs")

    def __init__(self, path: str, target: str = "", *, single: bool = False) -> None:
        self.path, self.target, self.single = path, target, single
        self.names: list[str] = []
        self.states = b""
        self.others: list[int] = []
        self.inner: dict[int, Listed] = {}
        self.links: dict[int, str] = {}
        self.parents: set[int] = set()
        self.xattrs: Attributes = ()

    def state(self, index: int) -> bytes:
        """The status of an entry, as STATE packs it."""
        return self.states[index * STATE.size : (index + 1) * STATE.size]

    @property
    def files(self) -> list[int]:
        """The indexes of files."""
        others = set(self.others)
        return [index for index in range(len(self.names)) if index not in others]

    def below(self) -> Iterator[tuple[Listed, int]]:
        """All entries, each right before what lies in it."""
        levels = [(self, iter(range(len(self.names))))]
        while levels:
            listed, indexes = levels[-1]
            index = next(indexes, None)
            if index is None:
                levels.pop()
                continue
            yield listed, index
            inner = listed.inner.get(index)
            if inner is not None:
                levels.append((inner, iter(range(len(inner.names)))))

    def directories(self) -> Iterator[Listed]:
        """This one, and all below it."""
        todo = [self]
        while todo:
            listed = todo.pop()
            yield listed
            todo += listed.inner.values()


class Source:
    """One source of a choice: `name` as it is called, `own` the STATE of a directory that is one, `tree` what it has.

    What is no directory is in `tree` alone.
    """

    __slots__ = ("name", "own", "tree")

    def __init__(self, name: str, tree: Listed, own: bytes | None) -> None:
        self.name, self.tree, self.own = name, tree, own

    @property
    def holds(self) -> bool:
        """Whether it is a directory with something in it."""
        return self.own is not None and bool(self.tree.names)


class _Level:
    """A directory on the way down: which directories in it are left, and which count only if something in them does."""

    __slots__ = ("held", "listed", "todo")

    def __init__(self, listed: Listed, found: list[int], held: dict[int, bool]) -> None:
        self.listed, self.todo, self.held = listed, iter(found), held


class Walk:
    """The sources of one choice in the context at `root`, in order, and the `devices` their files lie on, with a file
    of each.

    `top`: source directories count themselves. `git`: files count as git would record them (sources/fixed).
    """

    def __init__(self, root: str, ignore: Ignore, *, top: bool, git: bool) -> None:
        self.root, self.sources = root, list[Source]()
        self.devices: dict[int, str] = {}
        self._ignore, self._top, self._git = ignore, top, git
        self._hash = hashlib.sha256(b"%s %d %d" % (_FORM, top, git))

    @property
    def fingerprint(self) -> bytes:
        """A sha256 of all that counts of what was found, but in place of what is in each file the file's state.

        For files that is device, inode, size, mtime, ctime and mode; a directory counts by name, mode and attributes,
        a link by where it leads. As names and order count, and what ignore file and choice leave out is not there,
        equal fingerprints stand for equal selections as long as a state stands for a content (sources/statindex).
        """
        return self._hash.digest()

    def add(self, name: str, path: str, part: Part) -> Source | None:
        """The source `name`, which is at `path` below the root; None when `part` excludes it. Raises OSError."""
        status = os.lstat(os.path.join(self.root, path))
        kind = stat.S_IFMT(status.st_mode)
        if kind not in _KINDS:
            raise BadInputError(f"{name} is a socket or a device and cannot be copied")
        called = "" if part.include else name
        if kind == stat.S_IFDIR:
            source = Source(called, self._below(path, part), packed(status))
            own = (_counted(packed(status), (0,)), *_texts(source.tree.xattrs)) if self._top else ()
            self._fold(b"directory", *own)
        elif part.excluded(posixpath.basename(name)):
            return None
        else:
            source = Source(called, self._single(path, status), None)
            self._fold(b"single", os.fsencode(posixpath.basename(called)))
        self.sources.append(source)
        return source

    def _single(self, path: str, status: os.stat_result) -> Listed:
        directory, name = posixpath.split(path)
        listed = Listed(directory, single=True)
        listed.names.append(name)
        listed.states = packed(status)
        if stat.S_ISREG(status.st_mode):
            self.devices.setdefault(status.st_dev, os.path.join(self.root, path))
        else:
            listed.others.append(0)
            if stat.S_ISLNK(status.st_mode):
                listed.links[0] = os.readlink(os.path.join(self.root, path))
        self._close(_Level(listed, [], {}))
        return listed

    # --- directories ---------------------------------------------------------------------------

    def _below(self, path: str, part: Part) -> Listed:
        first = self._level(path, "", part)
        levels = [first]  # and no recursion: trees may be deeper than Python's stack
        while levels:
            level = levels[-1]
            index = next(level.todo, None)
            if index is None:
                self._close(levels.pop())
                continue
            above, name = level.listed, level.listed.names[index]
            inner = self._level(posixpath.join(above.path, name), posixpath.join(above.target, name), part)
            above.inner[index] = inner.listed
            levels.append(inner)
        return first.listed

    def _level(self, path: str, target: str, part: Part) -> _Level:
        listed, host = Listed(path, target), os.path.join(self.root, path)
        fd = os.open(host, _DIRECTORY)
        try:
            with os.scandir(fd) as entries:
                found = sorted(entries, key=_NAME)
            if not self._git:
                listed.xattrs = attributes(fd)
            held = self._chosen(listed, found, part)
            return self._stated(listed, found, held, fd)
        except OSError as error:
            if isinstance(error.filename, str):  # relative to the descriptor
                error.filename = os.path.join(host, error.filename)
            raise
        finally:
            os.close(fd)

    def _chosen(self, listed: Listed, found: list[os.DirEntry[str]], part: Part) -> dict[str, bool]:
        """Leaves in `found` what is taken; gives which directories of it are held, and whether only as parents."""
        held: dict[str, bool] = {}
        if not (self._ignore.rules or part.include or part.exclude):
            return held
        taken = []
        above, before = posixpath.join(listed.path, ""), posixpath.join(listed.target, "")
        for entry in found:
            path, inside = above + entry.name, before + entry.name
            if part.exclude and part.excluded(inside):
                continue
            included, directory = part.included(inside), entry.is_dir(follow_symlinks=False)
            shown = (included or directory) and not self._ignore.excluded(path)
            if not (shown and included):
                below = directory and (shown or self._ignore.may_reinclude_below(path))
                if not below or not (included or part.may_hold(inside)):
                    continue
                held[entry.name] = not included
            taken.append(entry)
        found[:] = taken
        return held

    def _stated(self, listed: Listed, found: list[os.DirEntry[str]], held: dict[str, bool], fd: int) -> _Level:
        """Asks for the status of what is `found`. What is gone since the directory was read was never there."""
        names, states, others, inner, devices = listed.names, list[bytes](), listed.others, list[int](), self.devices
        for entry in found:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            mode, device, name = status.st_mode, status.st_dev, entry.name
            kind = mode & 0o170000
            if kind != stat.S_IFREG or name in held:
                if kind not in _KINDS or (name in held and kind != stat.S_IFDIR):
                    continue
                if kind == stat.S_IFDIR:
                    inner.append(len(names))
                elif kind == stat.S_IFLNK:
                    listed.links[len(names)] = os.readlink(name, dir_fd=fd)
                others.append(len(names))
            elif device not in devices:
                devices[device] = os.path.join(self.root, listed.path, name)
            names.append(name)
            states.append(
                _PACK(
                    device, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, mode, status.st_nlink
                )
            )
        listed.states = b"".join(states)
        return _Level(listed, inner, {index: held[names[index]] for index in inner if names[index] in held})

    def _close(self, level: _Level) -> None:
        """All in the directory is known: what is held for nothing goes, and the rest counts."""
        listed = level.listed
        gone = {index for index in level.held if not listed.inner[index].names}
        listed.parents = {index for index, parent in level.held.items() if parent}
        if gone:
            _drop(listed, gone)
        names = os.fsencode("\0".join(listed.names))
        marks = repr((len(listed.names), sorted(listed.parents), sorted(listed.links))).encode()
        links = (os.fsencode(link) for _, link in sorted(listed.links.items()))
        inner = (text for index in sorted(listed.inner) for text in _texts(listed.inner[index].xattrs))
        counted = _counted(listed.states, listed.others)
        self._fold(os.fsencode(listed.target), names, marks, counted, *links, *inner)

    def _fold(self, *parts: bytes | bytearray) -> None:
        """Each with its length before it, and their number, so that no others make the same."""
        self._hash.update(b"%d:" % len(parts))
        for part in parts:
            self._hash.update(b"%d:" % len(part))
            self._hash.update(part)


_KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO)


def packed(status: os.stat_result) -> bytes:
    """A status as STATE packs it."""
    return _PACK(
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_mode,
        status.st_nlink,
    )


def _counted(states: bytes, others: list[int] | tuple[int, ...]) -> bytes | bytearray:
    """`states`, but of those that are no files the mode alone."""
    if not others:
        return states
    counted = bytearray(states)
    for index in others:
        mode = (index + 1) * STATE.size - _MODE
        counted[index * STATE.size : mode] = bytes(STATE.size - _MODE)
        counted[mode + _MODE // 2 : mode + _MODE] = bytes(_MODE // 2)
    return counted


def _texts(xattrs: Attributes) -> Iterator[bytes]:
    yield b"%d" % len(xattrs)
    for name, value in xattrs:
        yield os.fsencode(name)
        yield value


def _drop(listed: Listed, gone: set[int]) -> None:
    """Takes entries out of `listed`."""
    kept = [index for index in range(len(listed.names)) if index not in gone]
    moved = {index: position for position, index in enumerate(kept)}
    listed.states = b"".join(listed.state(index) for index in kept)
    listed.names = [listed.names[index] for index in kept]
    listed.others = [moved[index] for index in listed.others if index in moved]
    listed.inner = {moved[index]: inner for index, inner in listed.inner.items() if index in moved}
    listed.links = {moved[index]: link for index, link in listed.links.items()}
    listed.parents = {moved[index] for index in listed.parents if index in moved}
