"""This machine: tasks as calls of the launcher. The functions of the second half run in its children."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, assert_never

from msgspec import Struct
from msgspec.structs import replace

from builder import spans
from builder.digest import Digest
from builder.errors import HostError, PybuildError
from builder.events import Emit, Progress, Warned, Work, ignore
from builder.image.descriptor import Layer
from builder.layers import chosen
from builder.layers.copyjob import Chosen, CopyJob
from builder.layers.copyop import copy_into, copy_to, make_directory
from builder.layers.copyplan import Item, Plan, Unplanned, inherits
from builder.linux import syscalls
from builder.sandbox import first, seccomp
from builder.sandbox.child import answer
from builder.sandbox.launcher import Call, Launcher
from builder.sandbox.network.slots import Networks
from builder.sandbox.run import run_step
from builder.sandbox.spec import StepResult, StepSpec
from builder.snapshots import choice, settled
from builder.snapshots.active import Snapshots, Writable, own_mounts
from builder.snapshots.apart import held, suit
from builder.snapshots.copies import name_of
from builder.snapshots.layer import PackedCopy, dated, pack, pack_planned, unpack_told
from builder.solve.worker import CopyPart, CopyTask, DirectoryTask, Outcome, RunTask, Task, needed
from builder.store.blobs import Blobs, store_errors
from builder.store.leases import Leases
from builder.store.open import FILTERS, NETWORK, sweep
from builder.workers.failed import keep
from builder.workers.mounts import shown

P = ParamSpec("P")
T = TypeVar("T")

PRELOAD = ("builder.workers.local", "zstandard")


class _Ready(Struct, frozen=True):
    """What IDs the store's files are of, what a user should know of the assembler, whether it is time to settle."""

    kind: str
    warning: str | None
    unsettled: bool


class LocalWorker:
    """The Worker of this machine, on the store at `root`. `launch` gives its launcher, which it closes in the end."""

    def __init__(self, root: Path, emit: Emit = ignore, launch: Callable[[], Launcher] | None = None) -> None:
        self._root, self._emit = root, emit
        self._launch = launch or (lambda: Launcher.start(PRELOAD))
        self.networks = Networks(lambda: self.launcher, root / NETWORK, emit)
        self._launcher: Launcher | None = None
        self._warm = False
        self._calls: set[Call[Any]] = set()
        self._lock = threading.Lock()
        self._canceled = False
        # The layers whose snapshots are there: what a build has found stays for it (store/leases).
        self._there: set[Digest] = set()
        # What keeps the store's files those of this worker's IDs.
        self._files: int | None = None

    @property
    def launcher(self) -> Launcher:
        """The launcher, started at its first use."""
        if self._launcher is None:
            self._launcher = self._launch()
            if (why := self._launcher.one_id) is not None:
                self._emit(Warned(f"other users are emulated, which is slower: {why.message} ({why.hint})"))
            ready = self._ready(self._launcher)
            if ready.warning is not None:
                self._emit(Warned(ready.warning))
            if ready.unsettled:
                self._launcher.call(settled.settle, None, self._root, ready.kind).leave()
        return self._launcher

    def start(self) -> None:
        """Start the launcher, while there is one thread, and have what waits in it made ready for steps."""
        launcher = self.launcher
        if not self._warm:
            self._warm = True
            launcher.warm(_warm, self._root)

    def rest(self) -> None:
        """No step comes for now: what waits for one ends beside what is done meanwhile."""
        self._warm = False
        if self._launcher is not None:
            with suppress(HostError):  # who needs it once more will hear that it has ended
                self._launcher.rest()

    def expect_network(self) -> None:
        """See Worker."""
        self.networks.expect()

    def _ready(self, launcher: Launcher) -> _Ready:
        while True:
            ready = launcher.call(_ready, None, self._root).result()
            self._files = held(self._root, ready.kind)
            if self._files is not None:
                return ready

    def run(
        self,
        task: Task,
        stack: tuple[Layer, ...],
        output: Callable[[bytes], None],
        meanwhile: Callable[[], object],
    ) -> Outcome:
        """Do `task` on `stack`; see Worker."""
        self.unpacked(layer for layers in needed(task, stack) for layer in layers)
        if not isinstance(task, RunTask):
            return self._worked(task, stack, output, meanwhile)
        with self.networks.joined(task.spec) as spec:
            return self._worked(replace(task, spec=spec), stack, output, meanwhile)

    def _worked(
        self,
        task: Task,
        stack: tuple[Layer, ...],
        output: Callable[[bytes], None],
        meanwhile: Callable[[], object],
    ) -> Outcome:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            # In one string: to pickle the layers of a deep stack takes longer than all else of a step.
            below = " ".join([layer.diff_id.hex for layer in stack])
            call = self._begin(_work, (null, writer, writer), self._root, task, below)
        finally:
            os.close(writer)
            os.close(null)
        try:
            with os.fdopen(reader, "rb", buffering=0) as stream:
                meanwhile()
                while data := stream.read(64 << 10):
                    output(data)
        except BaseException:
            call.cancel()
            with suppress(PybuildError):
                self._end(call)
            raise
        return self._end(call)

    def chosen(self, stack: tuple[Layer, ...], asked: tuple[Chosen, ...]) -> list[bytes]:
        """The lists of what is chosen of `stack`; see Worker."""
        self.unpacked(stack)
        return self._end(self._begin(_chosen, None, self._root, stack, asked))

    def unpacked(self, layers: Iterable[Layer]) -> None:
        """Make the snapshots that are missing, side by side."""
        snapshots = Snapshots(self._root)
        new = {layer.diff_id: layer for layer in layers if layer.diff_id not in self._there}
        missing = [layer for diff_id, layer in new.items() if not snapshots.has(diff_id)]
        for layer, call in [(layer, self._begin(unpack_told, None, self._root, layer)) for layer in missing]:
            self._unpacked(layer, call)
        self._there |= new.keys()

    def _unpacked(self, layer: Layer, call: Call[None]) -> None:
        told = False

        def moved(count: int) -> None:
            nonlocal told
            told = True
            self._emit(Progress(Work.UNPACK, layer.diff_id.short, count, layer.blob.size))

        self._end(call, moved)
        if told:
            moved(layer.blob.size)

    def dated(self, layer: Layer, epoch: int, since: int) -> Layer:
        """`layer` as it is under SOURCE_DATE_EPOCH."""
        return self._end(self._begin(dated, None, self._root, layer, epoch, since))

    def cancel(self) -> None:
        """Stop what runs."""
        with self._lock:
            self._canceled = True
            for call in self._calls:
                call.cancel()
        self.networks.cancel()

    def stop(self) -> None:
        """As `cancel`, with all calls of its launcher, whoever made them."""
        self.cancel()
        if self._launcher is not None:
            self._launcher.cancel()

    def close(self) -> None:
        """End the launcher."""
        self.networks.close()
        if self._launcher is not None:
            self._launcher.close()
            self._launcher = None
        if self._files is not None:
            os.close(self._files)
            self._files = None

    def _begin(
        self, function: Callable[P, T], stdio: tuple[int, int, int] | None, *args: P.args, **kwargs: P.kwargs
    ) -> Call[T]:
        call = self.launcher.call(function, stdio, *args, **kwargs)
        with self._lock:
            self._calls.add(call)
            if self._canceled:
                call.cancel()
        return call

    def _end(self, call: Call[T], moved: Callable[[int], object] | None = None) -> T:
        try:
            return call.result(moved)
        finally:
            with self._lock:
                self._calls.discard(call)


