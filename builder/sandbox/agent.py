"""An SSH agent for a step: a socket of the step's own, behind which a small process relays to the user's agent.

The user's socket is its owner's alone and lies where the user keeps it; the step's has the owner and the mode the
RUN asks for, and can do no more than ask the agent.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from builder.errors import HostError
from builder.linux import syscalls
from builder.linux.owners import give

_CHUNK = 64 << 10


@contextmanager
def forwarded(agent: str, directory: str, owner: tuple[int, int], mode: int) -> Iterator[str]:
    """A socket in `directory` that leads to the socket `agent` as long as the context lasts; gives its path."""
    path = f"{directory}/agent"
    with socket.socket(socket.AF_UNIX) as listener:
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            listener.bind(f"/proc/self/fd/{place}/agent")  # unix(7): a longer path does not fit into an address
        finally:
            os.close(place)
        give(path, *owner)
        os.chmod(path, mode)
        listener.listen()
        relay = syscalls.fork_tied()
        if relay == 0:
            _relay(listener, agent)
    try:
        yield path
    finally:
        os.kill(relay, signal.SIGKILL)
        os.waitpid(relay, 0)


def check(agent: str) -> None:
    """Raises HostError when nothing answers at the socket `agent`."""
    try:
        _connected(agent).close()
    except OSError as error:
        raise HostError(
            f"no SSH agent answers at {agent}: {error.strerror}", hint="start one (eval $(ssh-agent); ssh-add)"
        ) from error


def _connected(agent: str) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    try:
        peer.connect(agent)
    except BaseException:
        peer.close()
        raise
    return peer


# --- in the relaying process ---------------------------------------------------------------------


def _relay(listener: socket.socket, agent: str) -> NoReturn:
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is listener:
                        _accept(selector, listener, agent)
                    elif isinstance(key.fileobj, socket.socket):
                        _pass_on(selector, key.fileobj, key.data)
    finally:
        os._exit(1)


def _accept(selector: selectors.BaseSelector, listener: socket.socket, agent: str) -> None:
    client, _ = listener.accept()
    try:
        peer = _connected(agent)
    except OSError:
        client.close()
        return
    for own, other in ((client, peer), (peer, client)):
        selector.register(own, selectors.EVENT_READ, other)


def _pass_on(selector: selectors.BaseSelector, own: socket.socket, other: socket.socket) -> None:
    if own.fileno() < 0:
        return  # its other side ended in the same round
    with suppress(OSError):
        if data := own.recv(_CHUNK):
            other.sendall(data)
            return
    for end in (own, other):
        selector.unregister(end)
        end.close()
