"""Questions about a Buildfile without building it: checks, outline, targets; and the warnings of a build.

Nothing is pulled for them: a base image that is not in the store is one of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.api.session import Session, platforms_of
from builder.digest import Digest
from builder.errors import PybuildError, UsageError
from builder.events import Warned
from builder.graph.lower import Base, LowerOptions, lower
from builder.graph.stages import StageTable, needed, split
from builder.graph.vertex import BaseImage, Graph
from builder.image.config import ImageConfig
from builder.image.platform import Platform, host
from builder.lang import grammar
from builder.lang.source import Source
from builder.readied import readied
from builder.request import BuildRequest
from builder.sources import buildfile
from builder.sources.contexts import Opened, open_main, parse_named
from builder.sources.remotes import Remotes

if TYPE_CHECKING:
    from builder.graph.walk import Ground, Walk
    from builder.lint.outline import Outline, Targets
    from builder.lint.run import Finding

# Raised when the same file gets other findings: remembered ones are forgotten then.
_VERSION = 1
# A file with more stages is lowered for its last one only: each lowering reads all of it.
_MOST_STAGES = 64
CHECK_ARG = "BUILDKIT_DOCKERFILE_CHECK"


class Report(Struct, frozen=True):
    """What a check found. `error` is what would stop a build of the file, as far as one sees without its bases."""

    source: Source
    findings: tuple[Finding, ...]
    error: PybuildError | None


def check(session: Session, request: BuildRequest) -> Report:
    """Apply the rules to a Buildfile: to all stages, or to what --target needs."""
    with _opened(session, request) as opened:
        found: dict[Finding, None] = {}
        obstacle: PybuildError | None = None
        try:
            for platform in platforms_of(request.platform):
                asked = _Question(session, request, opened, platform)
                findings, failure = asked.findings()
                found.update(dict.fromkeys(findings))
                obstacle = obstacle or failure or asked.obstacle()
        except PybuildError as error:
            return Report(opened.source, (), error)
        return Report(opened.source, tuple(found), obstacle)


def outline(session: Session, request: BuildRequest) -> Outline:
    """What a target takes: arguments, secrets, SSH agents, cache mounts."""
    # lazy: only --call=outline
    from builder.lint.outline import outline as outline_of

    with _opened(session, request) as opened:
        asked = _Question(session, request, opened, platforms_of(request.platform)[0])
        target = asked.table.target(request.target)
        return outline_of(target, asked.needed(target.index), asked.walk, opened.source)


def targets(session: Session, request: BuildRequest) -> Targets:
    """The stages of a Buildfile."""
    # lazy: only --call=targets
    from builder.lint.outline import targets as targets_of

    with _opened(session, request) as opened:
        asked = _Question(session, request, opened, platforms_of(request.platform)[0])
        return targets_of(asked.table, opened.source)


def warn(session: Session, request: BuildRequest, opened: Opened, graph: Graph) -> None:
    """Emit what the rules find in a file that is built. Raises BuildfileError where it says `# check=error=true`.

    What was found is remembered by all it depends on, so that a cached build need not look again.
    """
    memo, key = session.store.memo, _key(request, opened, graph)
    known = memo.get("lint", key)
    if known is None:
        found: list[Finding] = []
        error: PybuildError | None = None
        for platform in platforms_of(request.platform):
            findings, failure = _Question(session, request, opened, platform, graph).findings()
            found += findings
            error = error or failure
        warnings = list(dict.fromkeys((f"{f.rule}: {f.message}", f"{opened.source.name}:{f.line}") for f in found))
        if error is None:
            with suppress(UnicodeEncodeError):  # the file's name need not be text
                memo.put("lint", key, msgspec.msgpack.encode(warnings))
    else:
        warnings, error = msgspec.msgpack.decode(known, type=readied(list[tuple[str, str]])), None
    for message, place in warnings:
        session.emit(Warned(message, place))
    if error is not None:
        raise error


def _key(request: BuildRequest, opened: Opened, graph: Graph) -> str:
    images = [(v.reference, str(v.manifest)) for v in graph.vertices if isinstance(v, BaseImage)]
    hidden = (opened.ignore.name, [(rule.line, rule.text) for rule in opened.ignore.rules])
    arguments, contexts = sorted(request.build_args.items()), sorted(request.contexts.items())
    asked = (request.target, request.platform, arguments, contexts, hidden, images)
    parts = (_VERSION, grammar.digest(), opened.source.name, opened.source.text, asked)
    return Digest.of(repr(parts).encode(errors="surrogateescape")).hex


@contextmanager
def _opened(session: Session, request: BuildRequest) -> Iterator[Opened]:
    with session.store.leases.working(), Remotes(session.store, session.emit, offline=session.offline) as remotes:
        yield open_main(request.context, request.file, remotes, inline=request.inline)


class _Question:
    """A file that is asked about, as it is built for `platform`: its stages, walked through once.

    With the `graph` of a build, no --target means the last stage, as there; else it means all. The graph also says
    which images its base images are.
    """

    def __init__(
        self,
        session: Session,
        request: BuildRequest,
        opened: Opened,
        platform: Platform,
        graph: Graph | None = None,
    ) -> None:
        # lazy: a cached build remembers its warnings
        from builder.graph.walk import walk

        self.session, self.request, self.opened, self.built = session, request, opened, graph is not None
        vertices = () if graph is None else graph.vertices
        self.bases = {(v.reference, v.platform): v.manifest for v in vertices if isinstance(v, BaseImage)}
        self.source = opened.source
        self.tree = buildfile.parsed(opened.source, session.store.memo)
        self.options = LowerOptions(
            platform=platform,
            build_platform=host(),
            target=request.target,
            build_args=request.build_args,
            contexts=parse_named(request.contexts)[0],
        )
        self.table: StageTable = split(self.tree, self.source)
        self.walk: Walk = walk(self.table, self.tree.escape, self.options, self._ground)

    def findings(self) -> tuple[tuple[Finding, ...], PybuildError | None]:
        """What the rules find, and the error that it is where the file says so."""
        # lazy: as above
        from builder.lint.file import File
        from builder.lint.run import failure, findings, options_of

        options = options_of(self.tree, self.source, self.request.build_args.get(CHECK_ARG))
        file = File(self.tree, self.walk, self._reached(), self.opened.ignore, str(self.options.platform))
        found = findings(file, options)
        return found, failure(found, self.source) if found and options.error else None

    def obstacle(self) -> PybuildError | None:
        """What stops a build: the first error in lowering the stages that are asked about."""
        many = len(self.table.stages) > _MOST_STAGES
        todo = {self.table.stages[-1].index} if many else set(self._reached())
        try:
            self.table.target(self.request.target)
            while todo:
                last = max(todo)
                lower(self.tree, self.source, replace(self.options, target=str(last)), self)
                todo -= self.needed(last)
        except PybuildError as error:
            return error
        return None

    def needed(self, index: int) -> frozenset[int]:
        """The stages that stage `index` needs, itself among them."""
        parents = {entry.stage.index: entry.parent for entry in self.walk.entries}
        return needed(self.table, self.table.stages[index], lambda stage: parents[stage.index], self.source)

    def base(self, reference: str, platform: Platform) -> Base:
        """An image of the store, else one that says nothing: graph.lower.Resolver."""
        config = self._config(reference, platform) or ImageConfig(platform)
        return Base(reference, Digest.of(reference.encode()), config)

    def _reached(self) -> frozenset[int]:
        if not self.request.target and not self.built:
            return frozenset(range(len(self.table.stages)))
        try:
            return self.needed(self.table.target(self.request.target).index)
        except PybuildError:
            return frozenset(range(len(self.table.stages)))

    def _ground(self, reference: str, platform: str) -> Ground:
        # lazy: as above
        from builder.graph.walk import Ground

        wanted = self.options.platform
        with suppress(UsageError):  # a rule tells of it
            wanted = Platform.parse(platform) if platform else wanted
        config = self._config(reference, wanted)
        if config is None:
            return Ground(known=False)
        return Ground(config.env, bool(config.shell), config.platform)

    def _config(self, reference: str, platform: Platform) -> ImageConfig | None:
        images = self.session.store.images
        try:
            known = self.bases.get((reference, platform))
            image = images.lookup(reference, platform) if known is None else images.by_manifest(known)
            return None if image is None else images.config(image)
        except PybuildError:
            return None