# --- in the launcher's children ------------------------------------------------------------------


def _ready(root: Path) -> _Ready:
    """Clear away what crashes left, of processes and of the machine."""
    with store_errors(root):
        kind = suit(root)
        unsettled = settled.begin(root, kind)
        Snapshots(root).sweep()
        Blobs(root).sweep()
        Leases(root).sweep()
        sweep(root)
    return _Ready(kind, _assembler(root), unsettled)


def _warm(root: Path) -> None:
    """What each step begins with, whatever it does."""
    program = seccomp.program(root / FILTERS)
    syscalls.argument_area()
    own_mounts()
    choice.of(root)
    Snapshots(root).make_ready()
    first.make_ready(program, f"{root}/tmp")
    # What a fork leaves write-protected is copied page by page when it is written to: what reading a call takes, now.
    pickle.loads(pickle.dumps(RunTask(StepSpec(("true",)))))


def _assembler(root: Path) -> str | None:
    try:
        own_mounts()
        return choice.of(root).warning()
    except HostError:
        return None  # what no step can do without: the first that runs says so


def _work(root: Path, task: Task, below: str) -> Outcome:
    """Do `task` on the stack of the layers `below`, their diff IDs as hex digits."""
    snapshots = Snapshots(root)
    step: StepResult | None = None
    remember: Callable[[], None] | None = None
    alone = isinstance(task, CopyTask) and task.link
    with store_errors(root), snapshots.writable([] if alone else list(map(Digest, below.split()))) as top:
        match task:
            case RunTask(spec=spec, mounts=mounts, place=place):
                with shown(root, mounts, place) as more:
                    step = run_step(replace(spec, mounts=(*spec.mounts, *more)), top.root, root / FILTERS)
                    if step.status or step.timed_out:
                        return Outcome(None, step, bool(task.keep) and keep(root, task, top, step, more))
                layer = pack(root, top)
            case CopyTask(parts=parts):
                copied = _copied(root, parts, top)
                layer, remember = copied.layer, copied.remember
            case DirectoryTask(path=path, user=user):
                with spans.span("copy"):
                    make_directory(top.root, path, user)
                layer = pack(root, top)
            case _:
                assert_never(task)
        outcome = Outcome(layer, step)
        answer(outcome)
        if remember is not None:
            remember()
        return outcome


def _chosen(root: Path, stack: tuple[Layer, ...], asked: tuple[Chosen, ...]) -> list[bytes]:
    with store_errors(root), Snapshots(root).readable([layer.diff_id for layer in stack]) as tree:
        return [chosen.listing(tree, each) for each in asked]


def _copied(root: Path, parts: tuple[CopyPart, ...], top: Writable) -> PackedCopy:
    """Copy `parts` into `top`: by a plan where it can be told what that makes, else in its root."""
    snapshots = Snapshots(root)
    with ExitStack() as mounted:
        jobs: list[tuple[CopyJob, str | None]] = []
        for part in parts:
            source = None
            if part.source is not None:
                source = mounted.enter_context(snapshots.readable([layer.diff_id for layer in part.source]))
            jobs.append((part.job, source))
        with suppress(Unplanned):
            with spans.span("diff"):
                planned = _plan(jobs, top)
            return pack_planned(root, top, planned, name_of([job for job, _ in jobs]))
        with spans.span("copy"):
            for job, source in jobs:
                copy_into(top.root, job, source)
    return PackedCopy(pack(root, top), _nothing)


def _nothing() -> None:
    """What is not planned is not remembered."""


def _plan(jobs: Sequence[tuple[CopyJob, str | None]], top: Writable) -> list[Item]:
    """What the layer of these copies has. Raises Unplanned where only making them tells."""
    if not top.native or inherits(top.upper):
        raise Unplanned
    fd = os.open(top.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        plan = Plan(fd)
        for job, source in jobs:
            copy_to(plan, fd, job, source)
        return plan.items()
    finally:
        os.close(fd)
