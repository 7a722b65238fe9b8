"""`Place`: somewhere a shared cache lies. What a registry and a layout directory have in common."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from builder.digest import Digest, Reader
from builder.image.descriptor import Descriptor


class Place(Protocol):
    """Blobs and manifests by digest, and the one name that stands for the cache.

    All may be called from several threads at once, and raise PybuildError: NotFoundError for what is not there.
    Nothing that is given may be believed before its digest is checked: `blob` gives readers that do.
    """

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def read(self) -> tuple[bytes, str] | None:
        """The manifest or index the name stands for, and its media type; None when it stands for nothing yet."""
        ...

    def manifest(self, digest: Digest) -> bytes:
        """A manifest, its digest checked."""
        ...

    def blob(self, descriptor: Descriptor) -> AbstractContextManager[Reader]:
        """A reader of a blob, which checks it as it is read to its end."""
        ...

    def has(self, descriptor: Descriptor) -> bool:
        """Whether a blob is there."""
        ...

    def put(self, descriptor: Descriptor, opened: Callable[[], AbstractContextManager[Reader]]) -> None:
        """Put the blob that `opened` reads, unless it is there."""
        ...

    def put_manifest(self, data: bytes, media_type: str) -> None:
        """Put a manifest, by its digest. What it names is there."""
        ...

    def point(self, data: bytes, media_type: str, instead: Digest | None, *, force: bool = False) -> bool:
        """Have the name stand for this index, put with it, if it still stands for `instead` (None: for nothing).

        False, and nothing has changed, when it stands for another one; `force` does not ask.
        """
        ...

    def cancel(self) -> None:
        """Break off what other threads wait for here; nothing more can be done here then."""
        ...

    def close(self) -> None:
        """Let go of it; what is written is cleared of what nothing names any more."""
        ...


class AtPlace:
    """What lies at a place that is opened when it is first needed, once for all threads; `text` says where until then.

    `_lock` may be held when the place is asked for.
    """

    def __init__(self, text: str, opened: Callable[[], Place]) -> None:
        self._text, self._opened = text, opened
        self._lock = threading.RLock()
        self._place: Place | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return self._text if self._place is None else self._place.name

    @property
    def place(self) -> Place:
        """Where it lies. Raises PybuildError."""
        with self._lock:
            if self._place is None:
                self._place = self._opened()
            return self._place
