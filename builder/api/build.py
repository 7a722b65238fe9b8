"""Builds: a request in, an image out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from builder import spans
from builder.api import contradictions, results
from builder.api.lint import warn
from builder.api.meant import entitlements, lower_options, names_of, reading_of, timed
from builder.api.results import Made
from builder.api.session import Session, must_ask, platforms_of
from builder.digest import Digest
from builder.errors import PybuildError, StepFailedError
from builder.events import Note, Warned
from builder.graph.lower import LowerOptions, Resolver, lower
from builder.graph.vertex import Graph
from builder.image import pulling
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.lang import ast
from builder.lang.gobool import parse_bool
from builder.lang.source import Source
from builder.request import BuildRequest
from builder.solve.engine import Engine
from builder.solve.options import SolveOptions
from builder.solve.result import Solution, Stack, dated, keep_places
from builder.sources import buildfile
from builder.sources.contexts import ContextSet, Opened, open_main
from builder.sources.remotes import Remotes
from builder.sources.resolver import Finder, ImageResolver
from builder.sources.secrets import Secrets
from builder.sources.secrets import parse as parse_secrets
from builder.sources.selection import Selection
from builder.store.records import CacheRecord

if TYPE_CHECKING:
    from builder.api.exports import Exports
    from builder.solve.remote import Remote
    from builder.solve.worker import Worker
    from builder.sources.pins import Pins


class BuildResult(Struct, frozen=True):
    """A built image: its ID, its config, and how many steps were cached and ran.

    The ID is the digest of its config; of images for several platforms that of their index, and `config` is the first
    one's. `streamed`: an output went to standard output.
    """

    image: Digest
    config: ImageConfig
    cached: int
    ran: int
    streamed: bool = False


class Built(Struct, frozen=True):
    """A build that is done: its result, its graph, the stacks of its vertices in real times, its images.

    `images` are in the order of the graph's targets. `digest` is that of the manifest, or of the index of several;
    `opened` is what the build was read from, `hits` are the records that were found, `taken` what their steps take
    from build contexts. `metadata` gives what --metadata-file says.
    """

    result: BuildResult
    graph: Graph
    stacks: Mapping[int, Stack]
    images: tuple[Made, ...]
    digest: Digest
    opened: Opened
    hits: tuple[CacheRecord, ...]
    taken: tuple[Selection, ...]
    metadata: Callable[[], dict[str, Any]]


def build(session: Session, request: BuildRequest, told: Callable[[Built], None] | None = None) -> BuildResult:
    """Build what `request` asks for. Raises the errors of builder.errors; nothing is tagged then.

    What came of it is `told`, too.
    """
    try:
        done = built(session, request)
    except StepFailedError:
        _cut_back(session)
        raise
    _cut_back(session)
    if told is not None:
        told(done)
    if request.manifest is not None:
        # lazy: few builds are one of several for an index
        from builder.api.manifests import create

        create(session, request.manifest, (str(done.result.image),), amend=True, everything=True)
    return done.result


def built(session: Session, request: BuildRequest) -> Built:
    """As `build`, with what else is known of it. Leaves the cache as large as it is."""
    started = time.monotonic()
    try:
        return _built(session, request, started)
    except BaseException as error:
        session.emit(results.failure(error, time.monotonic() - started))
        raise


def _built(session: Session, request: BuildRequest, started: float) -> Built:
    began = time.time()
    wanted = results.wanted(request)
    if wanted.sent:
        must_ask(session.options)
    with prepared(session, request) as begun:
        graph = begun.graph
        warn(session, request, begun.opened, graph)
        squashes = [results.squash(request, graph, target) for target in graph.targets]
        stacks: dict[int, Stack] = {}
        whole = (
            wanted.whole
            or (session.among is not None and session.among.whole)
            or any(squash is not None for squash in squashes)
        )
        solution = _solved(session, request, begun, stacks, whole=whole)
        session.rest()
        tell = results.telling(session, request, (graph, begun.opened.source, begun.remotes, stacks), wanted, began)
        images = []
        for target, stack, squash in zip(graph.targets, solution.stacks, squashes, strict=True):
            with spans.span("assemble"):
                config, layers = dated(session.store, target.config, stack, graph.epoch, begun.remote), stack.layers
                if squash is not None:
                    config, layers = squash(session, config, layers, stacks)
                inline = () if begun.remote is None else begun.remote.inline(layers)
                attest = None if tell is None else tell.of(target, config, layers)
                images.append(Made(target.platform, config, layers, inline, attest))
        session.stop.check()
        with spans.span("assemble"):
            finished = results.finish(session, wanted, images)
            if wanted.kept:
                keep_places(session.store, begun.opened.source.name, graph, [image.config for image in images])
        if begun.remote is not None:
            begun.remote.finish()
    session.emit(results.summary(session, wanted, finished, images, solution, time.monotonic() - started))
    result = BuildResult(finished.id, images[0].config, solution.cached, solution.ran, wanted.streamed)
    opened, metadata = begun.opened, finished.metadata
    made, digest = tuple(images), finished.digest
    return Built(result, graph, stacks, made, digest, opened, solution.hits, solution.taken, metadata)


def _cut_back(session: Session) -> None:
    if session.started:
        # lazy: a build from the cache has added nothing
        from builder.api.cap import cut_back

        with spans.span("end"):
            cut_back(session)


def _worker(session: Session, remote: Remote | None) -> Worker:
    session.settings()  # what is wrong with them is told before anything runs
    worker: Worker = session.worker() if session.among is None else session.among.worker(session.worker())
    if remote is None:
        return worker
    # lazy: most builds share no cache
    from builder.solve.fetching import Fetching

    return Fetching(worker, remote)


@contextmanager
def _sharing(session: Session, request: BuildRequest) -> Iterator[Remote | None]:
    if not (request.cache_from or request.cache_to):
        yield None
        return
    # lazy: as above
    from builder.api.sharing import sharing

    with sharing(session, request) as remote:
        yield remote


class Prepared(Struct, frozen=True):
    """What a build begins with. `fetched` are the manifests of base images that were not here before."""

    opened: Opened
    tree: ast.Buildfile
    graph: Graph
    fetched: Set[Digest]
    contexts: ContextSet
    remotes: Remotes
    secrets: Secrets
    allow: tuple[str, ...]
    remote: Remote | None = None


@contextmanager
def prepared(
    session: Session, request: BuildRequest, resolver: type[ImageResolver] = ImageResolver
) -> Iterator[Prepared]:
    """What a build of `request` begins with; its base images are found by a `resolver`."""
    kind: Finder = resolver
    contradictions.refuse(request, offline=session.offline)
    secrets, allow = parse_secrets(request.secrets, request.ssh), entitlements(request)
    platforms = platforms_of(request.platform)
    options, directories = lower_options(request, platforms[0])
    if session.among is not None:
        options = session.among.named(options)
    with (
        session.store.leases.working(),
        _sharing(session, request) as remote,
        Remotes(session.store, session.emit, offline=session.offline, shared=remote) as remotes,
    ):
        if remote is not None:
            kind = remote.finding(resolver)
        session.stop.then(remotes.cancel)
        remotes.pins = _pins(session, request)
        with spans.span("parse"):
            opened, tree = _read(session, request, remotes)
        with spans.span("resolve"):
            remotes.pins = remotes.pins or _pins(session, request, opened)
            options = timed(options, request, opened)
            graph, fetched = _lowered(session, request, opened, options, platforms, tree, kind, remotes)
        contexts = ContextSet(
            opened, directories, session.store.stats, reading_of(request), session.walked, session.emit
        )
        yield Prepared(opened, tree, graph, fetched, contexts, remotes, secrets, allow, remote)


def engine_of(
    session: Session, request: BuildRequest, begun: Prepared, *, whole: bool = True, files: tuple[int, ...] = ()
) -> Engine:
    """The engine that solves what has been prepared; for `whole` and `files` see SolveOptions. Raises UsageError."""
    return Engine(
        store=session.store,
        worker=lambda: _worker(session, begun.remote),
        contexts=begun.contexts,
        remotes=begun.remotes,
        source=begun.opened.source,
        emit=session.emit,
        secrets=begun.secrets,
        names=names_of(request),
        options=SolveOptions(
            ignored=_ignored(request, begun.graph, begun.tree, begun.opened.source),
            paranoid=request.paranoid,
            parallelism=request.parallelism,
            allow=begun.allow,
            keep=request.keep_failed,
            take=bool(request.on_fail_export),
            resources=request.resources,
            whole=whole,
            files=files,
            stop=session.stop,
        ),
        fetched=begun.fetched,
        remote=begun.remote,
    )


# --- the steps of a build ------------------------------------------------------------------------


def _read(session: Session, request: BuildRequest, remotes: Remotes) -> tuple[Opened, ast.Buildfile]:
    keep = bool(parse_bool(request.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "")))
    opened = open_main(
        request.context,
        request.file,
        remotes,
        keep_git_dir=keep,
        ignore_file=request.ignore_file,
        inline=request.inline,
    )
    tree = buildfile.parsed(opened.source, session.store.memo)
    if tree.syntax is not None:
        session.emit(Note(f"# syntax={tree.syntax} is noted: the language is built in"))
    return opened, tree


def _pins(session: Session, request: BuildRequest, opened: Opened | None = None) -> Pins | None:
    """What sources are pinned to: by --lock-file, else by the lock of the Buildfile, once that is `opened`.

    None where names mean what they mean now, and missing is what a step misses first.
    """
    beside = None if opened is None or request.no_lock else opened.lock
    strict = opened is not None and (request.locked or session.offline)
    if request.lock_file is None and not strict and (beside is None or beside[1] is None):
        return None
    # lazy: few builds have a lock
    from builder.api.pinned import pins_of

    return pins_of(session, request, beside)


def _lowered(
    session: Session,
    request: BuildRequest,
    opened: Opened,
    options: LowerOptions,
    platforms: tuple[Platform, ...],
    tree: ast.Buildfile,
    kind: Finder,
    remotes: Remotes,
) -> tuple[Graph, Set[Digest]]:
    """The graph, and the manifests of the base images that were pulled for it."""
    found = kind(session.ingest, opened.root, session.emit, pulling.NEVER if session.offline else request.pull)
    pins = remotes.pins
    resolver: Resolver = found if pins is None else pins.over(found)
    if session.among is not None:
        resolver = session.among.over(session.store.images, resolver)
    with nullcontext() if pins is None else pins.gathering():
        graphs = [lower(tree, opened.source, replace(options, platform=each), resolver) for each in platforms]
    graph = graphs[0]
    if len(graphs) > 1:
        # lazy: most builds are for one platform
        from builder.graph.merge import merged

        graph = merged(graphs)
    if pins is not None:
        pins.settle(graph, opened.source.name, remotes.current, session.emit)
    for text, place in graph.warnings:
        session.emit(Warned(text, place))
    return graph, found.fetched


def _ignored(request: BuildRequest, graph: Graph, tree: ast.Buildfile, source: Source) -> frozenset[int]:
    if not (request.no_cache or request.no_cache_filter or request.no_cache_step):
        return frozenset()
    # lazy: most builds look everything up
    from builder.api.nocache import ignored

    return ignored(request, graph, tree, source)


def _solved(
    session: Session, request: BuildRequest, begun: Prepared, stacks: dict[int, Stack], *, whole: bool
) -> Solution:
    exports = _exports(request, begun.graph, begun.opened.source)
    files = () if exports is None else tuple(vertex for vertex, _ in exports.steps)
    engine = engine_of(session, request, begun, whole=whole, files=files)
    if session.offline and begun.remotes.pins is not None:
        begun.remotes.pins.have(engine.unfetched(begun.graph), begun.remotes.here, begun.opened.source.name)
    try:
        solution = engine.solve(begun.graph, stacks)
    except StepFailedError as error:
        # lazy: only when a step fails
        from builder.api.shell import forget

        if begun.remote is not None:
            begun.remote.finish(failed=True)
        if exports is not None:
            exports.after(session, stacks, error)
        try:
            forget(session, request.keep_failed)
        except PybuildError as trouble:  # the failure of the step is what must be told
            session.emit(Warned(f"older failed steps are still kept: {trouble.message}"))
        raise
    if exports is not None:
        exports.after(session, stacks)
    return solution


def _exports(request: BuildRequest, graph: Graph, source: Source) -> Exports | None:
    if not (request.on_fail_export or request.step_export):
        return None
    # lazy: few builds take something out of their steps
    from builder.api.exports import exports

    return exports(request, graph, source.name)
