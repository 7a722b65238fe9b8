"""Something between a program and a registry, which at some time does not hand on what it should."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from types import TracebackType

from tests.support.serving import Served

# What is done to a request: nothing (None), or it is cut off, kept waiting, or answered by a page of HTML.
CUT, STALL, HTML = "cut", "stall", "html"
Rule = Callable[[str, str], str | None]


class Between(Served):
    """Hands requests on to the registry at `address`, as far as `rule`, given method and path, lets it.

    Use it as a context manager. `asked` are methods and paths.
    """

    def __init__(self, address: str, rule: Rule = lambda method, path: None) -> None:
        self.rule, self.asked = rule, list[tuple[str, str]]()
        self._over = threading.Event()
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                between.asked.append((self.command, self.path))
                done = between.rule(self.command, self.path)
                if done == STALL:
                    between._over.wait(60)
                if done in (CUT, STALL):
                    self.close_connection = True
                    return
                if done == HTML:
                    self._send(200, {"Content-Type": "text/html"}, b"<html>Welcome to the hotel</html>")
                    return
                self._hand_on()

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _answer

            def _hand_on(self) -> None:
                with closing(http.client.HTTPConnection(address)) as connection:
                    body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    connection.request(self.command, self.path, body, dict(self.headers))
                    with connection.getresponse() as answer:
                        self._send(answer.status, dict(answer.getheaders()), answer.read())

            def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "date", "server"):
                        self.send_header(name, value)
                length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
                self.send_header("Content-Length", length)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing: the tests look at `asked`."""

        self.listen(Handler, daemon_threads=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        super().__exit__(kind, error, trace)
