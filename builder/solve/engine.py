"""Solves one graph: look up, else run, record. Reads like a table of contents.

for each vertex, its inputs first:
    key = preimage(vertex, content of its inputs)      keys/, lookup
    hit → the record's layer                           lookup
    miss → lock the key, look again, run its task      ops, worker
         → record key → layer                          store/records
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from builder import spans
from builder.digest import Digest
from builder.errors import CanceledError, PybuildError, StepFailedError, StoreError, Where
from builder.events import CacheState, Emit
from builder.graph.attempts import ONCE, seconds, spoken
from builder.graph.reach import in_images, needed_by
from builder.graph.vertex import BaseImage, GitTree, Graph, Run, Scratch, UrlFile, Vertex, inputs
from builder.image.descriptor import Layer
from builder.lang.source import Source
from builder.points import point
from builder.sandbox.spec import Names, StepResult
from builder.solve import entitled, ops, scheduler
from builder.solve.dating import Dating, new_since
from builder.solve.journal import Journal
from builder.solve.lookup import Lookup, Reason, Sought, Unsettled
from builder.solve.options import SolveOptions
from builder.solve.result import Solution, Stack
from builder.solve.telling import Telling, beginning
from builder.solve.worker import Lost, Outcome, RunTask, Task, Worker
from builder.sources.context import Context
from builder.sources.remotes import MisledError, Remotes
from builder.sources.secrets import Secrets
from builder.sources.selection import Selection
from builder.store.locks import key_lock
from builder.store.open import Store, called
from builder.store.records import CacheRecord

if TYPE_CHECKING:
    from builder.solve.log import StepLog
    from builder.solve.misses import Misses
    from builder.solve.plan import Planned
    from builder.solve.remote import Remote


# In nanoseconds.
_SECOND = 10**9


class Engine(Struct):
    """The parts a solve needs.

    `contexts` are the build contexts by name, "" the main one; `remotes` asks servers. `worker` is asked for at
    the first miss; `names` is how steps find names, beyond what the graph says; `fetched` are the manifests of base
    images that were not here before. `remote` are the caches that others share, if any are used.
    """

    store: Store
    worker: Callable[[], Worker]
    contexts: Mapping[str, Context]
    remotes: Remotes
    source: Source
    emit: Emit
    secrets: Secrets = Secrets()
    names: Names = Names()
    options: SolveOptions = field(default_factory=SolveOptions)
    fetched: Set[Digest] = frozenset()
    remote: Remote | None = None

    def solve(self, graph: Graph, stacks: dict[int, Stack] | None = None) -> Solution:
        """Solve `graph`; `stacks` is filled as its vertices are solved.

        Raises StepFailedError for a command that failed, and what its parts raise.
        """
        needed = needed_by(graph)
        spans.vertices((v.origin.name for v in graph.vertices), map(inputs, graph.vertices))
        entitled.check(map(graph.vertices.__getitem__, needed), self.options.allow, self.where)
        self.emit(beginning(graph, needed, self.source.name))
        journal = Journal(self.store.root, self.source.name, graph.vertices, self.emit)
        made: set[Digest] = set()

        def attempt() -> Solution:
            return self._solved(graph, needed, {} if stacks is None else stacks, journal, made)

        try:
            if self.remote is None:
                return attempt()
            # lazy: most builds share no cache
            from builder.solve.fetching import solved

            return solved(attempt)
        finally:
            journal.end()

    def _solved(
        self, graph: Graph, needed: list[int], stacks: dict[int, Stack], journal: Journal, made: set[Digest]
    ) -> Solution:
        """One attempt; `made` are the keys of steps that ran in earlier ones."""
        solving, before = _Solving(self, graph, stacks, journal, made), frozenset(made)
        try:
            scheduler.run([*map(inputs, graph.vertices)], needed, solving, self.options.parallelism, self.options.stop)
        finally:
            with spans.span("record"):
                self.store.records.touch([record.key for record in solving.hits])
        steps = [v for v in needed if not isinstance(graph.vertices[v], Scratch | BaseImage)]
        tops = tuple(solving.dating.stack(solving.stacks[target.top]) for target in graph.targets)
        if self.remote is not None:
            for stack in (*(tops if self.options.whole else ()), *map(solving.stacks.__getitem__, self.options.files)):
                self.remote.fetch(stack.layers)
        solving.tell.skipped()
        spared = [record.seconds for record in solving.hits if record.key not in before]
        cached, ran = len(spared), len(steps) - len(spared)
        return Solution(tops, tuple(solving.hits), tuple(solving.taken), cached, ran, sum(spared, 0.0))

    def plan(self, graph: Graph) -> list[Planned]:
        """What `solve` would do; nothing runs, and nothing is recorded. Raises what the looking up does."""
        # lazy: a build does not plan
        from builder.solve.plan import planned

        needed = needed_by(graph)
        entitled.check(map(graph.vertices.__getitem__, needed), self.options.allow, self.where)
        return planned(graph, needed, self.lookup(graph), self.worker, self.fetched, self.where)

    def unfetched(self, graph: Graph) -> list[UrlFile | GitTree]:
        """The URLs and git references that `solve` would fetch."""
        # lazy: only a build that may not
        from builder.solve.plan import unfetched

        return unfetched(graph, needed_by(graph), self.lookup(graph))

    def lookup(self, graph: Graph) -> Lookup:
        """What looks the vertices of `graph` up."""
        options = self.options
        return Lookup(
            self.store,
            graph.vertices,
            self.contexts,
            self.remotes,
            self.secrets,
            options.ignored,
            options.paranoid,
            self.remote,
        )

    def where(self, described: Vertex) -> Where:
        """The place of a vertex in the Buildfile."""
        line = described.origin.line
        return Where(self.source.name, line, 0, self.source.line(line))


class _Solving:
    """One solve: the jobs the scheduler calls, and what they have found so far."""

    def __init__(
        self, engine: Engine, graph: Graph, stacks: dict[int, Stack], journal: Journal, made: set[Digest]
    ) -> None:
        self._engine = engine
        self._emit, self.tell = journal, Telling(graph, journal)
        self._graph = graph
        self._lookup = engine.lookup(graph)
        self._unsettled: dict[int, Unsettled] = {}
        self._missed: dict[int, tuple[Sought, Reason]] = {}
        self._misses: Misses | None = None
        self._made = made
        self.dating = Dating(engine.store, engine.worker, graph.epoch)
        self.stacks = stacks
        self.hits: list[CacheRecord] = []
        self.taken: list[Selection] = []
        self._canceled = threading.Event()
        self._result = in_images(graph)

    # --- called by the scheduler ---------------------------------------------------------------

    def lookup(self, vertex: int) -> bool:
        """Whether `vertex` has its result in the store. Remembers what a run needs to know."""
        described = self._graph.vertices[vertex]
        if isinstance(described, Scratch):
            self.stacks[vertex] = Stack()
            return True
        if isinstance(described, BaseImage):
            stack = self.stacks[vertex] = self._lookup.base(described)
            self._emit.known(vertex, f"image:{described.reference}@{described.manifest}")
            self.tell.base(vertex, described, self._base_state(described), stack.layers)
            return True
        try:
            sought = self._lookup.sought(described, self.stacks.__getitem__)
        except PybuildError as error:
            raise error.at(self._engine.where(described)) from error
        if isinstance(sought, Unsettled):
            self._unsettled[vertex] = sought
            return False
        return self._found(vertex, sought)

    def _base_state(self, described: BaseImage) -> CacheState:
        remote = self._engine.remote
        if remote is not None:
            remote.note_base(self._lookup.base(described).layers)
            if remote.base(described.manifest) is not None:
                return CacheState.REMOTE
        return CacheState.DONE if described.manifest in self._engine.fetched else CacheState.LOCAL

    def prepare(self) -> None:
        """Start the worker while there is only one thread."""
        worker = self._engine.worker()
        worker.start()
        # What is not found yet stands on what missed, and mostly runs too.
        ahead = (described for vertex, described in enumerate(self._graph.vertices) if vertex not in self.stacks)
        if any(isinstance(described, Run) and described.network == "default" for described in ahead):
            worker.expect_network()

    def execute(self, vertex: int) -> None:
        """Run a vertex that missed, one process at a time for the same key."""
        engine, described = self._engine, self._graph.vertices[vertex]
        started, begun = time.time(), False
        try:
            unsettled = self._unsettled.get(vertex)
            if unsettled is not None and self._found(vertex, self._lookup.settled(unsettled, engine.worker())):
                return
            sought, _ = self._missed[vertex]
            self.tell.started(vertex, started, sought.key.hex)
            begun = True
            with key_lock(engine.store.root, sought.key, self._canceled.is_set):
                if self._hit(vertex, sought):
                    return
                layer = self._run(vertex, described, sought, started)
        except PybuildError as error:
            if not begun:
                self.tell.started(vertex, started)
            self.tell.failed(vertex, started, error)
            raise error.at(self._engine.where(described)) from error
        self._place(vertex, described, layer, started)
        self.tell.done(vertex, started, sought.key.hex, layer)

    def cancel(self, error: BaseException) -> None:
        """Stop what runs; but what runs beside a step whose input is to be made anew may end."""
        if isinstance(error, Lost):
            return
        self._canceled.set()
        self._engine.remotes.cancel()
        self._engine.worker().cancel()

    # --- one vertex ----------------------------------------------------------------------------

    def _explain(self, vertex: int) -> None:
        """Once, while it runs: what it is compared with is there until its own record is."""
        # lazy: a cached build has nothing to explain
        from builder.solve.misses import Misses

        if vertex not in self._missed:
            return
        sought, reason = self._missed.pop(vertex)
        if self._misses is None:
            self._misses = Misses(self._engine.store, self._engine.source.name, self._graph.vertices, self._made)
        with spans.span("explain"), suppress(StoreError):  # no step fails for want of an explanation
            self._emit.missed(vertex, self._misses.explain(sought, self._graph.vertices[vertex].origin, reason))

    def _run(self, vertex: int, described: Vertex, sought: Sought, started: float) -> Layer:
        # lazy: what is cached prints nothing
        from builder.solve.log import StepLog

        engine = self._engine
        if self._canceled.is_set():
            raise CanceledError("canceled")
        point("step:missed")
        try:
            task = self.dating.task(ops.task(described, sought.chosen, self._dated, engine.names, engine.secrets))
        except MisledError as error:
            raise Lost from error
        if isinstance(task, RunTask):
            spec = replace(task.spec, resources=engine.options.resources)
            task = replace(task, spec=spec, place=str(self._engine.where(described)))
        with StepLog(self._emit.log(vertex), vertex, engine.emit) as log:
            outcome = self._tried(vertex, described, task, log)
        if outcome.layer is None:
            assert outcome.step is not None
            raise self._failure(vertex, described, task, outcome.step, outcome.kept, log)
        record = self._record(vertex, sought, outcome.layer, started)
        with spans.span("record"), engine.store.db.transaction():
            engine.store.layers.add(outcome.layer)
            engine.store.records.add(record)
        self._made.add(sought.key)
        self._note(vertex, record, outcome.layer, fresh=True)
        self._emit.made(vertex, outcome.layer.content_id.hex)
        return outcome.layer

    def _tried(self, vertex: int, described: Vertex, task: Task, log: StepLog) -> Outcome:
        """How `task` ended, its last attempt when it may be tried again: what that leaves is kept."""
        asked = described.attempts if isinstance(described, Run) else ONCE
        below, most = self._standing(described), asked.retries + 1
        attempt = 1
        while True:
            if attempt == most:
                task = self._keeping(vertex, described, task)
            outcome = self._engine.worker().run(task, below, log.write, partial(self._explain, vertex))
            if outcome.layer is not None or outcome.step is None or attempt == most:
                return outcome
            # lazy: only when a step fails
            from builder.solve.failure import ended

            wait = f" in {spoken(asked.delay)}" if asked.delay else ""
            log.note(f"attempt {attempt} of {most}: {ended(asked, outcome.step)}; trying again{wait}")
            if self._canceled.wait(seconds(asked.delay)):
                raise CanceledError("canceled")
            attempt += 1

    def _keeping(self, vertex: int, described: Vertex, task: Task) -> Task:
        options = self._engine.options
        if not ((options.keep or options.take) and isinstance(described, Run) and isinstance(task, RunTask)):
            return task
        # lazy: a cached build keeps nothing
        from builder.solve import failed

        layers, build, number = self._standing(described), self._emit.build, self._emit.number(vertex)
        source, secrets = self._engine.source.name, self._engine.secrets
        return replace(
            task, keep=failed.encoded(failed.described(build, number, source, described, task, layers, secrets))
        )

    def _record(self, vertex: int, sought: Sought, layer: Layer, started: float) -> CacheRecord:
        origin = self._graph.vertices[vertex].origin
        return CacheRecord(
            key=sought.key,
            preimage=sought.image,
            diff_id=layer.diff_id,
            created=started,
            last_used=started,
            hits=0,
            seconds=time.time() - started,
            name=origin.name,
            stage=origin.stage,
            line=origin.line,
            buildfile=self._engine.source.name,
            inputs=self._emit.inputs(vertex),
        )

    def _found(self, vertex: int, sought: Sought) -> bool:
        """Whether what is now known of `vertex` hits."""
        self._emit.known(vertex, sought.key.hex)
        return self._hit(vertex, sought)

    def _hit(self, vertex: int, sought: Sought) -> bool:
        with spans.span("look-up") as now:
            found = self._lookup.find(vertex, sought, fresh=sought.key in self._made)
            if isinstance(found, Reason):
                self._missed[vertex] = sought, found
                return False
            now.note(spans.SAVED, int(found.record.seconds * _SECOND))
        described, record = self._graph.vertices[vertex], found.record
        if found.remote and self._engine.remote is not None:
            record = replace(self._record(vertex, sought, found.layer, record.created), seconds=record.seconds)
            self._engine.remote.placed(record)
        self._note(vertex, record, found.layer, fresh=False)
        self._place(vertex, described, found.layer, record.created)
        self.hits.append(record)
        self.taken += [found for found in sought.chosen if isinstance(found, Selection)]
        self.tell.cached(vertex, sought.key.hex, found.layer, found.record.seconds, remote=found.remote)
        return True

    def _note(self, vertex: int, record: CacheRecord, layer: Layer, *, fresh: bool) -> None:
        """Tell the caches that others share."""
        remote, described = self._engine.remote, self._graph.vertices[vertex]
        if remote is not None and self._lookup.told(vertex) is not Reason.VOLATILE:
            remote.note(record, layer, run=isinstance(described, Run), in_result=vertex in self._result, fresh=fresh)

    def _place(self, vertex: int, described: Vertex, layer: Layer, made: float) -> None:
        self.stacks[vertex] = self._below(described).on_top(layer, made, new_since(described, made))

    def _below(self, described: Vertex) -> Stack:
        below = inputs(described)
        return self.stacks[below[0]] if below else Stack()

    def _dated(self, vertex: int) -> Stack:
        """The stack of `vertex` as steps see it."""
        return self.dating.stack(self.stacks[vertex])

    def _standing(self, described: Vertex) -> tuple[Layer, ...]:
        return self.dating.stack(self._below(described)).layers

    # --- telling -------------------------------------------------------------------------------

    def _failure(
        self, vertex: int, described: Vertex, task: Task, step: StepResult, kept: bool, log: StepLog
    ) -> StepFailedError:
        # lazy: only when a step fails
        from builder.solve.failure import Failed

        options, number = self._engine.options, self._emit.number(vertex)
        program = called(self._engine.store.root)
        failed = Failed(self._emit.build, number, program, kept, bool(options.keep), options.resources)
        return failed.error(described, task, step, log)
