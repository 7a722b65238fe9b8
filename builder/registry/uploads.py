"""How a blob gets into a repository (OCI distribution spec, "Push"), without I/O: a generator of requests.

The registry may take it from another of its repositories (a mount). Else it is uploaded: in one piece (monolithic), in
smaller ones where the registry takes no large one. What breaks off goes on from where the registry says that it has got
to; what it knows nothing of any more begins anew. Requests without a body are tried again by whoever sends them.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from urllib.parse import urlencode, urljoin

from msgspec import Struct

from builder.errors import RegistryError
from builder.image.descriptor import Descriptor
from builder.registry.auth import Answer

# How often in a row something may go wrong without a byte more getting there, how often in all, and the pauses before
# the next try.
_TRIES, _IN_ALL = 6, 100
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 60.0
# Where a registry, or a proxy before it, takes no large request: what is tried first, and the least.
_CHUNK, _LEAST_CHUNK = 32 << 20, 64 << 10
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_TOO_LARGE, _WRONG_RANGE = 413, 416
_UPLOADS = "blobs/uploads/"


class Span(Struct, frozen=True):
    """A part of the blob: `size` bytes from `offset` on."""

    offset: int
    size: int


class Request(Struct, frozen=True):
    """A request below the repository, or an absolute one. `pull_from`: repositories that must be readable for it."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = (("Content-Length", "0"),)
    body: Span | None = None
    pull_from: tuple[str, ...] = ()


class Pause(Struct, frozen=True):
    """Wait so many seconds before the next request."""

    seconds: float


class Uploaded(Struct, frozen=True):
    """How a blob came to be there: `sent` bytes were sent, or it was mounted from the repository `mounted`."""

    sent: int = 0
    mounted: str = ""


class RefusedError(RegistryError):
    """The registry does not do what it was asked for; `answer` is what it said to `request`."""

    def __init__(self, request: Request, answer: Answer) -> None:
        super().__init__(f"{request.method} was answered by status {answer.status}")
        self.request, self.answer = request, answer


class _AnewError(Exception):
    """The upload must begin anew. `counted`: what made it so is known as trouble."""

    def __init__(self, *, counted: bool = False) -> None:
        super().__init__()
        self.counted = counted


# An error stands for an answer that did not come.
Said = Answer | RegistryError | None
Flow = Generator[Request | Pause, Said, Uploaded]


def uploaded(blob: Descriptor, mount: str | None = None) -> Flow:
    """Get `blob` there; `mount` is the path of another repository of the registry that may have it.

    Raises RefusedError, and what was sent for an answer when that happens too often.
    """
    sending = _Sending(blob)
    while True:
        begun = yield from _begun(blob, mount)
        if begun.status == 201:
            return Uploaded(mounted=mount or "")
        try:
            return (yield from sending.flow(begun))
        except _AnewError as error:
            mount = None
            if not error.counted:
                lost = RegistryError("the registry forgets what was begun, again and again")
                yield sending.trouble.pause(Request("PUT", _UPLOADS), lost)


def _begun(blob: Descriptor, mount: str | None) -> Generator[Request | Pause, Said, Answer]:
    """The answer to the request to begin an upload: 201 where that was a mount, 202 with a place to send it to."""
    if mount is not None:
        query = urlencode({"mount": str(blob.digest), "from": mount})
        answer = _heard((yield Request("POST", f"{_UPLOADS}?{query}", pull_from=(mount,))))
        if answer.status == 201 or (answer.status == 202 and answer.headers.get("location")):
            return answer
        # A registry that cannot mount, or not from there, takes an upload all the same.
    request = Request("POST", _UPLOADS)
    answer = _heard((yield request))
    if answer.status != 202 or not answer.headers.get("location"):
        raise RefusedError(request, answer)
    return answer


