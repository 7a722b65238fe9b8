"""One repository of a registry (OCI distribution spec): manifests, blobs, and requests of any kind."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

from builder.digest import Digest, VerifyingReader
from builder.errors import NotFoundError, PybuildError, RegistryError
from builder.image.descriptor import Descriptor
from builder.image.manifest import LARGEST
from builder.image.mediatypes import INDEXES, MANIFESTS
from builder.registry.auth import Answer, anonymous_token
from builder.registry.transport import Body, Response, Transport

_SMALL = 1 << 20
_ACCEPT = ", ".join(sorted(MANIFESTS | INDEXES))


class Repository:
    """One repository; made by Registries. Use it as a context manager, from any number of threads.

    `push`: what it is asked may change it. Messages name `domain`.
    """

    def __init__(self, transport: Transport, domain: str, base: str, *, push: bool = False) -> None:
        self._transport, self._domain, self._base, self._push = transport, domain, base, push
        self._authorization: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end: connections are the Registries'."""

    @property
    def name(self) -> str:
        """The repository as messages name it, `domain/path`."""
        return f"{self._domain}/{self._path}"

    @property
    def _path(self) -> str:
        return self._base.partition("/v2/")[2]

    # --- manifests -----------------------------------------------------------------------------

    def manifest(self, name: str) -> tuple[bytes, str]:
        """The bytes and media type of the manifest with this tag or digest.

        Raises NotFoundError when there is none, RegistryError for all else. A digest is checked.
        """
        what = f"manifest {name}"
        with self._wanted("GET", f"manifests/{name}", what, {"Accept": _ACCEPT}) as response:
            data = response.read(LARGEST + 1)
            media_type = _media_type(response)
        if ":" in name:
            VerifyingReader(_Held(data), Digest.parse(name)).drain()
        return data, media_type

    def head(self, name: str) -> Descriptor | None:
        """What a tag or digest names, by the registry's own word; None when there is nothing. Raises RegistryError."""
        with self.request("HEAD", f"manifests/{name}", headers={"Accept": _ACCEPT}, expect=(200, 404)) as response:
            if response.status == 404:
                return None
            length = response.headers.get("Content-Length", "")
            digest = name if ":" in name else response.headers.get("Docker-Content-Digest", "")
            if digest and length.isdigit():
                return Descriptor(_media_type(response), Digest.parse(digest), int(length))
        data, media_type = self.manifest(name)
        return Descriptor(media_type, Digest.of(data), len(data))

    def put_manifest(self, name: str, data: bytes, media_type: str) -> None:
        """Store a manifest or an index under a tag or its digest. Raises RegistryError."""
        headers = {"Content-Type": media_type}
        with self.request("PUT", f"manifests/{name}", headers=headers, body=data, expect=(200, 201, 202)) as response:
            said = response.headers.get("Docker-Content-Digest", "")
        ours = str(Digest.of(data))
        if said and said != ours:
            raise RegistryError(f"{self._domain} took manifest {name} of {self._path} as {said}, but it is {ours}")

    # --- blobs ---------------------------------------------------------------------------------

    def exists(self, digest: Digest) -> bool:
        """Whether the repository has this blob. Raises RegistryError."""
        with self.request("HEAD", f"blobs/{digest}", expect=(200, 404)) as response:
            return response.status == 200

    @contextmanager
    def blob(self, descriptor: Descriptor) -> Iterator[VerifyingReader]:
        """A reader of a blob. Raises NotFoundError, RegistryError, and BadInputError at its end if it is another."""
        with self._wanted("GET", f"blobs/{descriptor.digest}", f"blob {descriptor.digest}") as response:
            yield VerifyingReader(response, descriptor.digest, descriptor.size)

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
    ) -> Response:
        """The answer to a request, whose status is one of `expect`; use it as a context manager.

        `url` is absolute, begins with `/`, or is a path below the repository (`blobs/uploads/`). `pull_from` are paths
        of other repositories of the same registry that must be readable, for a mount. A `body` that is a function is
        called for each try. Logs in, tries again and follows redirects as need be. Raises RegistryError.
        """
        response = self._answered(method, urljoin(f"{self._base}/", url), headers or {}, body, pull_from)
        if response.status in expect:
            return response
        with response:
            raise self._refusal(response.status, f"{method} {urlsplit(response.url).path}")

    def _wanted(self, method: str, path: str, what: str, headers: Mapping[str, str] | None = None) -> Response:
        """The answer 200 to a request for `what`. Raises NotFoundError, RegistryError."""
        response = self._answered(method, f"{self._base}/{path}", headers or {}, None, ())
        if response.status == 200:
            return response
        with response:
            raise self._refusal(response.status, what)

    def _answered(
        self, method: str, url: str, headers: Mapping[str, str], body: Body, pull_from: Collection[str]
    ) -> Response:
        """An answer that has logged in as no one where the registry wanted that."""
        own = url.startswith(self._base.partition("/v2/")[0] + "/")
        response = self._transport.send(method, url, {**headers, **(self._authorization if own else {})}, body)
        if response.status == 401 and own:
            with response:
                flow = anonymous_token(self._domain, _answer(response))
                asked = next(flow)
            with self._transport.send("GET", asked, {"Accept": "application/json"}) as token:
                try:
                    flow.send(_answer(token))
                except StopIteration as done:
                    self._authorization = {"Authorization": f"Bearer {done.value}"}
            response = self._transport.send(method, url, {**headers, **self._authorization}, body)
        return response

    def _refusal(self, status: int, what: str) -> PybuildError:
        if status == 404:
            return NotFoundError(f"{self._domain} has no {what} in {self._path}")
        if status in (401, 403):
            return RegistryError(
                f"{self._domain} refuses {what} (status {status})",
                hint="is the name right? Images that need a login cannot be pulled in this version",
            )
        return RegistryError(f"{self._domain} answered {status} when asked for {what}")


def _answer(response: Response) -> Answer:
    return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.read(_SMALL))


def _media_type(response: Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip()


class _Held:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1) -> bytes:
        data, self._data = (self._data, b"") if size < 0 else (self._data[:size], self._data[size:])
        return data
