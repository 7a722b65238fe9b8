"""One registry's host: by which scheme it speaks, found out once; and a visit to it, logged in where it wants that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from time import monotonic
from urllib.parse import urlsplit

from msgspec.structs import replace

from builder.errors import NotFoundError, RegistryError
from builder.registry import answers
from builder.registry.auth import Answer, Login, Token, logged_in, login_hint, merged
from builder.registry.exchange import Broken, Call
from builder.registry.proxies import is_loopback
from builder.registry.rules import Place
from builder.registry.transport import Body, Response, Transport

# A token is not used in the last part of its time, so that it does not end on the way.
_SAFE = 0.9
_TRIES = 4
# How Go's and nginx's servers answer plain HTTP where TLS is spoken.
_TLS_WANTED = (b"HTTP request to an HTTPS server", b"plain HTTP request was sent to HTTPS port")


class Host:
    """A host with its port, for all repositories on it. `shown` is what messages call it.

    https, unless it is this machine, which is asked by http first, or one that need not be safe, by http after that.
    """

    def __init__(self, place: Place, shown: str, transport: Transport) -> None:
        self.name, self.shown, self._transport = place.host, shown, transport
        self._schemes = _schemes(place, transport)
        self._settled = ""
        self.down = False  # as far as the last try could tell

    def send(self, call: Call, body: Body = None) -> Response:
        """The answer to a request, its URL absolute or beginning with `/`. Raises RegistryError when there is none."""
        if not call.url.startswith("/"):
            said = self._transport.send(call, body)
            return said if isinstance(said, Response) else self._unreachable([said])
        failed: list[Broken] = []
        for scheme, unanswered in self._attempts(call.unanswered):
            url = f"{scheme}://{self.name}{call.url}"
            said = self._transport.send(replace(call, url=url, unanswered=unanswered), body)
            if isinstance(said, Response) and self._speaks(scheme, said):
                self._settled, self.down = scheme, False
                return said
            failed += [said] if isinstance(said, Broken) else []
            if isinstance(said, Broken) and said.untrusted:
                break
        return self._unreachable(failed)

    def is_own(self, url: str) -> bool:
        """Whether a URL is of this host, by a scheme it may be asked by: what credentials for it may be sent to."""
        parts = urlsplit(url)
        return parts.netloc.lower() == self.name.lower() and parts.scheme in self._schemes

    def _attempts(self, unanswered: int) -> Iterator[tuple[str, int]]:
        schemes = (self._settled,) if self._settled else self._schemes
        if len(schemes) > 1:
            # One try each finds out which it is; if neither works, the host may only have stumbled.
            yield from ((scheme, 1) for scheme in schemes)
        yield schemes[0], unanswered

    def _speaks(self, scheme: str, response: Response) -> bool:
        if self._settled or scheme == "https" or "https" not in self._schemes or response.status != 400:
            return True
        with response:
            body = response.whole(answers.LARGEST)
        return not any(words in body for words in _TLS_WANTED)

    def _unreachable(self, failed: list[Broken]) -> Response:
        self.down = True
        worst = next((f for f in failed if f.untrusted), failed[0] if failed else Broken("it speaks no HTTP"))
        hint = "is the name right, and the network there?"
        if worst.untrusted:
            ca = f"~/.config/containers/certs.d/{self.name}/ca.crt"
            hint = f"its CA belongs into {ca}; with --insecure-registry {self.name} no proof is asked for"
        elif "wrong version number" in worst.reason:
            hint = f"it seems to speak plain HTTP: with --insecure-registry {self.name} that is taken"
        raise RegistryError(f"{self.shown} cannot be reached: {worst.reason}", hint=hint)


def _schemes(place: Place, transport: Transport) -> tuple[str, ...]:
    if place.plain:
        return ("http",)
    if place.insecure:
        return ("https", "http")
    if is_loopback(place.host) and not transport.has_certificates(place.host):
        return ("http", "https")
    return ("https",)


class Visit:
    """Requests to one repository of a host, for any number of threads. `find` looks up the login for it."""

    def __init__(self, host: Host, path: str, transport: Transport, find: Callable[[], Login | None]) -> None:
        self.host, self.path, self._transport, self._find = host, path, transport, find
        self._lock = threading.Lock()
        self._refused: tuple[Answer, str] | None = None
        self._tokens: dict[tuple[str, ...], tuple[Token, float]] = {}
        self._login: Login | None = None
        self._looked = False
        self._trouble: RegistryError | NotFoundError | None = None
        self.down = False  # whether it should not be asked again where there are others

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body = None,
        *,
        scopes: Collection[str] = (),
        tries: int = _TRIES,
    ) -> Response:
        """The answer to a request, logged in where that was asked for. Raises RegistryError when there is none."""
        wanted, fresh = merged(scopes), False
        own = url.startswith("/") or self.host.is_own(url)
        header = self._known(wanted) if own else None
        while True:
            sent = {**headers, "Authorization": header} if header else headers
            response = self.host.send(Call(method, url, sent, tries), body)
            if response.status != 401 or fresh or not own or not self.host.is_own(response.url):
                return response
            with response:
                refused = answer_of(response)
            header, fresh = self._challenged(refused, response.url, wanted, header), True

    def hint(self) -> str:
        """What to do when it refuses something."""
        if self._trouble is not None:
            return self._trouble.message
        if self._login is not None:
            return f"the login for it may not suffice; pybuild login {self.host.shown} stores another"
        return login_hint(self.host.shown)

    # --- logging in ----------------------------------------------------------------------------

    def _known(self, scopes: tuple[str, ...]) -> str | None:
        """The header for `scopes`, where it is known that one is needed."""
        with self._lock:
            found, until = self._tokens.get(scopes, (None, 0.0))
            if found is not None and monotonic() < until:
                return found.header
            return None if self._refused is None else self._renewed(*self._refused, scopes)

    def _challenged(self, refused: Answer, url: str, scopes: tuple[str, ...], used: str | None) -> str:
        """The header that answers a 401, which `used` was not enough for. Raises RegistryError."""
        with self._lock:
            found, until = self._tokens.get(scopes, (None, 0.0))
            if found is not None and monotonic() < until and found.header != used:
                return found.header  # another thread was first
            self._refused = refused, url
            return self._renewed(refused, url, scopes)

    def _renewed(self, refused: Answer, url: str, scopes: tuple[str, ...]) -> str:
        token = self.flow(refused, url, scopes, self._known_login())
        self._tokens[scopes] = token, monotonic() + token.seconds * _SAFE
        return token.header

    def _known_login(self) -> Login | None:
        if not self._looked:
            try:
                self._login = self._find()
            except (RegistryError, NotFoundError) as error:
                self._trouble = error  # strangers may be welcome, too
            self._looked = True
        return self._login

    def flow(
        self, refused: Answer, url: str, scopes: tuple[str, ...], login: Login | None, *, offline: bool = False
    ) -> Token:
        """What opens `url`, which was refused. Raises RegistryError."""
        flow = logged_in(self.host.shown, refused, url, scopes, login, offline=offline)
        try:
            ask = next(flow)
            while True:
                said = self._transport.send(ask.call, ask.form)
                if isinstance(said, Broken):
                    service = urlsplit(ask.call.url).netloc
                    raise RegistryError(
                        f"{service}, where {self.host.shown} has logins, cannot be reached: {said.reason}"
                    )
                with said:
                    answer = answer_of(said)
                ask = flow.send(answer)
        except StopIteration as done:
            token: Token = done.value
            return token
        except RegistryError as error:
            if self._trouble is not None:
                raise RegistryError(error.message, hint=self._trouble.message) from error
            raise


def answer_of(response: Response) -> Answer:
    """An answer with its body, as flows take it. Raises BrokenOffError."""
    return Answer(response.status, response.head.headers, response.whole(answers.LARGEST))
