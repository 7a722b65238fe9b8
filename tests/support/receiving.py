"""A registry in memory that takes pushes, notes what it is asked, and does wrong as told; and a wire that breaks."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tests.support.serving import Served

_CHUNK = 16 << 10


@dataclass
class Receiver(Served):
    """Takes pushes. Use it as a context manager.

    `largest` bytes it takes in one request; of the next `cut` requests with bytes it takes so many and breaks the
    connection; `busy` are statuses it answers the next of them with; `refusals` what it answers by beginning of
    `METHOD path`; `elsewhere` is the address of another one that uploads are sent to. After `alive` requests it answers
    no more. With `login`, as in an Authorization header, it serves nobody else. What has bytes it answers once
    `stalls`, if given, is set; `stalled` says that somebody waits for that.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[bytes, str]] = field(default_factory=dict)
    held: set[tuple[str, str]] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    largest: int = 1 << 40
    cut: list[int] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    elsewhere: str = ""
    mounts: bool = True
    alive: int | None = None
    login: str | None = None
    stalls: threading.Event | None = None
    stalled: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        receiver = self
        self._lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Says nothing: the tests look at `asked`."""

            def handle_one_request(self) -> None:
                with suppress(ConnectionError):
                    super().handle_one_request()

            def do_GET(self) -> None:
                receiver._serve(self)

            do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        self.listen(Handler)

    def count(self) -> Counter[str]:
        """How often it was asked, by method and kind: `PUT manifests`, `HEAD blobs`, `POST uploads`…"""
        kinds = ("/uploads/", "/manifests/", "/blobs/")
        found = ((line.split()[0], next((k for k in kinds if k in line), "")) for line in self.asked)
        return Counter(f"{method} {kind.strip('/')}" for method, kind in found if kind)

    # --- answering -----------------------------------------------------------------------------

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        line = f"{handler.command} {handler.path}"
        with self._lock:
            self.asked.append(line)
            self.seen.append((line, handler.headers.get("Authorization")))
            dead = self.alive is not None and len(self.asked) > self.alive
            refusal = next((said for begin, said in self.refusals.items() if line.startswith(begin)), None)
        if dead:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        length = int(handler.headers.get("Content-Length") or 0)
        if self.login is not None and handler.headers.get("Authorization") != self.login:
            handler.rfile.read(length)
            self._answer(handler, 401, {"WWW-Authenticate": 'Basic realm="tests"'})
            return
        if refusal is not None:
            handler.rfile.read(length)
            self._answer(handler, refusal[0], {}, refusal[1].encode())
            return
        parts, query = urlsplit(handler.path), parse_qs(urlsplit(handler.path).query)
        if match := re.fullmatch(r"/v2/(.+)/blobs/uploads/(.*)", parts.path):
            self._upload(handler, match[1], match[2], query, length)
        elif match := re.fullmatch(r"/v2/(.+)/blobs/(.+)", parts.path):
            there = (match[1], match[2]) in self.held
            self._answer(handler, 200 if there else 404, {}, self.blobs[match[2]] if there else b"")
        elif match := re.fullmatch(r"/v2/(.+)/manifests/(.+)", parts.path):
            self._manifest(handler, match[1], match[2], length)
        else:
            self._answer(handler, 200 if parts.path == "/v2/" else 404, {})

    def _manifest(self, handler: BaseHTTPRequestHandler, name: str, tag: str, length: int) -> None:
        if handler.command == "PUT":
            data = handler.rfile.read(length)
            digest = f"sha256:{sha256(data).hexdigest()}"
            for key in (tag, digest):
                self.manifests[name, key] = data, handler.headers["Content-Type"]
            self._answer(handler, 201, {"Docker-Content-Digest": digest})
            return
        data, kind = self.manifests.get((name, tag), (b"", ""))
        digest = f"sha256:{sha256(data).hexdigest()}"
        headers = {"Content-Type": kind, "Docker-Content-Digest": digest} if data else {}
        self._answer(handler, 200 if data else 404, headers, data)

    def _upload(
        self, handler: BaseHTTPRequestHandler, name: str, upload: str, query: dict[str, list[str]], length: int
    ) -> None:
        if handler.command == "POST":
            mount, origin = query.get("mount", [""])[0], query.get("from", [""])[0]
            if self.mounts and mount and (origin, mount) in self.held:
                self.held.add((name, mount))
                self._answer(handler, 201, {"Docker-Content-Digest": mount})
                return
            with self._lock:
                upload = str(len(self.uploads) + 1)
                self.uploads[upload] = bytearray()
            self._state(handler, name, upload, 202)
            return
        held = self.uploads.get(upload)
        if held is None or handler.command == "GET":
            self._state(handler, name, upload, 204) if held is not None else self._answer(handler, 404, {})
            return
        if length and self.stalls is not None:
            self.stalled.set()
            self.stalls.wait()
        if length > self.largest:
            handler.rfile.read(length)
            self._answer(handler, 413, {})
            return
        if length and self.busy:
            handler.rfile.read(length)
            self._answer(handler, self.busy.pop(0), {})
            return
        most = self.cut.pop(0) if length and self.cut else length
        held += handler.rfile.read(min(length, most))
        if most < length:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if handler.command == "PATCH":
            self._state(handler, name, upload, 202)
            return
        digest = f"sha256:{sha256(held).hexdigest()}"
        if query["digest"][0] != digest:
            self._answer(handler, 400, {}, b'{"errors":[{"code":"DIGEST_INVALID","message":"another digest"}]}')
            return
        self.blobs[digest] = bytes(held)
        self.held.add((name, digest))
        self._answer(handler, 201, {"Docker-Content-Digest": digest})

    def _state(self, handler: BaseHTTPRequestHandler, name: str, upload: str, status: int) -> None:
        place = f"/v2/{name}/blobs/uploads/{upload}"
        if self.elsewhere:
            place = f"http://{self.elsewhere}{place}"
        size = len(self.uploads[upload])
        self._answer(handler, status, {"Location": place, "Range": f"0-{max(0, size - 1)}"})

    def _answer(self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if status != 204:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)


class Wire:
    """A port on loopback that leads to `address`. Use it as a context manager.

    Each time `breaks` names how many bytes more may go there, it is cut once they have; afterwards it holds.
    """

    def __init__(self, address: str, breaks: list[int]) -> None:
        host, _, port = address.partition(":")
        self._target = (host, int(port))
        self._breaks = breaks
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"localhost:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = [self._listener]
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            _end(each)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._sockets += [near, far]
                for one, other, counted in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._copy, args=(one, other, counted), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                target.sendall(data)
                if counted and self._spent(len(data)):
                    break
        _end(source)
        _end(target)

    def _spent(self, count: int) -> bool:
        with self._lock:
            if not self._breaks:
                return False
            self._breaks[0] -= count
            if self._breaks[0] > 0:
                return False
            self._breaks.pop(0)
            return True


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
