"""A server that answers by hand: what no honest registry says, and registries that break in the middle."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

Answer = Callable[["Asked", "Answering"], None]


@dataclass(frozen=True)
class Asked:
    """One request: method, path with the query, headers by names in lower case, and the body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def start(self) -> int:
        """Where the part begins that is asked for."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else 0


class Answering:
    """The other side. `sent` counts bytes; once it has gone away nothing more is written."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.sent = 0
        self.gone = False

    def write(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
            self.sent += len(data)
        except OSError:
            self.gone = True

    def head(self, status: int, **headers: object) -> None:
        lines = [f"HTTP/1.1 {status} Said"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))

    def reset(self) -> None:
        """Go away without a word: the other side sees a connection that was reset."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def page(body: bytes, status: int = 200, **headers: object) -> Answer:
    """An honest answer, of the part that is asked for."""

    def answer(asked: Asked, to: Answering) -> None:
        ranged = {"Content_Range": f"bytes {asked.start}-{len(body) - 1}/{len(body)}"} if asked.start else {}
        length = {"Content_Length": len(body) - asked.start}
        to.head(206 if asked.start else status, **{**length, **ranged, **headers})
        if asked.method != "HEAD":
            to.write(body[asked.start :])

    return answer


def dropping(body: bytes, *counts: int, ranges: bool = True) -> Answer:
    """Breaks off after so many bytes, the first time after the first count and so on; then it answers whole."""
    left = list(counts)

    def answer(asked: Asked, to: Answering) -> None:
        start = asked.start if ranges else 0
        ranged = {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        to.head(206 if start else 200, Content_Length=len(body) - start, **ranged)
        count = left.pop(0) if left else len(body)
        to.write(body[start : start + count])
        if count < len(body) - start:
            to.reset()

    return answer


def endless(*, chunked: bool = False, status: int = 200, **headers: object) -> Answer:
    """Ten gigabytes, or no end at all, until the other side has had enough."""

    def answer(asked: Asked, to: Answering) -> None:
        to.head(status, **({"Transfer_Encoding": "chunked"} if chunked else {"Content_Length": 10 << 30}), **headers)
        piece = b" " * (64 << 10)
        while not to.gone:
            to.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)

    return answer


def raw(data: bytes) -> Answer:
    """These bytes, HTTP or not."""
    return lambda _, to: to.write(data)


class Hostile:
    """Answers each path by its own function, 404 without one. `asked` are the requests, `sent` the bytes it got rid of.

    Use it as a context manager. With `tls` it speaks that.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "localhost") -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[Asked] = []
        self.sent = 0
        self._tls = tls
        six = ":" in host
        family = socket.AF_INET6 if six else socket.AF_INET
        self._socket = socket.create_server((host if six else "127.0.0.1", 0), family=family, backlog=64)
        self.address = f"{f'[{host}]' if six else host}:{self._socket.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._serve)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._converse, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _converse(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        with suppress(OSError), connection:
            spoken = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            with spoken, spoken.makefile("rb") as lines:
                method, _, rest = lines.readline().decode("latin-1").partition(" ")
                path, _, version = rest.rpartition(" ")
                if not version.startswith("HTTP/"):  # TLS, for one: all servers end that at once
                    spoken.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                    return
                headers = {}
                while line := lines.readline().strip():
                    name, _, value = line.decode("latin-1").partition(":")
                    headers[name.strip().lower()] = value.strip()
                body = lines.read(int(headers.get("content-length", "0")))
                asked = Asked(method, path, headers, body)
                self.asked.append(asked)
                to = Answering(spoken)
                self.answers.get(path.partition("?")[0], page(b"{}", 404))(asked, to)
                self.sent += to.sent
