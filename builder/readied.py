"""Types that data is read into, made ready for it by one thread at a time.

msgspec works out what a Struct holds when it is first read into. A second thread that reads into it meanwhile meets it
half worked out, and the process ends by a signal. So every type goes through here (tests/arch/test_readied.py).
"""

from __future__ import annotations

import _thread
from typing import TypeVar

import msgspec

T = TypeVar("T")

_READY: set[object] = set()
_TURN = _thread.allocate_lock()


def readied(kind: type[T]) -> type[T]:
    """`kind`, which any thread may read into from now on."""
    if kind not in _READY:
        with _TURN:
            msgspec.msgpack.Decoder(kind)
            _READY.add(kind)
    return kind
