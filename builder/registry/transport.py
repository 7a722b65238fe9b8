"""HTTP for registries: connections shared by threads, and answers whose failures are our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

import urllib3

from builder.digest import Reader
from builder.errors import RegistryError
from builder.version import __version__

_TIMEOUT = urllib3.Timeout(connect=20, read=60)
_RETRIES = urllib3.Retry(
    3, redirect=5, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
)
# Connections kept to one host; more are made when more threads ask, and closed after.
_KEPT = 16

_PIECE = 1 << 20

# What is sent: bytes, or a function that opens it, anew for each try.
Body = bytes | Callable[[], Reader] | None


class Response:
    """An answer. Use it as a context manager: what is not read to its end costs the connection.

    `headers` are looked up in any case; `url` is where the answer came from, after redirects.
    """

    def __init__(self, raw: urllib3.BaseHTTPResponse, host: str, url: str) -> None:
        self._raw, self._host, self.url = raw, host, url
        self.status = raw.status
        self.headers: Mapping[str, str] = raw.headers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hand the connection back, or end it when there is more to come."""
        try:
            if self._raw.read(1):
                self._raw.close()
            else:
                self._raw.release_conn()
        except urllib3.exceptions.HTTPError:
            self._raw.close()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes of the body. Raises RegistryError when it breaks off."""
        try:
            return self._raw.read(None if size < 0 else size)
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(f"{self._host} broke off: {reason(error)}", hint="try again") from error


class Transport:
    """Connections to registries, for any number of threads."""

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=_RETRIES, maxsize=_KEPT)

    def close(self) -> None:
        """End the connections."""
        self._pool.clear()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Response:
        """The answer to one request, whatever its status. Raises RegistryError when there is none."""
        host = urllib3.util.parse_url(url).netloc or url
        sent = {"User-Agent": f"pybuild/{__version__}", **headers}
        content = _pieces(body()) if callable(body) else body
        try:
            # urllib3 drops Authorization when a redirect leads to another host (Retry.remove_headers_on_redirect)
            raw = self._pool.request(method, url, headers=sent, body=content, preload_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(
                f"{host} cannot be reached: {reason(error)}",
                hint="is the name right, and the network there?",
            ) from error
        return Response(raw, host, urllib3.util.parse_url(url).url if raw.url is None else _absolute(url, raw.url))


def _pieces(source: Reader) -> Iterator[bytes]:
    while data := source.read(_PIECE):
        yield data


def _absolute(asked: str, answered: str) -> str:
    # lazy: as cheap as it is rare
    from urllib.parse import urljoin

    return urljoin(asked, answered)


def reason(error: Exception) -> str:
    """The innermost cause, which is what a user can do something about."""
    inner = getattr(error, "reason", None)
    text = str(inner if isinstance(inner, Exception) else error)
    return text.rpartition("): ")[2] or text
