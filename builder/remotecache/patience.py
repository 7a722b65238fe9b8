"""Waiting that ends: a place that keeps others waiting too long is canceled, from a thread that watches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Self

from builder.digest import Reader
from builder.errors import CanceledError, RegistryError

# Reading, in seconds: so long may nothing come, and so long may all look-ups in a cache take together.
PATIENCE = 20.0
# Writing: a registry reads a blob once more before it says that it has it.
STALLED = 60.0


class Patience:
    """Use it as a context manager: `cancel` is called once nothing has `moved` for `seconds`.

    What is canceled then ends with RegistryError. Its thread is gone afterwards.
    """

    def __init__(self, seconds: float, cancel: Callable[[], object]) -> None:
        self._seconds, self._cancel = seconds, cancel
        self._over = threading.Event()
        self._last = time.monotonic()
        self._lost = False
        self._thread = threading.Thread(target=self._watch, name="patience", daemon=True)

    def __enter__(self) -> Self:
        self._last = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._lost and isinstance(error, CanceledError):
            raise RegistryError(f"nothing came for {self._seconds:.0f} s") from error

    def moved(self) -> None:
        """Something came, or went."""
        self._last = time.monotonic()

    def reading(self, source: Reader) -> Reader:
        """`source`, of which each piece is a movement."""
        return _Moving(source, self)

    @contextmanager
    def opened(self, source: AbstractContextManager[Reader]) -> Iterator[Reader]:
        """As `reading`, of what is open meanwhile."""
        with source as reader:
            yield _Moving(reader, self)

    def _watch(self) -> None:
        while not self._over.wait(max(0.01, self._last + self._seconds - time.monotonic())):
            if time.monotonic() >= self._last + self._seconds:
                self._lost = True
                self._cancel()
                return


class _Moving:
    def __init__(self, source: Reader, patience: Patience) -> None:
        self._source, self._patience = source, patience

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._patience.moved()
        return data
