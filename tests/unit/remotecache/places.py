"""A place in memory, which can be told to fail."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from builder.digest import Digest, Reader, VerifyingReader
from builder.errors import NotFoundError, RegistryError
from builder.image.descriptor import Descriptor


class Memory:
    """Blobs and manifests in dictionaries. `asked` is what was asked for, `broken` the calls that fail."""

    def __init__(self) -> None:
        self.named: bytes | None = None
        self.manifests: dict[Digest, bytes] = {}
        self.blobs: dict[Digest, bytes] = {}
        self.asked: list[str] = []
        self.broken: set[str] = set()
        self.before_point: Callable[[], None] = lambda: None
        self.closed = 0

    name = "memory"

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.broken:
            raise RegistryError(f"{what} does not work")

    def read(self) -> tuple[bytes, str] | None:
        self._ask("read")
        return None if self.named is None else (self.named, "")

    def manifest(self, digest: Digest) -> bytes:
        self._ask("manifest")
        return self.manifests[digest]

    @contextmanager
    def blob(self, descriptor: Descriptor) -> Iterator[Reader]:
        self._ask("blob")
        if descriptor.digest not in self.blobs:
            raise NotFoundError(f"no blob {descriptor.digest}")
        yield VerifyingReader(io.BytesIO(self.blobs[descriptor.digest]), descriptor.digest, descriptor.size)

    def has(self, descriptor: Descriptor) -> bool:
        self._ask("has")
        return descriptor.digest in self.blobs

    def put(self, descriptor: Descriptor, opened: Callable[[], AbstractContextManager[Reader]]) -> None:
        self._ask("put")
        if descriptor.digest not in self.blobs:
            with opened() as reader:
                self.blobs[descriptor.digest] = reader.read()

    def put_manifest(self, data: bytes, media_type: str) -> None:
        self._ask("put_manifest")
        self.manifests[Digest.of(data)] = data

    def point(self, data: bytes, media_type: str, instead: Digest | None, *, force: bool = False) -> bool:
        self._ask("point")
        self.before_point()
        now = None if self.named is None else Digest.of(self.named)
        if now != instead and not force:
            return False
        self.named = data
        return True

    def cancel(self) -> None:
        self.asked.append("cancel")

    def close(self) -> None:
        self.closed += 1
