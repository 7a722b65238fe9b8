"""Files from URLs into the store as blobs; what was fetched before is asked for again, not fetched again.

What a server said of a file (ETag, Last-Modified) is kept in the store's memo, so that the next build can ask
whether it has changed (RFC 9110, "Conditional Requests").
"""

from __future__ import annotations

import base64
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, RegistryError
from builder.events import Emit, Progress, Work
from builder.graph.remote import redacted
from builder.readied import readied
from builder.registry.exchange import Broken, Call
from builder.registry.transport import Response, Transport
from builder.store.memo import FETCHED
from builder.store.open import Store

# A Last-Modified tells states apart only if the file had not been changed within the second it names when it was
# sent (RFC 9110, 8.8.2.2); clocks of server and file system need not be the same.
_SETTLED_SECONDS = 60


class Fetched(Struct, frozen=True):
    """A fetched file: its digest and size, `mtime` in seconds (0 where the server tells none), and its validators."""

    digest: str
    size: int
    mtime: int
    etag: str = ""
    modified: str = ""

    @property
    def blob(self) -> Digest:
        """The digest as such."""
        return Digest.parse(self.digest)


class Web:
    """Fetches into `store`. `cancel` may be called from any thread. With `offline` what was fetched last is current."""

    def __init__(self, store: Store, emit: Emit, *, offline: bool = False) -> None:
        self._store, self._emit, self._offline = store, emit, offline
        self._transport = Transport(unpacked=True)

    def close(self) -> None:
        """End its connections."""
        self._transport.close()

    def cancel(self) -> None:
        """Break off what is being read, and ask for nothing more."""
        self._transport.cancel()

    def current(self, url: str, hint: bytes | None = None) -> Fetched:
        """What `url` gives now. Its blob is in the store, or was. Raises RegistryError.

        `hint` is a Fetched that another machine was given, as JSON: its blob need not have been here.
        """
        known = self._remembered(url)
        if known is None and hint is not None:
            known = _decoded(hint)
        if known is not None and self._offline:
            return known
        with self._get(url, _conditions(known)) as response:
            if known is not None and (response.status == 304 or _same(known.etag, response)):
                return known
            _expect(url, response)
            return self._keep(url, response)

    def held(self, url: str, digest: Digest) -> Fetched:
        """The file `digest`, its blob in the store now: it was there, or `url` gives it.

        Raises RegistryError; BadInputError when the URL gives another file.
        """
        known = self.here(url, digest)
        if known is not None:
            return known
        with self._get(url, {}) as response:
            _expect(url, response)
            found = self._keep(url, response)
        if found.blob != digest:
            raise BadInputError(
                f"{redacted(url)} gives another file than the one asked for: {found.blob}, not {digest}",
                hint="is the checksum right, and the URL? A file that changes while it is built needs another try",
            )
        return found

    def here(self, url: str, digest: Digest) -> Fetched | None:
        """The file `digest` that `url` gave last, if its blob is in the store; it stays then."""
        known = self._remembered(url)
        return known if known is not None and known.blob == digest and self._store.blobs.claimed(digest) else None

    # --- one request ---------------------------------------------------------------------------

    def _get(self, url: str, conditions: dict[str, str]) -> Response:
        if self._offline:
            raise NotFoundError(f"{redacted(url)} is not asked under --offline, and the store does not have it")
        bare, credentials = _split(url)
        # Who asks for a file of the web is led wherever it is; its credentials are not (exchange.py).
        said = self._transport.send(Call("GET", bare, {**credentials, **conditions}, plain_too=True))
        if isinstance(said, Broken):
            raise RegistryError(
                f"{redacted(url)} cannot be fetched: {said.reason}", hint="is the name right, and the network there?"
            )
        return said

    def _keep(self, url: str, response: Response) -> Fetched:
        digest, size = self._store.blobs.put(_Body(url, response, self._emit))
        modified = response.headers.get("Last-Modified", "")
        found = Fetched(
            str(digest),
            size,
            max(0, _seconds(modified) or 0),
            _strong(response.headers.get("ETag", "")),
            modified if _settled(modified, response.headers.get("Date", "")) else "",
        )
        self._store.memo.put(FETCHED, url_name(url), msgspec.json.encode(found))
        return found

    def _remembered(self, url: str) -> Fetched | None:
        value = self._store.memo.get(FETCHED, url_name(url))
        return None if value is None else _decoded(value)


def _decoded(value: bytes) -> Fetched | None:
    """What was written; None for what another version, or nobody, has."""
    try:
        found = msgspec.json.decode(value, type=readied(Fetched))
        Digest.parse(found.digest)
    except (msgspec.MsgspecError, BadInputError):
        return None
    return found if found.mtime >= 0 and _plain(found.etag) and _plain(found.modified) else None


def _plain(text: str) -> bool:
    """Whether it may stand in a header."""
    return text.isascii() and text.isprintable()


class _Body:
    """A response's body, which tells how far it is."""

    def __init__(self, url: str, response: Response, emit: Emit) -> None:
        self._shown, self._response, self._emit = redacted(url), response, emit
        length = response.headers.get("Content-Length", "")
        self._total = int(length) if length.isdigit() else 0
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        data = self._response.read(size)
        self._read += len(data)
        over = size != 0 and not data
        self._emit(Progress(Work.FETCH, self._shown, self._read, self._read if over else self._total))
        return data


def _expect(url: str, response: Response) -> None:
    status = response.status
    if 200 <= status < 300:
        return
    shown = redacted(url)
    if status in (401, 403, 407):
        raise RegistryError(
            f"{shown} is refused to you (status {status})",
            hint="is the URL right, and do the credentials in it suffice?",
        )
    if status in (404, 410):
        raise RegistryError(f"there is nothing at {shown} (status {status})", hint="is the URL right?")
    raise RegistryError(f"{shown} cannot be fetched: the server answered with status {status}")


def _split(url: str) -> tuple[str, dict[str, str]]:
    """`url` without the credentials in it, and the header that carries them."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise RegistryError(f"{redacted(url)} is not a URL: {error}") from error
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    token = base64.b64encode(unquote(user).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {token}"}


def _conditions(known: Fetched | None) -> dict[str, str]:
    if known is None:
        return {}
    if known.etag:
        return {"If-None-Match": f"{known.etag}, W/{known.etag}"}
    return {"If-Modified-Since": known.modified} if known.modified else {}


def _same(etag: str, response: Response) -> bool:
    """Whether a server that does not answer conditions sends what is known."""
    return bool(etag) and response.status == 200 and _strong(response.headers.get("ETag", "")) == etag


def _strong(etag: str) -> str:
    """An ETag without its mark of weakness, as BuildKit compares them; empty for what is none."""
    value = etag.removeprefix("W/")
    return value if len(value) > 2 and value[0] == value[-1] == '"' else ""


def _settled(modified: str, date: str) -> bool:
    changed, sent = _seconds(modified), _seconds(date)
    return changed is not None and sent is not None and sent - changed >= _SETTLED_SECONDS


def _seconds(date: str) -> int | None:
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def url_name(url: str) -> str:
    """What `url` is remembered by: it may hold credentials, which what is kept does not name."""
    return Digest.of(url.encode(errors="surrogateescape")).hex
