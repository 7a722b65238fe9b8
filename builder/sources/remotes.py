"""What one build takes from URLs and git repositories: asked for once, put into files only when a step needs them.

with Remotes(store, emit) as remotes:
    content = remotes.current(vertex)     what it is now: a digest for the key
    content.files()                       its files in a directory of this machine, until the build ends

Directories lie in the store's tmp/, where a later process sweeps what a crash left.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from builder.digest import Digest
from builder.events import Emit
from builder.graph.vertex import GitTree, UrlFile
from builder.layers.copyjob import ContextEntry, ContextSource
from builder.layers.entry import Kind
from builder.linux.files import copy_data
from builder.store.blobs import store_errors
from builder.store.open import Store

if TYPE_CHECKING:
    from builder.sources.git import Git, Resolved
    from builder.sources.http import Web

FILE_MODE = 0o600


class Files(Struct, frozen=True):
    """Files below `root`, all of them to be copied."""

    root: str
    source: ContextSource


class Remotes:
    """Use it as a context manager. `cancel` may be called from any thread."""

    def __init__(self, store: Store, emit: Emit) -> None:
        self._store, self._emit = store, emit
        self._stack = ExitStack()
        self._web: Web | None = None
        self._git: Git | None = None
        self._known: dict[tuple[str, ...], UrlContent | TreeContent] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def cancel(self) -> None:
        """Stop what is being fetched."""
        if self._web is not None:
            self._web.cancel()
        if self._git is not None:
            self._git.cancel()

    def current(self, vertex: UrlFile | GitTree) -> UrlContent | TreeContent:
        """What `vertex` is now. Asks the server once a build, and not for what its checksum says already.

        Raises RegistryError, NotFoundError, BadInputError.
        """
        key = _identity(vertex)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._asked(vertex)
        return known

    def directory(self) -> str:
        """A new directory of one's own, removed when the build ends."""
        # lazy: few builds take something from elsewhere
        from builder.snapshots.active import Snapshots

        with store_errors(self._store.root):
            return self._stack.enter_context(Snapshots(self._store.root).scratch())

    def download(self, url: str, digest: Digest | None = None) -> tuple[str, int]:
        """The path of a file that holds what `url` gives (it must be `digest`), and its time of change in seconds.

        Raises RegistryError, BadInputError.
        """
        fetched = self.web.held(url, digest or self.web.current(url).blob)
        return self._store.blobs.path(fetched.blob), fetched.mtime

    @property
    def web(self) -> Web:
        """What fetches URLs."""
        if self._web is None:
            # lazy: HTTP takes 90 ms, and most builds ask for no URL
            from builder.sources.http import Web

            self._web = Web(self._store, self._emit)
            self._stack.callback(self._web.close)
        return self._web

    @property
    def git(self) -> Git:
        """What fetches from git repositories."""
        if self._git is None:
            # lazy: subprocess, and most builds ask for no repository
            from builder.sources.git import Git

            self._git = Git()
        return self._git

    def _asked(self, vertex: UrlFile | GitTree) -> UrlContent | TreeContent:
        if isinstance(vertex, UrlFile):
            digest = vertex.checksum or self.web.current(vertex.url).blob
            return UrlContent(self, vertex, digest)
        # lazy: as above
        from builder.sources.git import tree_digest

        found = self.git.resolve(vertex)
        return TreeContent(self, vertex, tree_digest(vertex, found), found)


class UrlContent:
    """A file behind a URL: `digest` is its content's."""

    def __init__(self, remotes: Remotes, vertex: UrlFile, digest: Digest) -> None:
        self._remotes, self._vertex, self.digest = remotes, vertex, digest

    def files(self) -> Files:
        """The file under its name, as old as the server says. Raises RegistryError, BadInputError."""
        path, mtime = self._remotes.download(self._vertex.url, self.digest)
        directory, name = self._remotes.directory(), self._vertex.name
        with open(path, "rb") as source, open(f"{directory}/{name}", "xb") as target:
            copy_data(source.fileno(), target.fileno())
            os.fchmod(target.fileno(), FILE_MODE)
            os.utime(target.fileno(), (mtime, mtime))
        return Files(directory, ContextSource(name, (ContextEntry(name, "", Kind.FILE),)))


class TreeContent:
    """The files of a git reference: `digest` stands for its commit."""

    def __init__(self, remotes: Remotes, vertex: GitTree, digest: Digest, found: Resolved) -> None:
        self._remotes, self._vertex, self.digest, self._found = remotes, vertex, digest, found

    def files(self) -> Files:
        """The files, checked out. Raises RegistryError, NotFoundError."""
        root = self._remotes.git.check_out(self._vertex, self._found, self._remotes.directory())
        return Files(root, whole(root))


def whole(root: str) -> ContextSource:
    """The directory `root` as a source: all that lies in it."""
    entries = [ContextEntry("", "", Kind.DIRECTORY)]
    for path, directories, files in os.walk(root):
        directories.sort()
        above = os.path.relpath(path, root)
        for name in sorted((*directories, *files)):
            inside = name if above == "." else f"{above}/{name}"
            mode = os.lstat(os.path.join(path, name)).st_mode
            kind = Kind.SYMLINK if stat.S_ISLNK(mode) else Kind.DIRECTORY if stat.S_ISDIR(mode) else Kind.FILE
            entries.append(ContextEntry(inside, inside, kind))
    return ContextSource("", tuple(entries))


def _identity(vertex: UrlFile | GitTree) -> tuple[str, ...]:
    if isinstance(vertex, UrlFile):
        return ("url", vertex.url, vertex.name, str(vertex.checksum))
    return (
        "git",
        vertex.remote,
        vertex.ref,
        vertex.subdir,
        vertex.checksum,
        str(vertex.keep_git_dir),
        str(vertex.submodules),
    )
