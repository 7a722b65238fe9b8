"""What a build's sources mean by its lock; and what is missing where nobody may be asked, told all at once.

pins = Pins(store, terms, locked)
pins.over(resolver)             finds base images by the lock
pins.url(…), pins.git(…)        what Remotes asks before it asks a server
pins.settle(graph, …)           raises when something is not covered by the lock, or not here
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, PybuildError, UsageError
from builder.events import Emit, Note, Warned
from builder.graph.lower import Base, Resolver
from builder.graph.remote import is_commit
from builder.graph.vertex import BaseImage, GitTree, Graph, UrlFile
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.sources.lockfile import GIT, IMAGE, URL, GitPin, Key, Lock, git_key, header, place, url_key
from builder.sources.resolver import LAYOUT, Remembering
from builder.store.catalog import StoredImage, digest_of
from builder.store.open import Store

# The manifest of an image that was not found: what is lowered on it is never solved.
NOTHING = Digest.of(b"")
_SHOWN = 3
_KINDS = {IMAGE: "image", URL: "URL", GIT: "repository"}


class Terms(Struct, frozen=True):
    """What a build may do: `locked`, take nothing but what the lock says; `offline`, ask nobody.

    `signed`: its images must be signed, which indexes are.
    """

    locked: bool = False
    offline: bool = False
    signed: bool = False


class LockText(Struct, frozen=True):
    """A lock that was read, and its text. `there` is False for one that is not there: it has no pins."""

    path: str
    lock: Lock = Lock()
    text: str = ""
    there: bool = True


class Pins:
    """What `read` says, on the `terms` of one build."""

    def __init__(self, store: Store, terms: Terms, read: LockText) -> None:
        self._store, self._terms, self._read = store, terms, read
        self._kept: dict[Key, None] = {}
        self._lacking: dict[Key, None] = {}
        self._absent: dict[Key, PybuildError] = {}

    # --- what names mean -------------------------------------------------------------------------

    def over(self, resolver: Resolver) -> Resolver:
        """`resolver`, asked for what the lock says."""
        return _Pinned(self, resolver)

    def image(self, reference: str, platform: Platform) -> str:
        """`reference` with the digest to ask for, or as it is where it is not pinned.

        Raises NotFoundError under --locked, and for an image that only the store had that it was locked in.
        """
        name = open_name(reference, self._store)
        if name is None:
            return reference
        pin = self._read.lock.images.get(name.familiar())
        self._note((IMAGE, name.familiar()), pinned=pin is not None)
        if pin is None:
            return reference
        whole, exact = replace(name, digest=pin.digest), replace(name, digest=pin.of(str(platform)))
        if self._store.images.by_name(whole, platform) is None:
            here = self._store.images.by_name(exact) is not None
            if pin.local and not here:
                raise NotFoundError(f"only the store that {name.familiar()} was locked in has its image {exact.digest}")
            # One that came without its index will do, but it is the index that is signed.
            return str(exact if here and not self._terms.signed else whole)
        return str(whole)

    def check(self, reference: str, platform: Platform, found: Base) -> None:
        """Raise BadInputError when a pin's index leads to another manifest than the pin says."""
        key = self.image_key(reference)
        pin = self._read.lock.images.get(key[1])
        wanted = None if pin is None else pin.platforms.get(str(platform))
        if wanted is None or pin is None or found.manifest in (wanted, NOTHING):
            return
        if not self._is_published(key[1], pin.digest, found.manifest):
            raise BadInputError(
                f"the lock contradicts itself: {key[1]} is {found.manifest} for {platform}, and not {wanted}",
                where=place(self._read.text, self._read.path, key, str(platform)),
                hint=f"pybuild lock --update={key[1]}",
            )

    def _is_published(self, name: str, digest: Digest, manifest: Digest) -> bool:
        """Whether what has that digest in its repository was pushed from here, where it has another form."""
        images = self._store.images
        here = images.named(f"{name}@{digest}")
        if here is None or digest_of(here) == digest:
            return False
        if isinstance(here, StoredImage):
            return here.manifest.digest == manifest
        return any(member.manifest.digest == manifest for member in images.members(here))

    def image_key(self, reference: str) -> Key:
        """The key of an image, whether it can be pinned or not."""
        name = open_name(reference, self._store)
        return IMAGE, reference if name is None else name.familiar()

    def url(self, url: str) -> Digest | None:
        """The digest of what `url` gave when it was locked. Raises NotFoundError under --locked."""
        pin = self._read.lock.urls.get(url_key(url)[1])
        self._note(url_key(url), pinned=pin is not None)
        return None if pin is None else pin.digest

    def git(self, tree: GitTree) -> GitPin | None:
        """What the reference of `tree` was when it was locked. Raises NotFoundError under --locked."""
        pin = self._read.lock.gits.get(git_key(tree)[1])
        self._note(git_key(tree), pinned=pin is not None)
        return pin

    def told(self, error: PybuildError, key: Key) -> PybuildError:
        """`error`, which gets the place of the pin that it is about, if there is one."""
        if key in self._read.lock.pins():
            error.at(place(self._read.text, self._read.path, key))
            error.hint = f"it is pinned there; what it means now is taken by: pybuild lock --update={key[1]}"
        return error

    def _note(self, key: Key, *, pinned: bool) -> None:
        (self._kept if pinned else self._lacking)[key] = None
        if self._terms.locked and not pinned:
            raise NotFoundError(f"{key[1]} is not in {self._read.path}, and --locked takes nothing else")

    # --- what is missing -------------------------------------------------------------------------

    def stand_in(self, reference: str, error: PybuildError, platform: Platform) -> Base:
        """An image in place of one that is missing, where more may be missing: all of it is told at the end.

        Raises `error` where that is not so.
        """
        key = self.image_key(reference)
        missing = self._terms.offline and isinstance(error, NotFoundError)
        if not (missing or (self._terms.locked and key in self._lacking)):
            raise self.told(error, key)
        self._absent[key] = error
        return Base(reference, NOTHING, ImageConfig(platform=platform))

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """While a graph is made: when that fails after something was found missing, it is that what is raised."""
        try:
            yield
        except PybuildError:
            self._check()
            raise

    def settle(self, graph: Graph, buildfile: str, current: Callable[[UrlFile | GitTree], object], emit: Emit) -> None:
        """Raise when something in `graph` is not covered by the lock under --locked, or not here under --offline.

        `current` finds what a URL or a git reference is. Else it is told what of the lock is kept to.
        """
        for vertex in graph.vertices:
            if isinstance(vertex, UrlFile | GitTree):
                self._settle(vertex, current)
        self._check(graph, buildfile)
        if self._kept:
            count = len(self._kept)
            emit(Note(f"kept to {self._read.path}: {count} {'source' if count == 1 else 'sources'} as locked"))
        if self._lacking and self._read.there:
            emit(Warned(f"{_listed(self._lacking)} not in {self._read.path}, and taken as found: run pybuild lock"))

    def have(
        self, wanted: Sequence[UrlFile | GitTree], here: Callable[[UrlFile | GitTree], bool], buildfile: str
    ) -> None:
        """Raise NotFoundError when the files of something `wanted` are not `here`, all of which is told."""
        places = {called(v): f"  ({buildfile}:{v.origin.line})" if v.origin.line else "" for v in wanted}
        absent = {called(vertex): places[called(vertex)] for vertex in wanted if not here(vertex)}
        if absent:
            raise missing(absent)

    def _check(self, graph: Graph | None = None, buildfile: str = "") -> None:
        """Raise when something is known to be missing; `graph` is None where there is none for that."""
        places = {} if graph is None else self._places(graph, buildfile)
        if self._terms.locked and self._lacking:
            raise UsageError(
                f"{self._read.path} {self._state()}, and --locked takes nothing else\n{self._drift(graph, places)}",
                hint="pybuild lock, with the same options, writes what is missing",
            )
        if self._absent:
            pins = self._read.lock.pins()
            raise missing({k: f"{' as it is locked' if k in pins else ''}{places.get(k, '')}" for k in self._absent})

    def _settle(self, vertex: UrlFile | GitTree, current: Callable[[UrlFile | GitTree], object]) -> None:
        key = source_key(vertex)
        try:
            if self._terms.offline:
                current(vertex)
            elif key is not None:
                self._note(key, pinned=key in self._read.lock.pins())
        except NotFoundError as error:
            self._absent[key or called(vertex)] = error

    def _state(self) -> str:
        return "does not say all that is needed" if self._read.there else "is not there"

    def _places(self, graph: Graph, buildfile: str) -> dict[Key, str]:
        """Where the sources of a graph are named."""
        found: dict[Key, str] = {}
        for vertex in graph.vertices:
            if isinstance(vertex, BaseImage):
                key = self.image_key(vertex.reference)
            elif isinstance(vertex, UrlFile | GitTree):
                key = called(vertex)
            else:
                continue
            if vertex.origin.line:
                found.setdefault(key, f"  ({buildfile}:{vertex.origin.line})")
        return found

    def _drift(self, graph: Graph | None, places: Mapping[Key, str]) -> str:
        """What `pybuild lock` would change, as a diff of the lines that pins begin with."""
        pins = self._read.lock.pins()
        whole = graph is not None and not graph.skipped
        gone = [key for key in pins if key not in self._kept] if whole else []
        rows = [("-", key) for key in gone] + [("+", key) for key in self._lacking]
        rows.sort(key=lambda row: (row[1], row[0]))
        return "\n".join(f"    {sign}{header(key)}{places.get(key, '') if sign == '+' else ''}" for sign, key in rows)


