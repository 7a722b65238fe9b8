"""What the main process, its launcher and the launcher's children send each other over sockets."""

from __future__ import annotations

import array
import errno
import select
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress

FRAME = struct.Struct("!cQ")
# unix(7), SCM_RIGHTS: the kernel takes 253
_MOST_AT_ONCE = 200


def send(channel: socket.socket, kind: bytes, payload: bytes) -> None:
    """Send one frame: one byte that says what it is, and bytes. Raises OSError."""
    channel.sendall(FRAME.pack(kind, len(payload)) + payload)


def send_while(channel: socket.socket, kind: bytes, payload: bytes, lives: socket.socket) -> None:
    """As `send`, as long as the other side of `lives` has not gone. Raises OSError."""
    left = memoryview(FRAME.pack(kind, len(payload)) + payload)
    events = select.poll()
    events.register(channel, select.POLLOUT)
    events.register(lives, 0)  # its end alone
    while left:
        if lives.fileno() in dict(events.poll()):
            raise BrokenPipeError(errno.EPIPE, "nobody hears it any more")
        with suppress(BlockingIOError):
            left = left[channel.send(left, socket.MSG_DONTWAIT) :]


def exactly(channel: socket.socket, length: int) -> bytes:
    """`length` bytes; empty when the other side has gone."""
    parts: list[bytes] = []
    while length:
        part = channel.recv(min(length, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def argument(channel: socket.socket) -> bytes:
    """What the next frame holds, whatever its kind."""
    _, length = FRAME.unpack(exactly(channel, FRAME.size))
    return exactly(channel, length)


def send_descriptors(target: socket.socket, message: bytes, fds: Sequence[int]) -> None:
    """Send bytes, and descriptors with them. Raises OSError."""
    target.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


def received(source: socket.socket, length: int = 1) -> tuple[bytes, list[int]]:
    """Up to `length` bytes and the descriptors with them, at most four; no byte when the other side has gone."""
    message, ancillary, _, _ = source.recvmsg(length, socket.CMSG_SPACE(16))
    fds = array.array("i")
    if ancillary:
        fds.frombytes(ancillary[0][2])
    return message, list(fds)


def hand(target: socket.socket, fds: Sequence[int]) -> None:
    """Send descriptors alone, any number of them, for `descriptors`. Raises OSError."""
    for first in range(0, len(fds), _MOST_AT_ONCE):
        socket.send_fds(target, [b"F"], list(fds[first : first + _MOST_AT_ONCE]))


def descriptors(source: socket.socket, count: int) -> list[int]:
    """So many descriptors, which no program inherits; fewer when the other side has gone."""
    found: list[int] = []
    while len(found) < count:
        space = socket.CMSG_SPACE(4 * _MOST_AT_ONCE)
        message, ancillary, _, _ = source.recvmsg(1, space, socket.MSG_CMSG_CLOEXEC)
        if not message:
            break
        for _, _, data in ancillary:
            found += array.array("i", data)
    return found
