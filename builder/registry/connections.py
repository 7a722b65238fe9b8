"""Connections that another thread can break off, also while the beginning of an answer is waited for."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from weakref import WeakSet

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class Connections:
    """Those of one transport, as long as they are there. All of it from any thread."""

    def __init__(self) -> None:
        self.canceled = threading.Event()
        self._lock = threading.Lock()
        self._open: WeakSet[HTTPConnection] = WeakSet()

    def cancel(self) -> None:
        """Have all reading and writing end at once, and that on connections to come."""
        self.canceled.set()
        with self._lock:
            found = list(self._open)
        for connection in found:
            if isinstance(connection.sock, socket.socket):
                with suppress(OSError):
                    # Not that of ssl, which would take from under another thread what it reads with.
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def pools(self, *, verify: bool) -> dict[str, type[HTTPConnectionPool]]:
        """What makes the connections, by scheme. Without `verify` it is the user who says that no host is verified."""
        connections = self

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                connections._begun(self)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                self.is_verified = self.is_verified or not verify  # else urllib3 warns of it
                connections._begun(self)

        class PlainPool(HTTPConnectionPool):
            pass

        class SecurePool(HTTPSConnectionPool):
            pass

        PlainPool.ConnectionCls, SecurePool.ConnectionCls = Plain, Secure
        return {"http": PlainPool, "https": SecurePool}

    def _begun(self, connection: HTTPConnection) -> None:
        with self._lock:
            self._open.add(connection)
        if self.canceled.is_set():
            raise ConnectionAbortedError("canceled")
