"""HTTP: connections shared by threads, over proxies and TLS, and answers whose failures are our errors.

What is followed and tried again: exchange.py.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError

from builder.digest import Reader
from builder.errors import CanceledError, RegistryError
from builder.registry import tls
from builder.registry.connections import Connections
from builder.registry.exchange import Broken, Call, Head, Pause, exchange
from builder.registry.proxies import proxy_of
from builder.registry.words import printable
from builder.version import __version__

_TIMEOUT = urllib3.Timeout(connect=20, read=60)
# While it is not known which scheme a host speaks: one that waits for more than a TLS hello keeps silent.
_PROBING = urllib3.Timeout(connect=10, read=60)
# Connections kept to one host: as many as there may be threads that read and write at once.
_KEPT = 64
_PIECE = 1 << 20
# Less of a body's rest is read so that its connection serves again; with more, another one is cheaper.
_REST = 64 << 10
# A body that is to be held in memory comes within this time, or is none.
_PATIENCE_SECONDS = 60.0
# Slower than this for this long, and a body counts as broken off.
_SLOWEST_BYTES, _SLOW_SECONDS = 4 << 10, 60.0

# What is sent: bytes, or a function that opens it, anew for each try.
Body = bytes | Callable[[], Reader] | None


class BrokenOffError(RegistryError):
    """A body that ends before its end: a part of it may be asked for again."""


class Response:
    """An answer. Use it as a context manager.

    `url` is where the answer came from, after redirects.
    """

    def __init__(
        self,
        raw: urllib3.BaseHTTPResponse,
        head: Head,
        among: set[Response],
        canceled: threading.Event,
        *,
        unpacked: bool,
    ) -> None:
        self._raw, self._head, self._among, self._canceled = raw, head, among, canceled
        self._unpacked = unpacked
        among.add(self)
        self._host = urlsplit(head.url).netloc
        self._since, self._arrived = monotonic(), 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def status(self) -> int:
        """The status code."""
        return self._head.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, whose names may be in any case."""
        return self._raw.headers

    @property
    def url(self) -> str:
        """Where it came from."""
        return self._head.url

    @property
    def head(self) -> Head:
        """All but the body."""
        return self._head

    def close(self) -> None:
        """Hand the connection back, or end it when much is left to come."""
        self._among.discard(self)
        left = self._raw.length_remaining
        if left is not None and left <= _REST:
            with suppress(HTTPError, OSError, ValueError):
                self._raw.read(decode_content=False)
                self._raw.release_conn()
                return
        self._raw.close()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes of the body, as they come; b"" at its end. Raises BrokenOffError."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        try:
            data = self._raw.read1(size, decode_content=self._unpacked)
        except (HTTPError, OSError, ValueError) as error:
            self._check()
            raise BrokenOffError(f"{self._host} broke off: {reason(error)}", hint="try again") from error
        self._check()
        self._keep_up(len(data))
        return data

    def whole(self, limit: int) -> bytes:
        """The body, or more than `limit` bytes of it where it is longer. Raises BrokenOffError."""
        until, parts, size = monotonic() + _PATIENCE_SECONDS, [], 0
        while size <= limit and (data := self.read(min(_PIECE, limit + 1 - size))):
            parts.append(data)
            size += len(data)
            if monotonic() > until:
                raise BrokenOffError(f"{self._host} broke off: it takes too long to answer", hint="try again")
        return b"".join(parts)

    def _keep_up(self, count: int) -> None:
        """Do not wait for ever for who sends a byte now and then."""
        self._arrived += count
        now = monotonic()
        if now - self._since > _SLOW_SECONDS:
            if self._arrived < _SLOWEST_BYTES and count:
                raise BrokenOffError(f"{self._host} broke off: it has almost stopped sending", hint="try again")
            self._since, self._arrived = now, 0

    def _check(self) -> None:
        if self._canceled.is_set():
            raise CanceledError("canceled")

    def shutdown(self) -> None:
        """End it from another thread."""
        with suppress(ValueError, RuntimeError, OSError):  # it has just ended by itself
            self._raw.shutdown()


def all_prove_themselves(host: str) -> bool:
    """No host is left unverified."""
    return False


