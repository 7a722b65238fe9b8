"""Runs a graph's vertices in order of need. Knows vertices as numbers, not what they mean.

Look-ups happen in the calling thread, one after the other: a build that is wholly cached starts
no thread at all. What misses runs on threads, as many at once as allowed. A thread that is through with a vertex takes
the next: to start one takes a step's worth of looking up.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from queue import SimpleQueue
from time import monotonic_ns
from typing import Protocol

from builder import spans
from builder.errors import CanceledError
from builder.stopping import Stop

# By which numbers the waits of vertices are drawn: larger than those of threads (pid_max, proc_pid(5)).
_WAITING = 1 << 22


class Jobs(Protocol):
    """What the scheduler calls."""

    def lookup(self, vertex: int) -> bool:
        """Whether `vertex` has its result without running. Called in the scheduler's thread."""
        ...

    def prepare(self) -> None:
        """Called once, before the first thread is started."""
        ...

    def execute(self, vertex: int) -> None:
        """Run `vertex`; called in a thread that runs nothing else meanwhile."""
        ...

    def cancel(self, error: BaseException) -> None:
        """Stop what runs, because of `error`: `execute` calls in flight must soon end."""
        ...


def run(
    inputs: Sequence[Sequence[int]], needed: Sequence[int], jobs: Jobs, parallelism: int, stop: Stop | None = None
) -> None:
    """Solve the vertices `needed`, whose inputs are `inputs[vertex]` (all of them needed too).

    Fails fast: after the first exception nothing new starts, what runs is canceled and waited for,
    and that exception is raised. Ctrl-C, SIGTERM and `stop` do the same.
    """
    _Run(inputs, needed, jobs, parallelism, stop or Stop()).loop()


class _Run:
    def __init__(
        self, inputs: Sequence[Sequence[int]], needed: Sequence[int], jobs: Jobs, parallelism: int, stop: Stop
    ) -> None:
        self._waiting = {v: len(set(inputs[v])) for v in needed}
        self._users: dict[int, list[int]] = {v: [] for v in needed}
        for vertex in needed:
            for needs in set(inputs[vertex]):
                self._users[needs].append(vertex)
        self._ready = [v for v in needed if not self._waiting[v]]
        # What is to run, and since when it waits for that.
        self._missed: list[tuple[int, int]] = []
        self._running: set[int] = set()
        self._threads: list[threading.Thread] = []
        # What a thread is to run and since when that waits; None: no more.
        self._handed: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
        # None: it is to stop.
        self._ended: SimpleQueue[tuple[int, BaseException | None] | None] = SimpleQueue()
        self._jobs, self._parallelism, self._prepared = jobs, max(1, parallelism), False
        self._stop = stop
        stop.then(lambda: self._ended.put(None))

    def loop(self) -> None:
        try:
            while self._ready or self._missed or self._running:
                self._stop.check()
                self._start()
                if self._ready:
                    vertex = self._ready.pop(0)
                    with spans.working_for(vertex), spans.span("look-up"):
                        found = self._jobs.lookup(vertex)
                    if found:
                        self._finish(vertex)
                    else:
                        self._missed.append((vertex, monotonic_ns()))
                else:
                    self._wait()
            self._join()
        except BaseException as error:
            self._abandon(error)
            raise

    def _start(self) -> None:
        while self._missed and len(self._running) < self._parallelism:
            missed = self._missed.pop(0)
            if not self._prepared:
                with spans.span("launch"):
                    self._jobs.prepare()
                self._prepared = True
            self._running.add(missed[0])
            self._handed.put(missed)
            if len(self._threads) < len(self._running):
                thread = threading.Thread(target=self._work, name=f"steps-{len(self._threads)}")
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        while (handed := self._handed.get()) is not None:
            self._execute(*handed)

    def _execute(self, vertex: int, since: int) -> None:
        # Meanwhile this thread may have had another step.
        spans.passed("wait", since, monotonic_ns(), vertex, thread=_WAITING + vertex)
        try:
            with spans.working_for(vertex), spans.span("step"):
                self._jobs.execute(vertex)
        except BaseException as error:
            self._ended.put((vertex, error))
        else:
            self._ended.put((vertex, None))

    def _wait(self) -> None:
        ended = self._ended.get()
        if ended is None:
            raise CanceledError("canceled")
        vertex, error = ended
        self._running.remove(vertex)
        if error is not None:
            raise error
        self._finish(vertex)

    def _finish(self, vertex: int) -> None:
        for user in self._users[vertex]:
            self._waiting[user] -= 1
            if not self._waiting[user]:
                self._ready.append(user)

    def _abandon(self, error: BaseException) -> None:
        if self._running:
            self._jobs.cancel(error)
        try:
            self._join()
        except BaseException as interrupt:  # what was left to end is not waited for any longer
            self._jobs.cancel(interrupt)
            self._join()
            raise

    def _join(self) -> None:
        for _ in self._threads:
            self._handed.put(None)
        for thread in self._threads:
            thread.join()
