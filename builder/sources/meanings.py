"""What the names in a Buildfile mean now, or go on meaning: found while it is lowered, to be written into a lock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import NotFoundError, PybuildError, RegistryError
from builder.events import Emit, Warned
from builder.graph.lower import Base, Resolver
from builder.graph.vertex import GitTree, Graph, UrlFile
from builder.image import pulling
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.sources.ingest import Ingest
from builder.sources.lockfile import IMAGE, GitPin, ImagePin, Key, Pin, UrlPin
from builder.sources.pins import NOTHING, called, missing, open_name, source_key
from builder.sources.pull import peek
from builder.sources.remotes import Remotes
from builder.sources.resolver import PeekingResolver
from builder.store.catalog import digest_of


class Meanings:
    """A graph.lower.Resolver that notes what each name means: what `kept` says of it, else what it means now.

    `old` are the pins there were. With `newest`, what cannot be asked for is an error; else what the store has will do.
    With `offline` nobody is asked. Layout paths are relative to `directory`.
    """

    def __init__(
        self,
        ingest: Ingest,
        remotes: Remotes,
        directory: str,
        emit: Emit,
        kept: Mapping[Key, Pin],
        old: Mapping[Key, Pin],
        *,
        newest: bool,
        offline: bool,
    ) -> None:
        self._ingest, self._remotes, self._emit, self._kept, self._old = ingest, remotes, emit, kept, old
        self._newest, self._offline = newest, offline
        policy = pulling.NEVER if offline else pulling.MISSING
        self._inner: Resolver = PeekingResolver(ingest, directory, emit, policy)
        self._date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._images: dict[str, ImagePin] = {}
        self._others: dict[Key, Pin] = {}
        self._absent: dict[Key, str] = {}
        self.fixed: dict[str, None] = {}

    def pins(self) -> dict[Key, Pin]:
        """All that was named and can mean something else tomorrow."""
        return {**{(IMAGE, name): pin for name, pin in self._images.items()}, **self._others}

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """While a Buildfile is lowered: what was missing then is told at the end, all of it."""
        try:
            yield
        except PybuildError:
            if not self._absent:
                raise
        if self._absent:
            raise missing(self._absent)

    def base(self, reference: str, platform: Platform) -> Base:
        """The image `reference` for `platform`; see graph.lower.Resolver."""
        name = open_name(reference, self._ingest.store)
        try:
            if name is not None:
                return self._base(name, reference, platform)
            base = self._inner.base(reference, platform)
        except NotFoundError:
            if not self._offline:
                raise
            self._absent[IMAGE, reference if name is None else name.familiar()] = ""
            return Base(reference, NOTHING, ImageConfig(platform=platform))
        self.fixed[reference] = None
        return base

    def take(self, graph: Graph) -> None:
        """Note the URLs and git references of a graph."""
        for vertex in graph.vertices:
            if isinstance(vertex, UrlFile | GitTree):
                self.remote(vertex)

    def remote(self, vertex: UrlFile | GitTree) -> None:
        """Note a URL or a git reference."""
        key = source_key(vertex)
        if key is None:
            self.fixed[called(vertex)[1]] = None
        elif key not in self._others:
            try:
                self._others[key] = self._kept.get(key) or self._asked(vertex)
            except NotFoundError:
                if not self._offline:
                    raise
                self._absent[key] = ""

    def _base(self, name: Reference, reference: str, platform: Platform) -> Base:
        short = name.familiar()
        pin = self._kept.get((IMAGE, short), self._images.get(short))
        if not isinstance(pin, ImagePin):
            digest, local = self._means_now(name)
            pin = ImagePin(digest, self._date, local=local)
        base = self._inner.base(str(replace(name, digest=pin.of(str(platform)))), platform)
        before = self._images.get(short, replace(pin, platforms={})).platforms
        manifest = self._published(replace(name, digest=pin.digest), platform) or base.manifest
        chosen = {} if manifest == pin.digest else {str(platform): manifest}
        self._images[short] = replace(pin, platforms={**before, **chosen})
        return replace(base, reference=reference)

    def _published(self, name: Reference, platform: Platform) -> Digest | None:
        """The manifest that a registry has by this digest, where the store has the image in the form before its push.

        None elsewhere, and where nobody may be asked: a lock is for other stores, which get what the registry has.
        """
        stored = self._ingest.store.images.named(str(name))
        if self._offline or stored is None or digest_of(stored) == name.digest:
            return None
        return peek(name, platform, self._ingest, again=True)[1]

    def _asked(self, vertex: UrlFile | GitTree) -> Pin:
        if isinstance(vertex, UrlFile):
            return UrlPin(self._remotes.content(vertex.url), self._date)
        found = self._remotes.resolved(vertex)
        return GitPin(found.commit, found.ref, self._date)

    def _means_now(self, name: Reference) -> tuple[Digest, bool]:
        """The digest of what a registry has by that name; else of what only the store has, and True."""
        stored = self._ingest.store.images.named(str(name))
        digest = None if stored is None else digest_of(stored)
        old = self._old.get((IMAGE, name.familiar()))
        was_local = isinstance(old, ImagePin) and old.local
        if digest is not None and (self._offline or was_local):
            return digest, was_local
        if self._offline:
            raise NotFoundError(f"{name.familiar()} is not in the store")
        try:
            with self._ingest.registries.repository(name) as repository:
                found = repository.head(str(name.tag))
        except RegistryError as error:
            if digest is None or (self._newest and not error.refused):
                raise
            return digest, self._from_store(name, error.message, local=error.refused)
        if found is not None:
            return found.digest, False
        said = f"{name.domain} has no {name.familiar()}"
        if digest is None:
            raise NotFoundError(f"{said}, and the store has none either")
        return digest, self._from_store(name, said, local=True)

    def _from_store(self, name: Reference, why: str, *, local: bool) -> bool:
        only = "; the pin is good for this store only" if local else ""
        self._emit(Warned(f"{why}: {name.familiar()} is pinned to what the store has{only}"))
        return local