class _Pinned(Remembering):
    """A resolver that asks for what is pinned."""

    def __init__(self, pins: Pins, inner: Resolver) -> None:
        super().__init__()
        self._pins, self._inner = pins, inner

    def _base(self, reference: str, platform: Platform) -> Base:
        try:
            asked = self._pins.image(reference, platform)
            found = replace(self._inner.base(asked, platform), reference=reference)
        except PybuildError as error:
            return self._pins.stand_in(reference, error, platform)
        self._pins.check(reference, platform, found)
        return found


def open_name(reference: str, store: Store) -> Reference | None:
    """The name of an image that can come to mean another one; None for a digest, an ID, a layout or what is none."""
    if reference.startswith(LAYOUT):
        return None
    try:
        name = Reference.parse(reference).tagged()
        if name.digest is not None:
            return None
        found = store.images.named(reference)
    except UsageError:
        return None
    by_id = found is not None and name.familiar() not in found.names
    return None if by_id else name


def source_key(vertex: UrlFile | GitTree) -> Key | None:
    """The key of what `vertex` names; None where it says itself what it must be."""
    if isinstance(vertex, UrlFile):
        return None if vertex.checksum else url_key(vertex.url)
    return None if is_commit(vertex.ref) else git_key(vertex)


def called(vertex: UrlFile | GitTree) -> Key:
    """What `vertex` names, whether it can be pinned or not."""
    return url_key(vertex.url) if isinstance(vertex, UrlFile) else git_key(vertex)


def missing(keys: Mapping[Key, str]) -> NotFoundError:
    """The error for sources that are not here under --offline; with each what is to be said of it."""
    listed = "\n".join(f"    {_KINDS[kind]} {name}{more}" for (kind, name), more in keys.items())
    return NotFoundError(
        f"the store lacks what is taken from elsewhere, and --offline asks nobody for it\n{listed}",
        hint="build once without --offline, with the same options",
    )


def _listed(keys: Iterable[Key]) -> str:
    names = [name for _, name in keys]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more} {'is' if len(names) == 1 else 'are'}"
