"""Work of this API in threads of its own: watched, waited for and stopped, from threads and from asyncio alike.

All that may run for long, or fork, is done in a job's thread, also for who just calls it and waits. So a program's own
threads are never forked, its signals are its own, and Ctrl-C ends what its main thread waits for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar

from builder.events import Event, Progress
from builder.stopping import Stop

if TYPE_CHECKING:
    import asyncio

# How long a thread may take to begin.
_BEGINNING_SECONDS = 1.0
# What Python does for a signal that comes in the instant before a wait begins, it does when that ends: none is long.
_WAIT_SECONDS = 0.2

P = ParamSpec("P")
T = TypeVar("T")


class Job(Generic[T]):
    """Something that goes on, such as a build: `start` begins it.

    It is an iterator of its events (`builder.events`), which ends as the job does: with its error when that fails. It
    is an asynchronous iterator of them as well, and it can be awaited for its result. As a context manager, of either
    kind, it is stopped where the block is left before its end. An event is given once, to whoever asks first.
    """

    def __init__(self, work: Callable[[], T], *, watched: bool = True) -> None:
        """`work` is done from `begin` on; `watched`: its events are kept until they are asked for."""
        self._stop, self._watched = Stop(), watched
        self._changed = threading.Condition()
        self._events: deque[Event] = deque()
        self._waiting: list[Callable[[], object]] = []
        self._begun = self._ended = False
        self._error: BaseException | None = None
        self._value: T
        context = copy_context()
        context.run(_current.set, self)
        self._thread = threading.Thread(target=context.run, args=(self._work, work), name="pybuild-job")

    def begin(self) -> Self:
        """Begin it in its thread, as `start` does; returns itself."""
        with self._interruptible():
            self._thread.start()
        return self

    # --- for threads -----------------------------------------------------------------------------

    def result(self, timeout: float | None = None) -> T:
        """Wait for the end; events that nobody has asked for are dropped.

        `timeout` is in seconds, None for ever. Returns what the work does. Raises its error, CanceledError after
        `cancel`, and TimeoutError when it goes on: it may be asked again. KeyboardInterrupt meanwhile stops the job.
        """
        with self._interruptible():
            self._unwatch()
            if not self._waited(lambda: self._ended, timeout):
                raise TimeoutError(f"the job has not ended after {timeout} s")
            self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value

    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._ended

    def cancel(self) -> None:
        """Have it end as soon as it can, with CanceledError; returns at once. One that has ended stays as it is."""
        if not self._ended:
            self._stop.ask()

    def close(self) -> None:
        """Stop it, and wait until nothing is left of it. Raises no error of the work."""
        self.cancel()
        self._unwatch()
        # Ctrl-C may have come before the thread had begun.
        if self._waited(lambda: self._begun, _BEGINNING_SECONDS):
            self._waited(lambda: self._ended)
            self._thread.join()

    def __iter__(self) -> Iterator[Event]:
        """Its events, from the first that nobody has had."""
        return self

    def __next__(self) -> Event:
        """Wait for an event. Raises StopIteration when the job has ended, or its error."""
        with self._interruptible():
            self._waited(lambda: self._events or self._ended)
        with self._changed:
            if self._events:
                return self._events.popleft()
        self.result()
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- for asyncio -----------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, T]:
        """The result, as `result` gives it. To cancel the task that awaits it stops the job, and waits for its end."""
        return self._awaited().__await__()

    def __aiter__(self) -> AsyncIterator[Event]:
        """Its events, as when it is iterated over."""
        return self

    async def __anext__(self) -> Event:
        """Wait for an event. Raises StopAsyncIteration when the job has ended, or its error."""
        await self._heard(lambda: self._events or self._ended)
        with self._changed:
            if self._events:
                return self._events.popleft()
        self.result()
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        self._unwatch()
        await self._heard(lambda: self._ended)

    async def _awaited(self) -> T:
        self._unwatch()
        await self._heard(lambda: self._ended)
        return self.result()

    async def _heard(self, so: Callable[[], object]) -> None:
        """Wait until it is `so`, while other tasks go on. With its task the job is canceled, and its end awaited."""
        # lazy: who uses it has it, and nobody else needs it
        import asyncio

        loop = asyncio.get_running_loop()
        try:
            while (told := self._told(so, loop)) is not None:
                await told
        except asyncio.CancelledError:
            self.cancel()
            while (told := self._told(lambda: self._ended, loop)) is not None:
                await told
            raise

    def _told(self, so: Callable[[], object], loop: asyncio.AbstractEventLoop) -> asyncio.Future[None] | None:
        """What is done when something changes; None when it is `so` already."""
        with self._changed:
            if so():
                return None
            told = loop.create_future()
            self._waiting.append(lambda: loop.call_soon_threadsafe(_tell, told))
            return told

    # --- both ------------------------------------------------------------------------------------

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """What interrupts a caller that waits, such as KeyboardInterrupt, stops the job, too."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self.close()
            raise

    def _waited(self, so: Callable[[], object], timeout: float | None = None) -> bool:
        deadline = None if timeout is None else monotonic() + timeout
        with self._changed:
            while not so():
                left = _WAIT_SECONDS if deadline is None else min(_WAIT_SECONDS, deadline - monotonic())
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def _unwatch(self) -> None:
        with self._changed:
            self._watched = False
            self._events.clear()

    def _work(self, work: Callable[[], T]) -> None:
        with self._changed:
            self._begun = True
            self._tell()
        try:
            self._value = work()
        except BaseException as error:
            self._error = error
        with self._changed:
            self._ended = True
            self._tell()

    def _emit(self, event: Event) -> None:
        """Take an event of the work. Raises CanceledError in what can be counted, when it is to end."""
        if isinstance(event, Progress):
            self._stop.check()
        with self._changed:
            if self._watched:
                self._events.append(event)
                self._tell()

    def _tell(self) -> None:
        self._changed.notify_all()
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            with suppress(RuntimeError):  # its loop has been closed
                tell()


def _tell(told: asyncio.Future[None]) -> None:
    if not told.done():
        told.set_result(None)


_current: ContextVar[Job[Any] | None] = ContextVar("job", default=None)


def start(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Job[T]:
    """Begin `function(*args, **kwargs)` in a thread of its own: `build`, `run`, a method of a Store or an Image.

    Returns the Job. A function of the caller's own may be started as well: all it does with this API is then watched
    and stopped with it.
    """
    return Job(lambda: function(*args, **kwargs)).begin()


def in_job(work: Callable[[Callable[[Event], None], Stop], T]) -> T:
    """Do `work` in the job that the caller is in, else in a new one, and wait for it.

    It is given what takes events and what ends it. Raises what it raises.
    """
    job = _current.get()
    if job is None or job.done():
        with Job(lambda: in_job(work), watched=False) as own:
            return own.begin().result()
    return work(job._emit, job._stop)
