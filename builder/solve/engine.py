"""Solves one graph: look up, else run, record. Reads like a table of contents.

for each vertex, its inputs first:
    key = preimage(vertex, content of its inputs)      keys/
    hit → the record's layer                           store/records
    miss → lock the key, look again, run its task      ops, worker
         → record key → layer                          store/records
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BuildfileError, CanceledError, PybuildError, StepFailedError, Where
from builder.events import CacheState, Emit, VertexDone, VertexFailed, VertexStarted
from builder.graph.attempts import ONCE, Attempts, seconds, spoken
from builder.graph.vertex import BaseImage, Graph, Run, Scratch, Vertex, inputs
from builder.image.descriptor import Layer
from builder.keys.preimage import key_of, preimage
from builder.lang.source import Source
from builder.sandbox.spec import Names, Resources, StepResult
from builder.solve import ops, scheduler
from builder.solve.journal import Journal
from builder.solve.log import StepLog
from builder.solve.result import Solution, Stack
from builder.solve.worker import Outcome, RunTask, Task, Worker
from builder.sources.context import Context, Selection
from builder.sources.remotes import Remotes
from builder.sources.secrets import Secrets
from builder.store.locks import key_lock
from builder.store.open import Store, called
from builder.store.records import CacheRecord

# 128 + SIGKILL
_KILLED = 137


class SolveOptions(Struct, frozen=True):
    """How to solve: `no_cache` looks nothing up; `parallelism` is how many steps run at once.

    `allow` are the entitlements granted: what a step may not do unless the user says so. `keep` is how many RUNs that
    failed the caller keeps; with `take` it takes something out of one that fails, though it keeps none. `resources`
    are what each step may use: no part of a key, for a limit must not change what a step makes.
    """

    no_cache: bool = False
    parallelism: int = 4
    allow: tuple[str, ...] = ()
    keep: int = 0
    take: bool = False
    resources: Resources = Resources()


class _Miss(Struct):
    """What the look-up of a vertex found out for its run."""

    key: Digest
    image: bytes
    chosen: tuple[ops.Outside, ...]


class Engine(Struct):
    """The parts a solve needs.

    `contexts` are the build contexts by name, "" the main one; `remotes` asks servers. `worker` is asked for at
    the first miss; `names` is how steps find names, beyond what the graph says.
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

    def solve(self, graph: Graph, stacks: dict[int, Stack] | None = None) -> Solution:
        """Solve `graph`; `stacks` is filled as its vertices are solved.

        Raises StepFailedError for a command that failed, and what its parts raise.
        """
        solving = _Solving(self, graph, {} if stacks is None else stacks)
        needed = _needed(graph)
        for vertex in needed:
            solving.check_entitled(vertex)
        try:
            scheduler.run([inputs(v) for v in graph.vertices], needed, solving, max(1, self.options.parallelism))
        finally:
            self.store.records.touch(solving.hits)
        steps = [v for v in needed if not isinstance(graph.vertices[v], Scratch | BaseImage)]
        return Solution(solving.stacks[graph.top], len(solving.hits), len(steps) - len(solving.hits))


def _needed(graph: Graph) -> list[int]:
    """The vertices the target needs, in order: lowering may have met a base image twice."""
    wanted: set[int] = set()
    todo = [graph.top]
    while todo:
        vertex = todo.pop()
        if vertex not in wanted:
            wanted.add(vertex)
            todo.extend(inputs(graph.vertices[vertex]))
    return sorted(wanted)


def _met(step: StepResult, resources: Resources) -> str | None:
    """Which limit a step that failed has met, as a hint."""
    if step.memory_kills:
        limit, peak = resources.memory >> 20, step.usage.peak_bytes >> 20
        return f"it was killed for memory: its limit is {limit} MiB, its peak was {peak} MiB; raise --memory"
    if step.refused_forks:
        return f"it met its limit of {resources.pids} processes; raise --pids-limit"
    if step.status == _KILLED and not step.timed_out:
        return "the kernel or someone else killed it: is there enough memory?"
    return None


def _ended(asked: Attempts, step: StepResult) -> str:
    """How a command failed, in words."""
    return f"timed out after {spoken(asked.timeout)}" if step.timed_out else f"exit code: {step.status}"


