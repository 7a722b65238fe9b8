"""Thin wrappers over system calls that Python lacks; each raises OSError with the path.

One function a call, three lines each; nobody else looks at return codes. Numbers are those of
the generic table (x86_64 and aarch64 agree on all calls used here except where a map is given).
"""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def check(result: int, path: str | bytes | None = None) -> int:
    """Return `result`, or raise the OSError of errno when it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def syscall(number: int, *args: object, path: str | None = None) -> int:
    """Call `number` with arguments (int, bytes, None or ctypes objects). Raises OSError."""
    raw = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return check(int(_libc.syscall(ctypes.c_long(number), *raw)), path)
