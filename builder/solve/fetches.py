"""Fetching several things at once, from any thread, and stopping at once from any other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from builder.errors import CanceledError

if TYPE_CHECKING:
    from builder.sources.together import Together

T = TypeVar("T")

# How often to look whether all is canceled, in seconds.
_WAKE = 0.1


class Fetches:
    """What is being fetched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # What is to be canceled, and what then says that it was: Together says so after any trouble, too.
        self._running: dict[Together, threading.Event] = {}

    def each(self, work: Callable[[T, Together], object], items: Sequence[T], most: int) -> None:
        """Do `work` for each item, by at most `most` threads. Raises the first exception of any of them.

        A thread that waits for the network is not waited for once all is canceled.
        """
        # lazy: what is not fetched needs no launcher
        from builder.sources.together import Together

        together, ended, canceled = Together(), SimpleQueue[BaseException | None](), threading.Event()
        with self._lock:
            self._running[together] = canceled

        def all_of_it() -> None:
            try:
                together.each(lambda item: work(item, together), items, most)
            except BaseException as error:
                ended.put(error)
            else:
                ended.put(None)

        threading.Thread(target=all_of_it, name="fetch", daemon=True).start()
        try:
            error = _heard(ended, canceled)
        except BaseException:
            together.cancel()
            raise
        finally:
            with self._lock:
                del self._running[together]
        if error is not None:
            raise error

    def cancel(self) -> None:
        """Stop all of it."""
        with self._lock:
            running = dict(self._running)
        for together, canceled in running.items():
            canceled.set()
            together.cancel()


def _heard(ended: SimpleQueue[BaseException | None], canceled: threading.Event) -> BaseException | None:
    while True:
        with suppress(Empty):
            return ended.get(timeout=_WAKE)
        if canceled.is_set():
            raise CanceledError("canceled")
