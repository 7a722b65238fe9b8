"""Reads from one repository of a registry (OCI distribution spec, "Pull"). Not here: what is done with it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import urllib3

from builder.digest import Digest, VerifyingReader
from builder.errors import NotFoundError, RegistryError
from builder.image.descriptor import Descriptor
from builder.image.manifest import LARGEST
from builder.image.mediatypes import INDEXES, MANIFESTS
from builder.image.reference import DEFAULT_DOMAIN, Reference
from builder.registry.auth import Answer, anonymous_token
from builder.version import __version__

# The API of the default registry is not where its name points (distribution's reference normalisation).
_API_HOSTS = {DEFAULT_DOMAIN: "registry-1.docker.io"}
_TIMEOUT = urllib3.Timeout(connect=20, read=60)
_RETRIES = urllib3.Retry(
    3, redirect=5, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
)
_SMALL = 1 << 20


class Repository:
    """One repository, read anonymously. Use it as a context manager; it is for one thread."""

    def __init__(self, reference: Reference) -> None:
        self._domain = reference.domain
        scheme = "http" if _is_loopback(reference.domain) else "https"
        host = _API_HOSTS.get(reference.domain, reference.domain)
        self._base = f"{scheme}://{host}/v2/{reference.path}"
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=_RETRIES)
        self._headers = {"User-Agent": f"pybuild/{__version__}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.clear()

    def manifest(self, name: str) -> tuple[bytes, str]:
        """The bytes and media type of the manifest with this tag or digest.

        Raises NotFoundError when there is none, RegistryError for all else. A digest is checked.
        """
        accept = ", ".join(sorted(MANIFESTS | INDEXES))
        with self._get(f"{self._base}/manifests/{name}", accept) as response:
            self._expect(response, f"manifest {name}")
            data = _Body(response, self._domain).read(LARGEST + 1)
        if ":" in name:
            VerifyingReader(_Held(data), Digest.parse(name)).drain()
        return data, response.headers.get("Content-Type", "").partition(";")[0].strip()

    @contextmanager
    def blob(self, descriptor: Descriptor) -> Iterator[VerifyingReader]:
        """A reader of a blob."""
        with self._get(f"{self._base}/blobs/{descriptor.digest}", "*/*") as response:
            self._expect(response, f"blob {descriptor.digest}")
            yield VerifyingReader(_Body(response, self._domain), descriptor.digest, descriptor.size)

    @contextmanager
    def _get(self, url: str, accept: str) -> Iterator[urllib3.BaseHTTPResponse]:
        """A GET that has logged in as no one where the registry wanted that."""
        response = self._send(url, accept)
        if response.status == 401:
            flow = anonymous_token(self._domain, self._answer(response))
            response.release_conn()
            token = self._send(next(flow), "application/json", {})
            try:
                flow.send(self._answer(token))
            except StopIteration as done:
                self._headers["Authorization"] = f"Bearer {done.value}"
            token.release_conn()
            response = self._send(url, accept)
        try:
            yield response
        finally:
            # What was not read to its end cannot be followed by another request on the same connection.
            response.close()

    def _send(self, url: str, accept: str, headers: dict[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        sent = {**(self._headers if headers is None else headers), "Accept": accept}
        try:
            # urllib3 drops Authorization when a redirect leads to another host (Retry.remove_headers_on_redirect)
            return self._pool.request("GET", url, headers=sent, preload_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(
                f"{self._domain} cannot be reached: {reason(error)}",
                hint="is the name right, and the network there?",
            ) from error

    def _answer(self, response: urllib3.BaseHTTPResponse) -> Answer:
        headers = {k.lower(): v for k, v in response.headers.items()}
        return Answer(response.status, headers, _Body(response, self._domain).read(_SMALL))

    def _expect(self, response: urllib3.BaseHTTPResponse, what: str) -> None:
        if response.status == 404:
            raise NotFoundError(f"{self._domain} has no {what} in {self._base.partition('/v2/')[2]}")
        if response.status in (401, 403):
            raise RegistryError(
                f"{self._domain} refuses {what} (status {response.status})",
                hint="is the name right? Images that need a login cannot be pulled in this version",
            )
        if response.status != 200:
            raise RegistryError(f"{self._domain} answered {response.status} when asked for {what}")


class _Held:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1) -> bytes:
        data, self._data = (self._data, b"") if size < 0 else (self._data[:size], self._data[size:])
        return data


class _Body:
    """A response's body whose transport errors are ours."""

    def __init__(self, response: urllib3.BaseHTTPResponse, domain: str) -> None:
        self._response, self._domain = response, domain

    def read(self, size: int = -1) -> bytes:
        try:
            return self._response.read(None if size < 0 else size)
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(f"{self._domain} broke off: {reason(error)}", hint="try again") from error


def reason(error: Exception) -> str:
    """The innermost cause, which is what a user can do something about."""
    inner = getattr(error, "reason", None)
    text = str(inner if isinstance(inner, Exception) else error)
    return text.rpartition("): ")[2] or text


def _is_loopback(domain: str) -> bool:
    host = domain.rpartition(":")[0] if domain.rpartition(":")[2].isdigit() else domain
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
