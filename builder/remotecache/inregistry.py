"""A shared cache in a registry: a tag, or the digest of an image that a cache lies in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from msgspec import Struct

from builder.digest import Digest, Reader
from builder.errors import NotFoundError
from builder.events import Emit, Event, Progress
from builder.image.descriptor import Descriptor
from builder.image.reference import Reference
from builder.registry.client import Repository
from builder.registry.endpoints import Registries
from builder.registry.push import Pusher

# Of smaller uploads nobody wants to know how far they are.
_TOLD = 8 << 20


class Hints(Struct, frozen=True):
    """What is known of where blobs are: another repository's path that may have one, and who notes that this has."""

    beside: Callable[[Digest], str | None]
    note: Callable[[Digest], object]


class Tag:
    """The cache `reference`, over connections of its own. A Place."""

    def __init__(self, registries: Registries, reference: Reference, hints: Hints, emit: Emit, *, write: bool) -> None:
        self._registries, self._reference, self._hints, self._emit = registries, reference, hints, emit
        self._repository: Repository = registries.repository(reference, push=write)
        self._pusher = Pusher(self._repository, self._told, lambda content, sent: hints.note(sent.blob.digest))
        self._name = str(reference.digest or reference.tag)

    @property
    def name(self) -> str:
        """The reference as people write it."""
        return self._reference.familiar()

    def read(self) -> tuple[bytes, str] | None:
        """What the tag stands for."""
        try:
            return self._repository.manifest(self._name)
        except NotFoundError:
            return None

    def manifest(self, digest: Digest) -> bytes:
        """A manifest."""
        return self._repository.manifest(str(digest))[0]

    @contextmanager
    def blob(self, descriptor: Descriptor) -> Iterator[Reader]:
        """A reader of a blob."""
        with self._repository.blob(descriptor) as reader:
            yield reader
        self._hints.note(descriptor.digest)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the repository has a blob."""
        return self._repository.exists(descriptor.digest)

    def put(self, descriptor: Descriptor, opened: Callable[[], AbstractContextManager[Reader]]) -> None:
        """Put a blob, unless it is there."""
        self._pusher.blobs([_Content(descriptor, opened, self._hints)])

    def put_manifest(self, data: bytes, media_type: str) -> None:
        """Put a manifest by its digest."""
        self._pusher.document(str(Digest.of(data)), data, media_type)

    def point(self, data: bytes, media_type: str, instead: Digest | None, *, force: bool = False) -> bool:
        """Have the tag stand for an index, unless it has come to stand for another than `instead`.

        A registry has no compare-and-swap: another may come between the question and the answer (decision 26). So it is
        asked again afterwards.
        """
        if not force:
            now = self._repository.head(self._name)
            if (None if now is None else now.digest) != instead:
                return False
        self._repository.put_manifest(self._name, data, media_type)
        now = self._repository.head(self._name)
        return now is not None and now.digest == Digest.of(data)

    def cancel(self) -> None:
        """Break off whatever is asked or sent."""
        self._registries.cancel()

    def close(self) -> None:
        """End its connections."""
        self._registries.close()

    def _told(self, event: Event) -> None:
        if isinstance(event, Progress) and event.total >= _TOLD:
            self._emit(event)


class _Content:
    """A blob on its way to a registry."""

    def __init__(self, blob: Descriptor, opened: Callable[[], AbstractContextManager[Reader]], hints: Hints) -> None:
        self.name = blob.digest.short
        self._blob, self._opened, self._hints = blob, opened, hints

    def expected(self) -> Descriptor:
        """What it is."""
        return self._blob

    def made(self, canceled: Callable[[], bool]) -> Descriptor:
        """It is made."""
        return self._blob

    def mount(self, blob: Digest) -> str | None:
        """Another repository that may have it."""
        return self._hints.beside(blob)

    def open(self, blob: Descriptor) -> Reader:
        """Its bytes."""
        return _Reading(self._opened())


class _Reading:
    """Reads what a context manager gives, and leaves that at its end."""

    def __init__(self, context: AbstractContextManager[Reader]) -> None:
        self._context = context
        self._reader: Reader | None = context.__enter__()

    def read(self, size: int = -1) -> bytes:
        data = b"" if self._reader is None else self._reader.read(size)
        if size and not data and self._reader is not None:
            self._reader = None
            self._context.__exit__(None, None, None)
        return data
