"""A shared cache in a registry: a tag, or the digest of an image that a cache lies in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from urllib.parse import urlencode, urljoin

from builder.digest import Digest, Reader
from builder.errors import NotFoundError
from builder.image.descriptor import Descriptor
from builder.image.reference import Reference
from builder.registry.client import Repository


class Tag:
    """The cache `reference` in its repository. A Place."""

    def __init__(self, repository: Repository, reference: Reference) -> None:
        self._repository, self._reference = repository, reference
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

    def blob(self, descriptor: Descriptor) -> AbstractContextManager[Reader]:
        """A reader of a blob."""
        return self._repository.blob(descriptor)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the repository has a blob."""
        return self._repository.exists(descriptor.digest)

    def put(self, descriptor: Descriptor, opened: Callable[[], AbstractContextManager[Reader]]) -> None:
        """Put a blob, unless it is there."""
        if self.has(descriptor):
            return
        with self._repository.request("POST", "blobs/uploads/", expect=(202,)) as begun:
            place = urljoin(begun.url, begun.headers["Location"])
        url = f"{place}{'&' if '?' in place else '?'}{urlencode({'digest': str(descriptor.digest)})}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)}
        with ExitStack() as stack:

            def body() -> Reader:
                return stack.enter_context(opened())

            self._repository.request("PUT", url, headers=headers, body=body, expect=(201,)).close()

    def put_manifest(self, data: bytes, media_type: str) -> None:
        """Put a manifest by its digest."""
        self._repository.put_manifest(str(Digest.of(data)), data, media_type)

    def point(self, data: bytes, media_type: str, instead: Digest | None, *, force: bool = False) -> bool:
        """Have the tag stand for an index, unless it has come to stand for another than `instead`.

        A registry has no compare-and-swap: another may come between the question and the answer (decision 26).
        """
        if not force:
            now = self._repository.head(self._name)
            if (None if now is None else now.digest) != instead:
                return False
        self._repository.put_manifest(self._name, data, media_type)
        return True

    def close(self) -> None:
        """Connections are the session's."""