class Transport:
    """Connections to servers, for any number of threads.

    `unverified` says of a host, with its port, that it need not prove who it is; `certificates` are the directories
    that hold certs.d (tls.py), `everywhere` one with certificates for all. `seconds` is for how long an answer, or more
    of one, is waited for. `unpacked`: bodies that were compressed for the way alone are given as they were before
    (RFC 9110, 8.4).
    """

    def __init__(
        self,
        unverified: Callable[[str], bool] = all_prove_themselves,
        certificates: tuple[Path, ...] = (),
        seconds: float | None = None,
        *,
        everywhere: Path | None = None,
        unpacked: bool = False,
    ) -> None:
        self._unverified, self._certificates, self._unpacked = unverified, certificates, unpacked
        self._everywhere = () if everywhere is None else (everywhere,)
        self._timeout, self._probing = _TIMEOUT, _PROBING
        if seconds is not None:
            self._timeout = urllib3.Timeout(connect=min(20.0, seconds), read=seconds)
            self._probing = urllib3.Timeout(connect=min(10.0, seconds), read=seconds)
        self._pools: dict[tuple[str, str, str, bool], urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._open: set[Response] = set()
        self._connections = Connections()
        self.canceled = self._connections.canceled

    def close(self) -> None:
        """End the connections."""
        for pool in self._pools.values():
            pool.clear()

    def cancel(self) -> None:
        """Break off what is being read, and ask for nothing more; from any thread."""
        self._connections.cancel()
        for response in list(self._open):
            response.shutdown()

    def has_certificates(self, host: str) -> bool:
        """Whether certs.d has a directory for `host`."""
        return bool(self._everywhere or tls.of_host(host, self._certificates))

    def send(self, call: Call, body: Body = None) -> Response | Broken:
        """The last answer to a request, whatever its status. Raises RegistryError for a redirect that is not safe."""
        flow = exchange(call)
        step: Call | Pause = next(flow)
        response: Response | None = None
        while True:
            said: Head | Broken | None = None
            try:
                if isinstance(step, Pause):
                    self.wait(step.seconds)
                else:
                    if response is not None:
                        response.close()
                    answer = self._once(step, body)
                    response = answer if isinstance(answer, Response) else None
                    said = answer.head if isinstance(answer, Response) else answer
                step = flow.send(said)
            except StopIteration as last:
                return response if response is not None else last.value
            except BaseException:
                if response is not None:
                    response.close()
                raise

    def wait(self, seconds: float) -> None:
        """Sleep, unless it is all canceled. Raises CanceledError."""
        if self.canceled.wait(seconds):
            raise CanceledError("canceled")

    def _once(self, call: Call, body: Body) -> Response | Broken:
        if self.canceled.is_set():
            raise CanceledError("canceled")
        headers = {"User-Agent": f"pybuild/{__version__}", "Accept-Encoding": "identity", **call.headers}
        content = _pieces(body()) if callable(body) else body
        try:
            raw = self._pool(call.url).urlopen(
                call.method,
                call.url,
                body=content,
                headers=headers,
                retries=False,
                redirect=False,
                timeout=self._probing if call.unanswered == 1 else self._timeout,
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, OSError, ValueError) as error:  # ValueError: what cannot be sent in a header or a URL
            return _broken(error)
        head = Head(raw.status, {name.lower(): value for name, value in raw.headers.items()}, call.url)
        return Response(raw, head, self._open, self.canceled, unpacked=self._unpacked)

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Connections on the way the environment says for `url`: straight, or over a proxy; with its host's TLS."""
        parts = urlsplit(url)
        own, verify = "", True
        if parts.scheme == "https":
            verify = not self._unverified(parts.netloc)
            own = parts.netloc if self.has_certificates(parts.netloc) else ""
        key = (parts.scheme, proxy_of(url, os.environ), own, verify)
        with self._lock:
            if key not in self._pools:
                self._pools[key] = self._made(*key)
            return self._pools[key]

    def _made(self, scheme: str, proxy: str, own: str, verify: bool) -> urllib3.PoolManager:
        settings: dict[str, Any] = {"num_pools": 32, "maxsize": _KEPT}
        if scheme == "https":
            found = (*tls.of_host(own, self._certificates), *self._everywhere) if own else ()
            settings["ssl_context"] = tls.context(own, found, verify=verify)
        pools = urllib3.PoolManager(**settings)
        if proxy:
            user, at, _ = urlsplit(proxy).netloc.rpartition("@")
            headers = urllib3.make_headers(proxy_basic_auth=unquote(user)) if at else None
            pools = urllib3.ProxyManager(proxy, proxy_headers=headers, **settings)
        pools.pool_classes_by_scheme = self._connections.pools(verify=verify)
        return pools


def _pieces(source: Reader) -> Iterator[bytes]:
    while data := source.read(_PIECE):
        yield data


def _broken(error: Exception) -> Broken:
    inner = _innermost(error)
    untrusted = isinstance(inner, ssl.SSLCertVerificationError)
    unknown = isinstance(inner, NameResolutionError) and getattr(inner.__cause__, "errno", 0) != socket.EAI_AGAIN
    refused = isinstance(inner, ssl.SSLError) and not isinstance(inner, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
    return Broken(reason(error), refused or unknown or isinstance(inner, ValueError), untrusted)


def reason(error: Exception) -> str:
    """The innermost cause, which is what a user can do something about."""
    inner = _innermost(error)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate does not prove who it is: {inner.verify_message}"
    if isinstance(inner, ssl.SSLError) and inner.reason:
        return f"TLS fails: {inner.reason.lower().replace('_', ' ')}"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return printable(str(inner).rpartition("): ")[2] or str(inner))


def _innermost(error: Exception) -> Exception:
    for inner in (getattr(error, "original_error", None), getattr(error, "reason", None), *reversed(error.args)):
        if isinstance(inner, Exception):
            return _innermost(inner)
    return error
