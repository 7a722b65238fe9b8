"""Cache mounts in shared caches: taken before the first step that has one runs, put there when a build has ended."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from builder.digest import Digest, Reader
from builder.errors import BadInputError, CanceledError, NotFoundError, PybuildError
from builder.events import Emit, Note, Warned
from builder.image.cachemount import LARGEST, About, Archive, manifest
from builder.image.descriptor import Descriptor
from builder.image.mediatypes import OCI_MANIFEST
from builder.readied import readied
from builder.remotecache.document import Mount
from builder.remotecache.place import Place
from builder.remotecache.reading import SharedCache
from builder.sandbox.launcher import Launcher
from builder.snapshots import cachearchive
from builder.snapshots.cachestock import named
from builder.solve.worker import CacheDirectory
from builder.sources.cachearchive import read

# How long to wait for a step of another build that has a cache mount alone.
_SECONDS = 10.0


class Wanted(Struct, frozen=True):
    """A cache to take cache mounts with these ids from."""

    cache: SharedCache
    ids: frozenset[str]


class RemoteMounts:
    """Those of one build. Used by several threads."""

    def __init__(self, root: Path, launcher: Callable[[], Launcher], emit: Emit, wanted: Sequence[Wanted]) -> None:
        self._root, self._launcher, self._emit, self._wanted = root, launcher, emit, wanted
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._used: set[str] = set()

    def take(self, mounts: Sequence[CacheDirectory]) -> None:
        """A step with these is about to run: those that this store does not have are taken from where they are."""
        for mount in mounts:
            self._used.add(mount.name)
            about = msgspec.json.decode(mount.about, type=readied(About))
            wanted = [one.cache for one in self._wanted if about.id in one.ids]
            if not wanted:
                continue
            with self._lock:
                if mount.name not in self._asked and mount.name not in named(self._root):
                    self._take(mount.name, about, wanted)
                self._asked.add(mount.name)

    def _take(self, name: str, about: About, caches: Sequence[SharedCache]) -> None:
        for cache in caches:
            found = cache.mounts().get(name)
            if found is None:
                continue
            try:
                archive = _archive(cache.place, found)
                if archive.contents.about != about:
                    raise BadInputError("it is one of another beginning")
                fetch = partial(_Whole, cache)
                cachearchive.take(self._launcher(), self._root, about, archive, fetch, _SECONDS)
            except CanceledError:
                raise
            except PybuildError as error:
                self._emit(Warned(f"the cache mount {about.id} is not taken from {cache.name}: {error.message}"))
            else:
                self._emit(Note(f"the cache mount {about.id} is that of {cache.name}"))
                return

    def put(
        self, ids: Sequence[str], place: Place, there: Mapping[str, Mount], moved: Callable[[], None]
    ) -> dict[str, Mount]:
        """Put the cache mounts with these ids that a step has used, or that are not there. Raises PybuildError."""
        found = {}
        for name, about in named(self._root).items():
            if about.id in ids and (name in self._used or name not in there):
                found[name] = Mount(about.id, self._put(name, about, place, there.get(name), moved))
        return found

    def _put(self, name: str, about: About, place: Place, there: Mount | None, moved: Callable[[], None]) -> Descriptor:
        def put(digest: Digest, data: bytes) -> None:
            moved()
            place.put(Descriptor("", digest, len(data)), lambda: _held(data))
            moved()

        known: dict[str, Descriptor] = {}
        if there is not None:
            try:
                archive = _archive(place, there)
                packs = zip(archive.contents.packs, archive.blobs, strict=True)
                known = {pack.diff_id: blob for pack, blob in packs}
            except (NotFoundError, BadInputError):
                pass  # it is written anew
        given = cachearchive.give(self._launcher(), self._root, name, about, known, _SECONDS, put)
        config = given.contents.to_json()
        put(Digest.of(config), config)
        document = manifest(config, given.blobs)
        place.put_manifest(document, OCI_MANIFEST)
        return Descriptor(OCI_MANIFEST, Digest.of(document), len(document))


def _archive(place: Place, mount: Mount) -> Archive:
    """What a cache mount consists of. Raises PybuildError."""

    def config(descriptor: Descriptor) -> bytes:
        if descriptor.size > LARGEST:
            raise BadInputError(f"its config has {descriptor.size} bytes: more than {LARGEST} are not read")
        with place.blob(descriptor) as reader:
            return b"".join(iter(lambda: reader.read(1 << 20), b""))

    return read(place.manifest(mount.manifest.digest), config)[1]


class _Whole:
    """A pack, fetched when it is first read: packs are small."""

    def __init__(self, cache: SharedCache, blob: Descriptor) -> None:
        self._cache, self._blob = cache, blob
        self._data: io.BytesIO | None = None

    def read(self, size: int = -1) -> bytes:
        if self._data is None:
            with self._cache.blob(self._blob) as reader:
                self._data = io.BytesIO(b"".join(iter(lambda: reader.read(1 << 20), b"")))
        return self._data.read(size)


@contextmanager
def _held(data: bytes) -> Iterator[Reader]:
    yield io.BytesIO(data)
