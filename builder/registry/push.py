"""Blobs to a repository, several at once; then what names them. Knows no store: content comes through `Content`.

Nothing that names a blob is sent before the blob is there: manifests come after blobs, indexes after manifests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from msgspec import Struct

from builder.digest import Digest, Reader
from builder.errors import CanceledError, NotFoundError, PybuildError, RegistryError
from builder.events import Emit, Progress, Work
from builder.image.descriptor import Descriptor
from builder.points import point
from builder.registry.answers import said
from builder.registry.auth import Answer
from builder.registry.client import Repository
from builder.registry.uploads import Flow, Pause, RefusedError, Request, Span, Uploaded, uploaded
from builder.threads import each

# As many as Docker uploads at once (dockerd, max-concurrent-uploads).
_AT_ONCE = 5
_SMALL = 64 << 10
_ANY = range(100, 600)


class Content(Protocol):
    """Something that is to be a blob of the repository. `name` is what people are told of it by."""

    name: str

    def expected(self) -> Descriptor | None:
        """What it is, if that is known before it is made."""
        ...

    def made(self, canceled: Callable[[], bool]) -> Descriptor:
        """Make it, if it is not here; it may be another than was expected."""
        ...

    def mount(self, blob: Digest) -> str | None:
        """The path of another repository of the registry that may have it."""
        ...

    def open(self, blob: Descriptor) -> Reader:
        """Its bytes, verified."""
        ...


class Sent(Struct, frozen=True):
    """A blob that is there now, and how it came there; None: it was."""

    blob: Descriptor
    how: Uploaded | None


class Pusher:
    """Sends to one repository; `tell` is called for each blob that is there, from any thread."""

    def __init__(self, repository: Repository, emit: Emit, tell: Callable[[Content, Sent], object]) -> None:
        self._repository, self._emit, self._tell = repository, emit, tell
        self._canceled = threading.Event()

    def blobs(self, contents: Sequence[Content]) -> list[Sent]:
        """Get all of `contents` there; what they are, in the same order. Raises the first error; the rest stops then.

        RegistryError names the registry, the repository and the blob.
        """
        return each(self._one, contents, _AT_ONCE, self._canceled.set)

    def document(self, name: str, data: bytes, media_type: str) -> bool:
        """Put a manifest or an index under a tag or its digest, unless it is there under it; whether it was not.

        Who keeps tags from being changed may well take what they are already.
        """
        there = self._repository.head(name)
        if there is not None and there.digest == Digest.of(data):
            return False
        try:
            self._repository.put_manifest(name, data, media_type)
        except (NotFoundError, RegistryError) as error:
            separator = "@" if ":" in name else ":"
            what = f"{self._repository.name}{separator}{name} could not be pushed"
            raise RegistryError(f"{what}: {error.message}", hint=error.hint) from error
        return True

    def _one(self, content: Content) -> Sent:
        expected = content.expected()
        blob, there = expected, expected is not None and self._there(expected)
        if blob is None or not there:
            blob = content.made(self._canceled.is_set)
            there = blob != expected and self._there(blob)
        sent = Sent(blob, None if there else self._uploaded(content, blob))
        point("push:blob")
        if not self._canceled.is_set():
            self._tell(content, sent)
        return sent

    def _there(self, blob: Descriptor) -> bool:
        """Whether it need not be sent. What else is wrong is told, with a reason, when the registry is to take it."""
        with self._naming(blob), self._repository.request("HEAD", f"blobs/{blob.digest}", expect=_ANY) as response:
            return response.status == 200

    def _uploaded(self, content: Content, blob: Descriptor) -> Uploaded:
        with self._naming(blob):
            return self._run(uploaded(blob, content.mount(blob.digest)), content, blob)

    def _run(self, flow: Flow, content: Content, blob: Descriptor) -> Uploaded:
        """Do what an upload asks for; what it ends with."""
        heard: Answer | RegistryError | None = None
        try:
            while True:
                step = flow.send(heard)
                heard = None
                if isinstance(step, Pause):
                    self._canceled.wait(step.seconds)
                if self._canceled.is_set():
                    raise CanceledError("canceled")
                if isinstance(step, Request):
                    heard = self._asked(step, content, blob)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    @contextmanager
    def _naming(self, blob: Descriptor) -> Iterator[None]:
        """Have errors say what could not be sent, and where to."""
        try:
            yield
        except RefusedError as error:
            raise self._refused(error.answer, blob) from error
        except RegistryError as error:
            what = f"blob {blob.digest} could not be sent to {self._repository.name}"
            raise RegistryError(f"{what}: {error.message}", hint=error.hint) from error

    def _refused(self, answer: Answer, blob: Descriptor) -> PybuildError:
        error = self._repository.refused(answer, f"blob {blob.digest}")
        if isinstance(error, NotFoundError):
            return RegistryError(
                f"{self._repository.name} does not take blob {blob.digest} (status {answer.status}){said(answer.body)}",
                hint="does it exist? Some registries want a repository to be made before anything is pushed to it",
            )
        return error

    def _asked(self, request: Request, content: Content, blob: Descriptor) -> Answer | RegistryError:
        def body() -> Reader:
            assert request.body is not None
            return _Part(content.open(blob), request.body, lambda at: self._moved(blob, at))

        try:
            with self._repository.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                body=body if request.body else None,
                expect=_ANY,
                pull_from=request.pull_from,
                # What has bytes goes on where it broke off; the last request may have done its work.
                again=request.method != "PUT" and request.body is None,
            ) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, headers, response.whole(_SMALL))
        except RegistryError as error:
            return error

    def _moved(self, blob: Descriptor, at: int) -> None:
        if self._canceled.is_set():
            raise CanceledError("canceled")
        self._emit(Progress(Work.PUSH, blob.digest.short, at, blob.size))


class _Part:
    """A span of what `source` gives, telling how far it is."""

    def __init__(self, source: Reader, span: Span, moved: Callable[[int], None]) -> None:
        self._source, self._at, self._end, self._moved = source, 0, span.offset + span.size, moved
        self._begin = span.offset

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; what lies before the span is read, too: it counts for the digest."""
        while self._at < self._begin:
            skipped = self._source.read(min(1 << 20, self._begin - self._at))
            if not skipped:
                return b""
            self._at += len(skipped)
        left = self._end - self._at
        data = self._source.read(left if size < 0 else min(size, left))
        self._at += len(data)
        self._moved(self._at)
        return data