class _Solving:
    """One solve: the jobs the scheduler calls, and what they have found so far."""

    def __init__(self, engine: Engine, graph: Graph, stacks: dict[int, Stack]) -> None:
        self._engine = engine
        self._emit = Journal(engine.store.root, engine.source.name, graph.vertices, engine.emit)
        self._graph = graph
        self._misses: dict[int, _Miss] = {}
        self.stacks = stacks
        self.hits: list[Digest] = []
        self._canceled = threading.Event()

    def check_entitled(self, vertex: int) -> None:
        """Raises BuildfileError for a step that needs an entitlement nobody granted, cached or not."""
        described = self._graph.vertices[vertex]
        for name in ops.entitlements(described):
            if name not in self._engine.options.allow:
                raise BuildfileError(
                    f"the step needs the entitlement {name}, which was not granted",
                    where=self._where(described),
                    hint=f"if you trust the Buildfile: --allow {name}",
                )

    # --- called by the scheduler ---------------------------------------------------------------

    def lookup(self, vertex: int) -> bool:
        """Whether `vertex` has its result in the store. Remembers what a run needs to know."""
        described = self._graph.vertices[vertex]
        if isinstance(described, Scratch):
            self.stacks[vertex] = Stack()
            return True
        if isinstance(described, BaseImage):
            self.stacks[vertex] = self._base(described)
            self._emit_cached(vertex, described.origin.name)
            return True
        try:
            chosen = ops.outside(described, self._engine.contexts, self._engine.remotes)
        except PybuildError as error:
            raise error.at(self._where(described)) from error
        image = preimage(described, self._chains(described), [selection.digest for selection in chosen])
        key = key_of(image)
        if not self._engine.options.no_cache and self._hit(vertex, key):
            return True
        self._misses[vertex] = _Miss(key, image, chosen)
        return False

    def prepare(self) -> None:
        """Start the worker while there is only one thread."""
        self._engine.worker().start()

    def execute(self, vertex: int) -> None:
        """Run a vertex that missed, one process at a time for the same key."""
        engine, miss, described = self._engine, self._misses[vertex], self._graph.vertices[vertex]
        name = described.origin.name
        started = time.time()
        self._emit(VertexStarted(vertex, name, started))
        try:
            with key_lock(engine.store.root, miss.key, self._canceled.is_set):
                if not engine.options.no_cache and self._hit(vertex, miss.key):
                    return
                layer = self._run(vertex, described, miss, started)
        except PybuildError as error:
            self._emit(VertexFailed(vertex, name, error.message, time.time() - started))
            raise error.at(self._where(described)) from error
        self._place(vertex, described, layer, started)
        self._emit(VertexDone(vertex, name, CacheState.DONE, time.time() - started))

    def cancel(self) -> None:
        """Stop what runs."""
        self._canceled.set()
        self._engine.remotes.cancel()
        self._engine.worker().cancel()

    # --- one vertex ----------------------------------------------------------------------------

    def _run(self, vertex: int, described: Vertex, miss: _Miss, started: float) -> Layer:
        engine = self._engine
        if self._canceled.is_set():
            raise CanceledError("canceled")
        task = ops.task(described, miss.chosen, self.stacks.__getitem__, engine.names, engine.secrets)
        if isinstance(task, RunTask):
            task = replace(task, spec=replace(task.spec, resources=engine.options.resources))
        with StepLog(self._emit.log(vertex), vertex, engine.emit) as log:
            outcome = self._tried(vertex, described, task, log)
        if outcome.layer is None:
            assert outcome.step is not None
            raise self._failure(vertex, described, task, outcome.step, outcome.kept, log)
        if not isinstance(task, RunTask):  # what a RUN sees was confirmed when it was copied, before the command ran
            for selection in miss.chosen:
                if isinstance(selection, Selection):
                    selection.confirm()
        engine.store.layers.add(outcome.layer)
        engine.store.records.add(self._record(described, miss, outcome.layer, started))
        return outcome.layer

    def _tried(self, vertex: int, described: Vertex, task: Task, log: StepLog) -> Outcome:
        """How `task` ended, its last attempt when it may be tried again: what that leaves is kept."""
        asked = described.attempts if isinstance(described, Run) else ONCE
        below, most = self._below(described).layers, asked.retries + 1
        attempt = 1
        while True:
            if attempt == most:
                task = self._keeping(vertex, described, task)
            outcome = self._engine.worker().run(task, below, log.write)
            if outcome.layer is not None or outcome.step is None or attempt == most:
                return outcome
            wait = f" in {spoken(asked.delay)}" if asked.delay else ""
            log.note(f"attempt {attempt} of {most}: {_ended(asked, outcome.step)}; trying again{wait}")
            if self._canceled.wait(seconds(asked.delay)):
                raise CanceledError("canceled")
            attempt += 1

    def _keeping(self, vertex: int, described: Vertex, task: Task) -> Task:
        options = self._engine.options
        if not ((options.keep or options.take) and isinstance(described, Run) and isinstance(task, RunTask)):
            return task
        # lazy: a cached build keeps nothing
        from builder.solve import failed

        layers, build, number = self._below(described).layers, self._emit.build, self._emit.number(vertex)
        source, secrets = self._engine.source.name, self._engine.secrets
        return replace(
            task, keep=failed.encoded(failed.described(build, number, source, described, task, layers, secrets))
        )

    def _record(self, described: Vertex, miss: _Miss, layer: Layer, started: float) -> CacheRecord:
        origin = described.origin
        return CacheRecord(
            key=miss.key,
            preimage=miss.image,
            diff_id=layer.diff_id,
            created=started,
            last_used=started,
            hits=0,
            seconds=time.time() - started,
            name=origin.name,
            stage=origin.stage,
            line=origin.line,
            buildfile=self._engine.source.name,
        )

    def _hit(self, vertex: int, key: Digest) -> bool:
        record = self._engine.store.records.get(key)
        layer = None if record is None else self._engine.store.layers.get(record.diff_id)
        if record is None or layer is None or not self._engine.store.blobs.holds(layer.blob):
            return False
        described = self._graph.vertices[vertex]
        self._place(vertex, described, layer, record.created)
        self.hits.append(key)
        self._emit_cached(vertex, described.origin.name)
        return True

    def _place(self, vertex: int, described: Vertex, layer: Layer, made: float) -> None:
        self.stacks[vertex] = self._below(described).on_top(layer, made)

    def _below(self, described: Vertex) -> Stack:
        below = inputs(described)
        return self.stacks[below[0]] if below else Stack()

    def _chains(self, described: Vertex) -> dict[int, Digest]:
        return {v: self.stacks[v].chain for v in inputs(described)}

    def _base(self, described: BaseImage) -> Stack:
        stack = Stack()
        for layer in self._engine.store.images.layers(described.manifest):
            stack = stack.on_top(layer, None)
        return stack

    # --- telling -------------------------------------------------------------------------------

    def _emit_cached(self, vertex: int, name: str) -> None:
        self._emit(VertexDone(vertex, name, CacheState.LOCAL, 0.0))

    def _failure(
        self, vertex: int, described: Vertex, task: Task, step: StepResult, kept: bool, log: StepLog
    ) -> StepFailedError:
        argv = task.spec.argv if isinstance(task, RunTask) else ()
        asked = described.attempts if isinstance(described, Run) else ONCE
        program = called(self._engine.store.root)
        hints = [_met(step, self._engine.options.resources)]
        if log.path is not None and log.tail():
            hints.append(f"{program} logs {self._emit.build} {self._emit.number(vertex)} prints its whole output")
        if kept and self._engine.options.keep:
            hints.append(f"{program} shell --failed opens a shell in what it left")
        return StepFailedError(
            f'process "{" ".join(argv)}" did not complete successfully: {_ended(asked, step)}',
            status=step.status,
            log=log.tail(),
            kept=f"{self._emit.build}-{self._emit.number(vertex)}" if kept else "",
            hint="; ".join(filter(None, hints)) or None,
        )

    def _where(self, described: Vertex) -> Where:
        line = described.origin.line
        return Where(self._engine.source.name, line, 0, self._engine.source.line(line))
