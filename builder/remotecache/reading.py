"""`SharedCache`: a shared cache that is read: looked up by name, a shard at a time; what goes wrong is told once.

Nothing here raises what the place raises: a cache that cannot be read has nothing, from then on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from msgspec import Struct

from builder.digest import Digest, Reader
from builder.errors import CanceledError, NotFoundError, PybuildError
from builder.events import Emit, Note, Progress, Warned, Work
from builder.image.descriptor import Descriptor
from builder.remotecache import document, entries, patience
from builder.remotecache.document import Contents, Mount, Shard
from builder.remotecache.entries import Entry
from builder.remotecache.patience import Patience
from builder.remotecache.place import AtPlace, Place

# Of smaller blobs nobody wants to know how far they are.
_TOLD = 1 << 20
# What it takes until a first byte comes: of less than that nobody can tell how fast a cache is.
_TELLING = 256 << 10


class Found(Struct, frozen=True):
    """What is found of a name, and in which cache."""

    entry: Entry
    cache: SharedCache


class SharedCache(AtPlace):
    """The cache at the place that `opened` gives. Used by several threads.

    `check` raises PybuildError for contents that must not be trusted; `inline` finds entries in the documents of an
    image, where the cache lies in one.
    """

    def __init__(
        self,
        text: str,
        opened: Callable[[], Place],
        emit: Emit,
        check: Callable[[Contents], None] = lambda _: None,
        inline: Callable[[Place, bytes], dict[Digest, Entry]] = lambda place, data: {},
    ) -> None:
        super().__init__(text, opened)
        self._emit, self._check, self._inline = emit, check, inline
        self._contents: Contents | None = None
        self._known: dict[int, dict[Digest, Entry]] = {}
        self._waited = 0.0
        self.dead = False
        self.bytes, self.seconds = 0, 0.0

    def get(self, name: Digest) -> Entry | None:
        """The entry `name`, or None."""
        with self._lock:
            if self.dead:
                return None
            if self._contents is not None and self._contents.number(name) in self._known:
                return self._known[self._contents.number(name)].get(name)
            began = time.monotonic()
            try:
                with Patience(max(1.0, patience.PATIENCE - self._waited), self.place.cancel):
                    return self._get(name)
            except CanceledError:
                raise
            except PybuildError as error:
                self.leave(error)
                return None
            finally:
                self._waited += time.monotonic() - began
                if self._waited > patience.PATIENCE:
                    self.leave(PybuildError(f"its answers took {self._waited:.0f} s"))

    def mounts(self) -> Mapping[str, Mount]:
        """Its cache mounts, by what they are called in a store."""
        with self._lock:
            try:
                if self.dead:
                    return {}
                with Patience(patience.PATIENCE, self.place.cancel):
                    return self._index().mounts
            except CanceledError:
                raise
            except PybuildError as error:
                self.leave(error)
                return {}

    @contextmanager
    def blob(self, descriptor: Descriptor) -> Iterator[Reader]:
        """A reader of a blob of it, which measures how fast it comes. Raises PybuildError."""
        began = time.monotonic()
        with Patience(patience.PATIENCE, self.place.cancel) as watched, self.place.blob(descriptor) as reader:
            yield _Told(watched.reading(reader), descriptor, self._emit)
        if descriptor.size >= _TELLING:
            with self._lock:
                self.bytes, self.seconds = self.bytes + descriptor.size, self.seconds + time.monotonic() - began

    def leave(self, error: PybuildError) -> None:
        """Leave it alone from now on, and say why."""
        with self._lock:
            if not self.dead:
                self.dead = True
                self._emit(Warned(f"the cache {self.name} is not used: {error.message}"))

    def close(self) -> None:
        """Let go of it."""
        with suppress(PybuildError):
            if self._place is not None:
                self._place.close()

    def _get(self, name: Digest) -> Entry | None:
        contents = self._index()
        number = contents.number(name)
        if number not in self._known:
            shard = contents.shards.get(number)
            self._known[number] = {} if shard is None else shard_of(self.place, shard)
        return self._known[number].get(name)

    def _index(self) -> Contents:
        if self._contents is None:
            try:
                found = self.place.read()
            except NotFoundError:
                found = None
            if found is None:
                self._emit(Note(f"the cache {self.name} is empty yet"))
                self._contents = Contents()
            elif document.is_cache(found[0]):
                self._contents = document.parse(found[0])
                self._check(self._contents)
            else:
                contents = Contents()
                self._check(contents)
                self._known[0] = self._inline(self.place, found[0])
                self._contents = contents
        return self._contents


class _Told:
    """Tells how far the reading of a large blob is."""

    def __init__(self, source: Reader, blob: Descriptor, emit: Emit) -> None:
        self._source, self._blob, self._emit = source, blob, emit
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._read += len(data)
        if self._blob.size >= _TOLD:
            self._emit(Progress(Work.FETCH, self._blob.digest.short, self._read, self._blob.size))
        return data


def shard_of(place: Place, shard: Shard) -> dict[Digest, Entry]:
    """The entries of a shard. Raises PybuildError."""
    with place.blob(shard.entries) as reader:
        data = reader.read(entries.LARGEST + 1)
        reader.read(1)  # at its end the digest is checked
    return entries.decoded(data)
