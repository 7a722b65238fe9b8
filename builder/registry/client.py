"""One repository of a registry (OCI distribution spec): manifests, blobs, and requests of any kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

from builder.digest import Digest, VerifyingReader
from builder.errors import BadInputError, NotFoundError, PybuildError, RegistryError
from builder.image.descriptor import Descriptor
from builder.image.manifest import LARGEST
from builder.image.mediatypes import INDEXES, MANIFESTS
from builder.registry.answers import LARGEST as LARGEST_REASON
from builder.registry.answers import refusal
from builder.registry.auth import PULL, PUSH, Answer, scope
from builder.registry.blobs import PAUSE, ResumingReader, begun
from builder.registry.exchange import Head
from builder.registry.host import Visit
from builder.registry.transport import Body, BrokenOffError, Response
from builder.registry.words import printable

T = TypeVar("T")

_ACCEPT = {"Accept": ", ".join(sorted(MANIFESTS | INDEXES))}
# A mirror that does not answer at once is not waited for: there is another place.
_TRIES, _TRIES_MIRROR = 4, 1
# How a server says that it knows no HEAD (RFC 9110, 15.5.6, 15.6.2).
_NO_HEAD = (405, 501)
_REPEATABLE = frozenset({"GET", "HEAD"})


class Repository:
    """One repository, made by Registries. Use it as a context manager, from any number of threads.

    `visits` are the places where it is: mirrors, in order, and last its own. `push`: what is asked may change it.
    """

    def __init__(self, name: str, visits: tuple[Visit, ...], wait: Callable[[float], None], *, push: bool) -> None:
        self.name = name
        self._visits, self._wait, self._actions = visits, wait, PUSH if push else PULL

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end: connections are the Registries'."""

    # --- manifests -----------------------------------------------------------------------------

    def manifest(self, name: str) -> tuple[bytes, str]:
        """The bytes and media type of the manifest with this tag or digest.

        Raises NotFoundError when there is none, BadInputError for what is none, RegistryError for all else.
        """
        return self._first(lambda visit, tries: self._manifest(visit, tries, name))

    def head(self, name: str) -> Descriptor | None:
        """What a tag or digest names, by the registry's own word; None when there is nothing. Raises RegistryError."""
        try:
            return self._first(lambda visit, tries: self._head(visit, tries, name))
        except NotFoundError:
            return None

    def put_manifest(self, name: str, data: bytes, media_type: str) -> None:
        """Store a manifest or an index under a tag or its digest. Raises RegistryError."""
        headers = {"Content-Type": media_type}
        url = f"manifests/{name}"
        with self.request("PUT", url, headers=headers, body=data, expect=(200, 201, 202), again=True) as response:
            said = response.headers.get("Docker-Content-Digest", "")
        ours = str(Digest.of(data))
        if said and said != ours:
            raise RegistryError(
                f"{self._own.host.shown} took manifest {name} of {self._own.path} as {printable(said, 100)}, not {ours}"
            )

    def _manifest(self, visit: Visit, tries: int, name: str) -> tuple[bytes, str]:
        what = f"manifest {name}"
        with self._wanted(visit, "GET", f"manifests/{name}", what, _ACCEPT, tries) as response:
            shown = f"{what} of {visit.host.shown}/{visit.path}"
            length, media_type = response.headers.get("Content-Length", ""), _media_type(response)
            data = b"" if length.isdigit() and int(length) > LARGEST else response.whole(LARGEST)
            if len(data) > LARGEST or not data:
                many = length if length.isdigit() else "too many"
                raise BadInputError(f"{shown} has {many} bytes; more than {LARGEST} are not read")
            said = response.headers.get("Docker-Content-Digest", "")
        if media_type == "text/html":
            raise BadInputError(f"{shown} is a web page, not an image manifest", hint="is there a registry at all?")
        found = str(Digest.of(data))
        if ":" in name and found != str(Digest.parse(name)):
            raise BadInputError(f"{shown} is damaged: its content hashes to {found}")
        if said.startswith("sha256:") and said != found:
            raise BadInputError(f"{shown} is said to be {printable(said, 100)}, but its content hashes to {found}")
        return data, media_type

    def _head(self, visit: Visit, tries: int, name: str) -> Descriptor:
        path, what = f"manifests/{name}", f"manifest {name}"
        with self._wanted(visit, "HEAD", path, what, _ACCEPT, tries, (200, *_NO_HEAD)) as response:
            length = response.headers.get("Content-Length", "")
            digest = name if ":" in name else response.headers.get("Docker-Content-Digest", "")
            if response.status == 200 and digest.startswith("sha256:") and length.isdigit():
                return Descriptor(_media_type(response), Digest.parse(digest), int(length))
        data, media_type = self._manifest(visit, tries, name)
        return Descriptor(media_type, Digest.of(data), len(data))

    # --- blobs ---------------------------------------------------------------------------------

    def exists(self, digest: Digest) -> bool:
        """Whether the repository itself, no mirror, has this blob. Raises RegistryError."""
        with self.request("HEAD", f"blobs/{digest}", expect=(200, 404)) as response:
            return response.status == 200

    @contextmanager
    def blob(self, descriptor: Descriptor) -> Iterator[VerifyingReader]:
        """A reader of a blob, which goes on where connections break.

        Raises NotFoundError and RegistryError, and BadInputError at the blob's end, or before, if it is another.
        """
        digest, size = descriptor.digest, descriptor.size
        places = iter(self._alive())
        current, tries = next(places)

        def opened(offset: int, stuck: bool) -> Response:
            nonlocal current, tries
            if stuck:
                current, tries = next(places, (current, tries))
            while True:
                try:
                    return self._blob(current, tries, digest, size, offset)
                except (RegistryError, NotFoundError, BadInputError) as error:
                    following = next(places, None)
                    if following is None or isinstance(error, BrokenOffError):
                        raise
                    self._failed(current, error)
                    current, tries = following

        reader = ResumingReader(opened, size, self._wait, f"blob {digest} of {self.name}")
        try:
            yield VerifyingReader(reader, digest, size, name=f"blob {digest} of {self.name}")
        except BadInputError as error:
            if current is self._own:
                raise
            current.down = True
            hint = f"it came from the mirror {current.host.shown}; trying again asks another place"
            raise BadInputError(error.message, hint=hint) from error
        finally:
            reader.close()

    def _blob(self, visit: Visit, tries: int, digest: Digest, size: int, offset: int) -> Response:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        expect = (200, 206) if offset else (200,)
        response = self._wanted(visit, "GET", f"blobs/{digest}", f"blob {digest}", headers, tries, expect)
        try:
            return begun(response, offset, size, f"blob {digest} of {visit.host.shown}/{visit.path}")
        except BaseException:
            response.close()
            raise

    # --- requests ------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        expect: Collection[int] = (200,),
        pull_from: Collection[str] = (),
        again: bool | None = None,
    ) -> Response:
        """The answer of the repository itself to a request, its status one of `expect`; use it as a context manager.

        `url` is absolute, begins with `/`, or is a path below the repository (`blobs/uploads/`). `pull_from` are paths
        of other repositories of the same registry that must be readable, for a mount. A `body` that is a function is
        called for each try. `again`: whether it may be sent more than once (default: GET and HEAD). Logs in and follows
        redirects as need be. Raises RegistryError; NotFoundError for 404.
        """
        visit = self._own
        if not url.startswith("/") and "://" not in url:
            url = f"/v2/{visit.path}/{url}"
        scopes = [scope(visit.path, self._actions), *(scope(path, PULL) for path in pull_from)]
        repeatable = method in _REPEATABLE if again is None else again
        tries = _TRIES if repeatable else 1
        response = visit.send(method, url, headers or {}, body, scopes=scopes, tries=tries)
        if response.status in expect:
            return response
        raise _refused(visit, f"{method} {urlsplit(response.url).path}", response)

    def refused(self, answer: Answer, what: str) -> PybuildError:
        """The error for an answer of `request` that does not do what was asked with `what`."""
        visit = self._own
        head = Head(answer.status, answer.headers, "")
        return refusal(visit.host.shown, visit.path, what, head, answer.body, visit.hint())

    @property
    def _own(self) -> Visit:
        return self._visits[-1]

    def _wanted(
        self,
        visit: Visit,
        method: str,
        path: str,
        what: str,
        headers: Mapping[str, str],
        tries: int,
        expect: Collection[int] = (200,),
    ) -> Response:
        """The answer to a request for `what`, as it is and not compressed. Raises NotFoundError, RegistryError."""
        url, scopes = f"/v2/{visit.path}/{path}", [scope(visit.path, self._actions)]
        response = visit.send(method, url, headers, scopes=scopes, tries=tries)
        if response.status not in expect:
            raise _refused(visit, what, response)
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            response.close()
            shown = f"{what} of {visit.host.shown}/{visit.path}"
            raise BadInputError(f"{shown} comes encoded as {encoding[:20]!r}, which was not asked for")
        return response

    def _alive(self) -> Iterator[tuple[Visit, int]]:
        """The places to ask, with how often; mirrors that could not answer are asked no more."""
        for visit in self._visits[:-1]:
            if not (visit.down or visit.host.down):
                yield visit, _TRIES_MIRROR
        yield self._own, _TRIES

    def _failed(self, visit: Visit, error: PybuildError) -> None:
        """Remember a mirror that could not answer; one that merely lacks something may have the next thing."""
        visit.down = visit.down or isinstance(error, RegistryError)

    def _first(self, ask: Callable[[Visit, int], T]) -> T:
        """What the first place says that has something to say; its own place's error else, and why mirrors failed."""
        failed: list[str] = []
        for visit, tries in self._alive():
            try:
                return self._persistent(lambda: ask(visit, tries), tries)  # noqa: B023 called at once
            except (RegistryError, NotFoundError, BadInputError) as error:
                if visit is not self._own:
                    failed.append(error.message)
                    self._failed(visit, error)
                    continue
                if failed:
                    raise type(error)(error.message, hint=f"before that, {'; '.join(failed)}") from error
                raise
        raise AssertionError("a repository has a place")

    def _persistent(self, ask: Callable[[], T], tries: int) -> T:
        """What `ask` gives, asked again when its answer breaks off."""
        for number in range(1, tries):
            try:
                return ask()
            except BrokenOffError:
                self._wait(PAUSE * 2**number)
        return ask()


def _refused(visit: Visit, what: str, response: Response) -> PybuildError:
    """The error for an answer that is not the one wanted."""
    with response:
        try:
            body = response.whole(LARGEST_REASON)
        except RegistryError:
            body = b""  # what it answered is known without its reasons
    return refusal(visit.host.shown, visit.path, what, response.head, body, visit.hint())


def _media_type(response: Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip()
