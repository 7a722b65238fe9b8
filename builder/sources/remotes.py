"""What one build takes from URLs and git repositories: asked for once, put into files only when a step needs them.

with Remotes(store, emit) as remotes:
    content = remotes.current(vertex)     what it is now: a digest for the key
    content.files()                       its files in a directory of this machine, until the build ends

Directories lie in the store's tmp/, where a later process sweeps what a crash left.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError, PybuildError
from builder.events import Emit
from builder.graph.remote import is_commit
from builder.graph.vertex import GitTree, UrlFile
from builder.layers.copyjob import ContextEntry, ContextSource
from builder.layers.entry import Kind
from builder.linux.files import copy_data
from builder.readied import readied
from builder.store.blobs import store_errors
from builder.store.memo import FETCHED, RESOLVED
from builder.store.open import Store

if TYPE_CHECKING:
    from builder.sources.git import Git, Resolved
    from builder.sources.http import Web
    from builder.sources.pins import Pins

FILE_MODE = 0o600


class Files(Struct, frozen=True):
    """Files below `root`, all of them to be copied."""

    root: str
    source: ContextSource


class Shared(Protocol):
    """What other machines know, and are told: small results by kind and name."""

    def said(self, kind: str, what: str) -> str | None:
        """What they know, or None."""
        ...

    def say(self, kind: str, what: str, value: str) -> None:
        """Tell them."""
        ...


class MisledError(BadInputError):
    """A URL does not give what another machine was given, though its server says that it has not changed."""


class Remotes:
    """Use it as a context manager. `cancel` may be called from any thread.

    `pins` say what is taken where a build has a lock. With `offline` no server is asked: what was fetched last counts.
    `shared`: what others were given by URLs, so that their servers need only say that it has not changed.
    """

    def __init__(self, store: Store, emit: Emit, *, offline: bool = False, shared: Shared | None = None) -> None:
        self._store, self._emit, self._offline, self._shared = store, emit, offline, shared
        self._hinted: set[str] = set()
        self.pins: Pins | None = None
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

    def here(self, vertex: UrlFile | GitTree) -> bool:
        """Whether the files of `vertex` can be had without asking a server: no checked-out repository is kept."""
        return isinstance(vertex, UrlFile) and self.web.here(vertex.url, self.current(vertex).digest) is not None

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
        wanted = digest or self.content(url)
        with self.telling(url):
            try:
                fetched = self.web.held(url, wanted)
            except BadInputError as error:
                if url not in self._hinted:
                    raise
                self._shared = None
                self._known.clear()
                raise MisledError(error.message, hint=error.hint) from error
        return self._store.blobs.path(fetched.blob), fetched.mtime

    @contextmanager
    def telling(self, source: str | GitTree) -> Iterator[None]:
        """While a URL or a git reference is read: what goes wrong is told with the place of its pin, if it has one."""
        try:
            yield
        except PybuildError as error:
            if self.pins is None:
                raise
            # lazy: only a build with a lock
            from builder.sources.lockfile import git_key, url_key

            self.pins.told(error, url_key(source) if isinstance(source, str) else git_key(source))
            raise

    @property
    def web(self) -> Web:
        """What fetches URLs."""
        if self._web is None:
            # lazy: HTTP takes 90 ms, and most builds ask for no URL
            from builder.sources.http import Web

            self._web = Web(self._store, self._emit, offline=self._offline)
            self._stack.callback(self._web.close)
        return self._web

    @property
    def git(self) -> Git:
        """What fetches from git repositories."""
        if self._git is None:
            # lazy: subprocess, and most builds ask for no repository
            from builder.sources.git import Git

            self._git = Git(offline=self._offline)
        return self._git

    def _asked(self, vertex: UrlFile | GitTree) -> UrlContent | TreeContent:
        if isinstance(vertex, UrlFile):
            return UrlContent(self, vertex, vertex.checksum or self._shared_content(vertex.url))
        # lazy: as above
        from builder.sources.git import tree_digest

        found = self.resolved(vertex)
        return TreeContent(self, vertex, tree_digest(vertex, found), found)

    def content(self, url: str) -> Digest:
        """What `url` gives: by the lock, else now."""
        pinned = None if self.pins is None else self.pins.url(url)
        return pinned or self.web.current(url).blob

    def _shared_content(self, url: str) -> Digest:
        """As `content`, with what other machines know."""
        if self._shared is None or self._offline or (self.pins is not None and self.pins.url(url)):
            return self.content(url)
        # lazy: few builds ask for a URL
        from builder.sources.http import url_name

        hint = self._shared.said(FETCHED, url_name(url))
        found = self.web.current(url, None if hint is None else hint.encode())
        if not self._store.blobs.has(found.blob):
            self._hinted.add(url)
        self._shared.say(FETCHED, url_name(url), msgspec.json.encode(found).decode())
        return found.blob

    def resolved(self, tree: GitTree) -> Resolved:
        """What the reference of `tree` names: by the lock, else now, or when it was last asked for."""
        # lazy: as above
        from builder.sources.git import Resolved, check
        from builder.sources.lockfile import git_key

        if is_commit(tree.ref):
            return self.git.resolve(tree)
        pin = None if self.pins is None else self.pins.git(tree)
        if self.pins is not None and pin is not None:
            with self.telling(tree):
                check(tree, pin.commit)
            return Resolved(pin.commit, pin.ref, earlier=True)
        key = Digest.of(git_key(tree)[1].encode(errors="surrogateescape")).hex
        if self._offline:
            known = self._store.memo.get(RESOLVED, key)
            if known is not None:
                with suppress(msgspec.DecodeError):  # of another version: as good as none
                    return replace(msgspec.json.decode(known, type=readied(Resolved)), earlier=True)
        found = self.git.resolve(tree)
        self._store.memo.put(RESOLVED, key, msgspec.json.encode(found))
        return found


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
        remotes = self._remotes
        with remotes.telling(self._vertex):
            root = remotes.git.check_out(self._vertex, self._found, remotes.directory())
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
