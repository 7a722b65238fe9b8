"""Seccomp user notification: system calls of a process answered by another (seccomp(2), seccomp_unotify(2)).

The filter is made by hand, since libseccomp cannot hand a listener over that other filters stack on.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum

from msgspec import Struct

from builder.linux.calls import machine
from builder.linux.syscalls import check, syscall

# linux/bpf_common.h, linux/seccomp.h; the offsets are those of struct seccomp_data
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_AT_NUMBER, _AT_ARCHITECTURE, _AT_ARGUMENTS = 0, 4, 16
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
_SET_MODE_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 1 << 3, 1 << 5
_RECEIVE, _SEND, _ADD_FD, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40182103, 0x40082104
_CONTINUE, _SYNC_WAKE_UP, _ADD_AND_SEND = 1, 1, 2
_NOTIFICATION, _ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_ADDED = struct.Struct("=QIIII")
_LONGEST_PATH = 4096


class Notification(Struct, frozen=True):
    """A call that waits: the thread that makes it, the call's number and arguments."""

    identifier: int
    thread: int
    number: int
    arguments: tuple[int, ...]


class Match(StrEnum):
    """How the low half of an argument is looked at: is it the value, or has it one of the value's bits."""

    EQUAL = "equal"
    BITS = "bits"


class Conditional(Struct, frozen=True):
    """A call that is told of only if its argument number `argument` passes a test."""

    number: int
    argument: int
    match: Match
    value: int


def program(architecture: int, plain: Sequence[int], conditional: Sequence[Conditional] = ()) -> bytes:
    """A filter that tells of the calls `plain` and `conditional` of one architecture and lets all others through."""
    # Backwards: each test knows how far the two ends, which come last, lie behind it.
    code = [(_RETURN, 0, 0, ALLOW), (_RETURN, 0, 0, NOTIFY)]
    for call in conditional:
        jump = _JUMP_EQUAL if call.match is Match.EQUAL else _JUMP_SET
        test = [
            (_JUMP_EQUAL, 0, 2, call.number),
            (_LOAD, 0, 0, _AT_ARGUMENTS + 8 * call.argument),
            (jump, len(code) - 1, len(code) - 2, call.value),
        ]
        code = test + code
    for number in reversed(plain):
        code.insert(0, (_JUMP_EQUAL, len(code) - 1, 0, number))
    code = [
        (_LOAD, 0, 0, _AT_ARCHITECTURE),
        (_JUMP_EQUAL, 0, len(code) - 1, architecture),
        (_LOAD, 0, 0, _AT_NUMBER),
        *code,
    ]
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in code)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))  # type: ignore[mutable-override]


def listen(filter_program: bytes) -> int:
    """Put this process, and all it will become, under the filter; gives the descriptor its calls are told at.

    Raises OSError (EPERM without CAP_SYS_ADMIN and no_new_privs, EBUSY when another filter has a listener).
    """
    kept = ctypes.create_string_buffer(filter_program, len(filter_program))
    described = _Program(len(filter_program) // _INSTRUCTION.size, ctypes.addressof(kept))
    number = machine().numbers["seccomp"]
    try:
        return syscall(number, _SET_MODE_FILTER, _NEW_LISTENER | _WAIT_KILLABLE, ctypes.byref(described))
    except OSError as error:
        if error.errno != errno.EINVAL:  # a kernel before 5.19: a signal makes a call begin anew
            raise
        return syscall(number, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(described))


class Listener:
    """The side that answers."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        with suppress(OSError):  # since 6.6: who answers goes on where who asked ran
            fcntl.ioctl(fd, _SET_FLAGS, _SYNC_WAKE_UP)

    def receive(self) -> Notification | None:
        """The next call, waited for; None when its thread went away meanwhile. Raises OSError when all have."""
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self._fd, _RECEIVE, buffer)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT):
                return None
            raise
        identifier, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        return Notification(identifier, thread, number, tuple(arguments))

    def answer(self, identifier: int, value: int = 0, error: int = 0) -> None:
        """The call gives `value`, or fails with errno `error`."""
        self._send(_ANSWER.pack(identifier, value, -error, 0))

    def pass_on(self, identifier: int) -> None:
        """The kernel does the call."""
        self._send(_ANSWER.pack(identifier, 0, 0, _CONTINUE))

    def hand_over(self, identifier: int, fd: int, *, close_on_exec: bool) -> None:
        """The call gives a new descriptor of what `fd` is. Raises OSError (EMFILE)."""
        flags = os.O_CLOEXEC if close_on_exec else 0
        fcntl.ioctl(self._fd, _ADD_FD, _ADDED.pack(identifier, _ADD_AND_SEND, fd, 0, flags))

    def _send(self, answer: bytes) -> None:
        try:
            fcntl.ioctl(self._fd, _SEND, answer)
        except OSError as error:
            if error.errno != errno.ENOENT:  # its thread was killed
                raise


# --- memory of another process -------------------------------------------------------------------


class _Piece(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))  # type: ignore[mutable-override]


_libc = ctypes.CDLL(None, use_errno=True)
_buffer = ctypes.create_string_buffer(_LONGEST_PATH)
_own, _other = _Piece(ctypes.addressof(_buffer), 0), _Piece(0, 0)
_pieces = (ctypes.byref(_own), ctypes.c_ulong(1), ctypes.byref(_other), ctypes.c_ulong(1), ctypes.c_ulong(0))
for _function in (_libc.process_vm_readv, _libc.process_vm_writev):
    _function.restype = ctypes.c_ssize_t


def read_memory(thread: int, address: int, size: int) -> bytes:
    """`size` bytes (4096 at most) at `address` of a process. Raises OSError (EFAULT)."""
    _own.length = _other.length = size
    _other.base = address
    if check(int(_libc.process_vm_readv(thread, *_pieces))) != size:
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
    return _buffer.raw[:size]


def write_memory(thread: int, address: int, data: bytes | bytearray) -> None:
    """Write `data` (4096 bytes at most) at `address` of a process. Raises OSError (EFAULT)."""
    ctypes.memmove(_buffer, bytes(data), len(data))
    _own.length = _other.length = len(data)
    _other.base = address
    if check(int(_libc.process_vm_writev(thread, *_pieces))) != len(data):
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))


def read_string(thread: int, address: int) -> bytes:
    """The NUL-ended string at `address`. Raises OSError (EFAULT, ENAMETOOLONG)."""
    found = b""
    step = 256
    while len(found) < _LONGEST_PATH:
        # Never across the end of a page in one go: the next may not be there.
        size = min(step, mmap.PAGESIZE - address % mmap.PAGESIZE)
        part = read_memory(thread, address, size)
        end = part.find(0)
        if end >= 0:
            return found + part[:end]
        found, address, step = found + part, address + size, _LONGEST_PATH
    raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))


# --- files as programs ask for them --------------------------------------------------------------


def raw_status(path: bytes, *, follow: bool) -> bytearray:
    """newfstatat(2) at the kernel's own interface: struct stat of this machine. Raises OSError."""
    buffer = ctypes.create_string_buffer(machine().stat_size)
    syscall(machine().numbers["newfstatat"], -100, path, buffer, 0 if follow else 0x100)
    return bytearray(buffer.raw)


def raw_statx(path: bytes, flags: int, mask: int) -> bytearray:
    """statx(2): struct statx. Raises OSError."""
    buffer = ctypes.create_string_buffer(256)
    syscall(machine().numbers["statx"], -100, path, flags, mask, buffer)
    return bytearray(buffer.raw)
