"""Connections that are broken off while nothing comes."""

from __future__ import annotations

import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from builder.errors import CanceledError
from builder.registry.exchange import Call
from builder.registry.transport import Response, Transport
from tests.support.authority import Authority


@pytest.fixture
def silent() -> Iterator[tuple[str, socket.socket]]:
    """A server that takes connections and says nothing: its URL, and its socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/", server


def test_what_waits_for_an_answer_ends_when_it_is_canceled(silent: tuple[str, socket.socket]) -> None:
    url, server = silent
    with closing(Transport()) as transport:

        def cancel() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1)  # it asks
                transport.cancel()

        canceling = threading.Thread(target=cancel)
        canceling.start()
        with pytest.raises(CanceledError):
            transport.send(Call("GET", url, {}))
        canceling.join()
        with pytest.raises(CanceledError):
            transport.send(Call("GET", url, {}))


def test_who_says_that_a_host_need_not_prove_itself_is_not_warned(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    filters = list(warnings.filters)
    with socket.create_server(("127.0.0.1", 0)) as server, closing(Transport(lambda host: True)) as transport:

        def answer() -> None:
            plain, _ = server.accept()
            with context.wrap_socket(plain, server_side=True) as connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        response = transport.send(Call("GET", f"https://127.0.0.1:{server.getsockname()[1]}/", {}))
        assert isinstance(response, Response)
        with response:
            assert response.head.status == 200
        answering.join()
    assert list(warnings.filters) == filters, "nor is the whole program told not to warn"
