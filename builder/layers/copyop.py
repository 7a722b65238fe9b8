"""COPY, ADD and WORKDIR: rules of the Dockerfile reference, as BuildKit carries them out.

What goes where, and as whose, is decided here; a `Target` makes it. The destination is resolved once, inside the root.
Runs where the IDs of the root are mapped (a launcher's child).
"""

from __future__ import annotations

import os
import posixpath
import stat
import time
from typing import BinaryIO

from msgspec.structs import replace

from builder.digest import HashingReader, Reader
from builder.errors import BadInputError
from builder.lang.chmod import ModeChange
from builder.layers import compress
from builder.layers.copyjob import ContextEntry, ContextSource, CopyJob
from builder.layers.copyroot import InRoot
from builder.layers.copysource import Looks, changed, looks, opened, unchanged
from builder.layers.copytarget import Source, Target
from builder.layers.entry import Entry, Kind
from builder.layers.extract import extract_archive
from builder.layers.select import select_in_root
from builder.linux.owners import check_mapped
from builder.linux.paths import read_in_root
from builder.linux.users import owner
from builder.points import point

_PIECE = 1 << 20
# symlink(7): all links have it
_LINK_MODE = 0o777


def copy_into(root: str, job: CopyJob, source_root: str | None = None) -> None:
    """Do `job` in the directory `root`; its `patterns` are matched in `source_root`.

    Raises NotFoundError for a missing source, BuildfileError where a file and a directory collide.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with InRoot(fd) as target:
            copy_to(target, fd, job, source_root)
    finally:
        os.close(fd)


def copy_to(target: Target, root: int, job: CopyJob, source_root: str | None = None) -> None:
    """Do `job` in `target`, which is, or shows what would become of, the directory `root` (a descriptor)."""
    _Copying(target, root, job, source_root).do()


def make_directory(root: str, path: str, user: str) -> None:
    """WORKDIR: make `path` and its missing parents in `root`, 0755, owned as by --chown=`user`."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with InRoot(fd) as target:
            target.make_parents(target.resolved(path), _owner_ids(fd, user))
    finally:
        os.close(fd)


def _owner_ids(root: int, text: str) -> tuple[int, int]:
    """The IDs `text` means in `root`. Raises NotFoundError, and HostError for IDs no file can have here."""
    ids = owner(text, lambda path, limit: read_in_root(root, path, limit))
    check_mapped(*ids)
    return ids


class _Copying:
    def __init__(self, target: Target, root: int, job: CopyJob, source_root: str | None) -> None:
        self.target, self.job = target, job
        self.base, self.sources, self.keep_ids = job.context, job.sources, False
        if source_root is not None:
            self.base, self.keep_ids = source_root, True
            self.sources = select_in_root(source_root, job.choice)
        self.change = ModeChange.parse(job.chmod) if job.chmod else None
        self.ids = _owner_ids(root, job.chown) if job.chown else None
        self.destination = target.resolved(job.destination)

    def do(self) -> None:
        job = self.job
        for source in self.sources:
            first = source.entries[0]
            if first.kind is Kind.DIRECTORY:
                self._directory(source)
            elif not (job.unpack and first.kind is Kind.FILE and self._unpacked(first)):
                self._put(self._place(source.name), first)
        for inline in job.inline:
            uid, gid = self.ids or (0, 0)
            path, now = self._place(inline.name), divmod(time.time_ns(), 1_000_000_000)
            entry = Entry(path, Kind.FILE, self._changed(0o644), uid, gid, mtime=now[0], nanoseconds=now[1])
            self.target.put(entry, Source(content=inline.content))

    # --- where to --------------------------------------------------------------------------------

    def _place(self, name: str) -> str:
        """The path a single source called `name` gets; the directory it is in is there then."""
        if self.job.destination.endswith("/") or self.target.is_directory(self.destination):
            self._make_parents(self.destination)
            return posixpath.join(self.destination, posixpath.basename(name))
        self._make_parents(posixpath.dirname(self.destination))
        return self.destination

    def _make_parents(self, path: str) -> None:
        self.target.make_parents(path, self.ids or (0, 0))

    # --- what ------------------------------------------------------------------------------------

    def _directory(self, source: ContextSource) -> None:
        """The contents of a directory; the destination is made like any parent, not like the source."""
        self._make_parents(self.destination)
        above = f"{self.destination}/" if self.destination else ""
        links: dict[tuple[int, int], str] = {}
        directories: list[Entry] = []
        for entry in source.entries[1:]:
            made = self._put(above + entry.target, entry, above, links)
            if made is not None:
                directories.append(made)
        self.target.settle(directories)

    def _put(
        self, path: str, entry: ContextEntry, above: str = "", links: dict[tuple[int, int], str] | None = None
    ) -> Entry | None:
        """Put `entry` at `path`; gives what a directory is made as. With `links`, hard links stay links."""
        host = f"{self.base}/{entry.path}" if entry.path else self.base
        made = looks(entry, host, whole=self.keep_ids)
        wanted = self._entry(path, entry, made)
        if entry.kind is Kind.DIRECTORY:
            self.target.put(wanted, parent=entry.parent)
            return wanted
        if links is not None:
            first = links.setdefault(made.inode, entry.target) if made.inode is not None else made.link
            if entry.kind is not Kind.SYMLINK and first not in ("", entry.target):
                linked = replace(wanted, kind=Kind.HARDLINK, link=above + first, size=0, digest=None)
                self.target.put(linked)
                return None
        self.target.put(wanted, Source(entry, host) if entry.kind is Kind.FILE else None)
        return None

    def _entry(self, path: str, source: ContextEntry, made: Looks) -> Entry:
        seen, kind, fixed = made.seen, source.kind, source.fixed
        uid, gid = self.ids if self.ids is not None else (seen.uid, seen.gid)
        seconds, nanoseconds = divmod(made.mtime, 1_000_000_000)
        if kind is Kind.SYMLINK:
            return Entry(path, kind, _LINK_MODE, uid, gid, mtime=seconds, nanoseconds=nanoseconds, link=made.link)
        return Entry(
            path,
            kind,
            self._changed(stat.S_IMODE(seen.mode), directory=kind is Kind.DIRECTORY),
            uid,
            gid,
            0 if fixed is None else fixed.size,
            seconds,
            None if fixed is None else fixed.digest,
            nanoseconds=nanoseconds,
            device=(os.major(seen.device), os.minor(seen.device)) if kind in (Kind.CHAR, Kind.BLOCK) else (0, 0),
            xattrs=made.xattrs,
        )

    def _changed(self, mode: int, *, directory: bool = False) -> int:
        return mode if self.change is None else self.change.applied(mode, directory=directory)

    # --- archives --------------------------------------------------------------------------------

    def _unpacked_entry(self, entry: Entry) -> Entry:
        """As BuildKit unpacks: --chown counts, --chmod does not."""
        uid, gid = self.ids or (entry.uid, entry.gid)
        return replace(entry, uid=uid, gid=gid)

    def _unpacked(self, entry: ContextEntry) -> bool:
        """Unpack a local archive into the destination; False when the file is none."""
        place = self.target.directory(self.destination)
        with os.fdopen(opened(entry, os.path.join(self.base, entry.path)), "rb") as file:
            if not _is_archive(file):
                return False
            file.seek(0)
            self._make_parents(self.destination)
            with place as directory:
                self._extract(entry, file, directory)
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