class _Sending:
    """The bytes of a blob on their way."""

    def __init__(self, blob: Descriptor) -> None:
        self._blob = blob
        self.trouble = _Trouble()
        self._place, self._offset, self._sent = "", 0, 0
        self._least, self._most = _LEAST_CHUNK, blob.size

    def flow(self, begun: Answer) -> Flow:
        """Send it all to the place that `begun` gives. Raises _AnewError."""
        self._place, self._offset = _place(_UPLOADS, begun), 0
        self._least = max(_LEAST_CHUNK, _number(begun, "oci-chunk-min-length"))
        while True:
            request = self._next()
            said = yield request
            if isinstance(said, Answer) and said.status in (201, 204) and request.method == "PUT":
                self._check(said)
                return Uploaded(self._sent + _size(request))
            if isinstance(said, Answer) and said.status in (201, 202, 204):
                if not self._got(said, self._offset + _size(request)):
                    yield self.trouble.pause(request, said)
                continue
            if isinstance(said, Answer) and said.status == _TOO_LARGE and _size(request) > self._least:
                self._most = max(self._least, min(_CHUNK, _size(request) // 2))
            elif isinstance(said, Answer) and said.status == 404:
                raise _AnewError
            elif isinstance(said, Answer) and said.status not in _PASSING and said.status != _WRONG_RANGE:
                raise RefusedError(request, said)
            else:
                yield self.trouble.pause(request, said)
            where = yield Request("GET", self._place, ())
            if not isinstance(where, Answer) or where.status not in (200, 202, 204):
                raise _AnewError(counted=True)
            self._got(where, 0)
            if not self._offset:
                # `0-0` may mean one byte, too.
                raise _AnewError(counted=True)

    def _next(self) -> Request:
        left = self._blob.size - self._offset
        size = min(left, self._most)
        if size < self._blob.size and left:
            content = ("Content-Range", f"{self._offset}-{self._offset + size - 1}")
            return Request("PATCH", self._place, (*_octets(size), content), Span(self._offset, size))
        joint = "&" if "?" in self._place else "?"
        url = f"{self._place}{joint}{urlencode({'digest': str(self._blob.digest)})}"
        return Request("PUT", url, _octets(size), Span(0, size) if size else None)

    def _got(self, answer: Answer, otherwise: int) -> bool:
        """Note how far the registry has got; whether that is further than before."""
        before, self._place = self._offset, _place(self._place, answer)
        self._offset = _reached(answer, otherwise)
        if self._offset > self._blob.size:
            raise _AnewError
        self._sent += max(0, self._offset - before)
        if self._offset > before:
            self.trouble.over()
        return self._offset > before

    def _check(self, answer: Answer) -> None:
        """Registries compare the digest before they say 201; some say what it is, too. Raises RegistryError."""
        digest = answer.headers.get("docker-content-digest", "")
        if digest.startswith("sha256:") and digest != str(self._blob.digest):
            raise RegistryError(f"the registry took it as {digest[:100]}")


class _Trouble:
    """Counts what goes wrong in a row, and waits longer each time."""

    def __init__(self) -> None:
        self._met, self._all = 0, 0

    def over(self) -> None:
        """Something has got there."""
        self._met = 0

    def pause(self, request: Request, said: Said) -> Pause:
        """How long to wait, as long as the registry asks for; raises what is wrong when that is too often."""
        self._met, self._all = self._met + 1, self._all + 1
        asked = _number(said, "retry-after") if isinstance(said, Answer) else 0
        if self._met >= _TRIES or self._all >= _IN_ALL or asked > _LONGEST_PAUSE:
            _heard(said)
            assert isinstance(said, Answer)
            raise RefusedError(request, said)
        # Not all at the same time: many layers meet the same trouble.
        return Pause(max(asked, _FIRST_PAUSE * 2 ** (self._met - 1) * random.uniform(0.75, 1.25)))


def _heard(said: Said) -> Answer:
    """The answer. Raises what stands for one that did not come."""
    if isinstance(said, RegistryError):
        raise said
    assert said is not None
    return said


def _size(request: Request) -> int:
    return request.body.size if request.body else 0


def _octets(size: int) -> tuple[tuple[str, str], ...]:
    return ("Content-Type", "application/octet-stream"), ("Content-Length", str(size))


def _place(asked: str, answer: Answer) -> str:
    """Where the upload goes on: absolute, or relative to what was asked."""
    location = answer.headers.get("location", "")
    return urljoin(asked, location) if location else asked


def _reached(answer: Answer, otherwise: int) -> int:
    """How many bytes have got there: Range is `0-LAST`, and `0-0` also for none."""
    first, _, last = answer.headers.get("range", "").removeprefix("bytes=").partition("-")
    if first != "0" or not (last.isascii() and last.isdigit() and len(last) < 20):
        return otherwise
    return int(last) + 1 if int(last) else 0


def _number(answer: Answer, header: str) -> int:
    """A header that is a number; 0 where there is none."""
    text = answer.headers.get(header, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
