"""Questions about a Buildfile without building it: checks, outline, targets; and the warnings of a build.

Nothing is pulled for them: a base image that is not in the store is one of which nothing is known.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.api.session import Session, platform_of
from builder.digest import Digest
from builder.errors import PybuildError
from builder.events import Warned
from builder.graph.lower import Base, LowerOptions, lower
from builder.graph.stages import StageTable, needed, split
from builder.graph.vertex import BaseImage, Graph
from builder.image.config import ImageConfig
from builder.image.platform import Platform, host
from builder.lang import ast, grammar
from builder.lang.ignore import Ignore
from builder.lang.source import Source
from builder.request import BuildRequest
from builder.sources import buildfile

if TYPE_CHECKING:
    from builder.graph.walk import Ground, Walk
    from builder.lint.outline import Outline, Targets
    from builder.lint.run import Finding

# Raised when the same file gets other findings: remembered ones are forgotten then.
_VERSION = 1
CHECK_ARG = "BUILDKIT_DOCKERFILE_CHECK"


class Report(Struct, frozen=True):
    """What a check found. `error` is what would stop a build of the file, as far as one sees without its bases."""

    source: Source
    findings: tuple[Finding, ...]
    error: PybuildError | None


def check(session: Session, request: BuildRequest) -> Report:
    """Apply the rules to a Buildfile: to all stages, or to what --target needs."""
    source = _source(request)
    try:
        asked = _Question(session, request, source, buildfile.parsed(source, session.store.memo))
        found, failure = asked.findings()
    except PybuildError as error:
        return Report(source, (), error)
    return Report(source, found, failure or asked.obstacle())


def outline(session: Session, request: BuildRequest) -> Outline:
    """What a target takes: arguments, secrets, SSH agents, cache mounts."""
    # lazy: only --call=outline
    from builder.lint.outline import outline as outline_of

    source = _source(request)
    asked = _Question(session, request, source, buildfile.parsed(source, session.store.memo))
    target = asked.table.target(request.target)
    return outline_of(target, asked.needed(target.index), asked.walk, source)


def targets(session: Session, request: BuildRequest) -> Targets:
    """The stages of a Buildfile."""
    # lazy: only --call=targets
    from builder.lint.outline import targets as targets_of

    source = _source(request)
    return targets_of(split(buildfile.parsed(source, session.store.memo), source), source)


def warn(session: Session, request: BuildRequest, source: Source, tree: ast.Buildfile, graph: Graph) -> None:
    """Emit what the rules find in a file that is built. Raises BuildfileError where it says `# check=error=true`.

    What was found is remembered by all it depends on, so that a cached build need not look again.
    """
    memo, key = session.store.memo, _key(request, source, graph)
    known = memo.get("lint", key)
    if known is None:
        asked = _Question(session, replace(request, target=request.target or _last(tree)), source, tree)
        found, error = asked.findings()
        warnings = [(f"{f.rule}: {f.message}", f"{source.name}:{f.line}") for f in found]
        if error is None:
            memo.put("lint", key, msgspec.msgpack.encode(warnings))
    else:
        warnings, error = msgspec.msgpack.decode(known, type=list[tuple[str, str]]), None
    for message, place in warnings:
        session.emit(Warned(message, place))
    if error is not None:
        raise error


def _last(tree: ast.Buildfile) -> str:
    """The number of the last stage."""
    return str(sum(isinstance(instruction, ast.From) for instruction in tree.instructions) - 1)


def _key(request: BuildRequest, source: Source, graph: Graph) -> str:
    images = [(v.reference, str(v.manifest)) for v in graph.vertices if isinstance(v, BaseImage)]
    ignored = [(rule.pattern, rule.negated) for rule in _ignore(request).rules]
    arguments = sorted(request.build_args.items())
    asked = (request.target, request.platform, arguments, sorted(request.contexts), ignored, images)
    parts = (_VERSION, grammar.digest(), source.name, source.text, asked)
    return Digest.of(repr(parts).encode(errors="surrogateescape")).hex


def _source(request: BuildRequest) -> Source:
    return buildfile.read(buildfile.find(request.context, request.file))


def _ignore(request: BuildRequest) -> Ignore:
    if not Path(request.context).is_dir():
        return Ignore()
    return buildfile.ignore_rules(request.context, request.file or buildfile.find(request.context, None))


class _Question:
    """A file that is asked about: its stages, walked through once."""

    def __init__(self, session: Session, request: BuildRequest, source: Source, tree: ast.Buildfile) -> None:
        # lazy: a cached build remembers its warnings
        from builder.graph.walk import walk

        self.session, self.request, self.source, self.tree = session, request, source, tree
        self.options = LowerOptions(
            platform=platform_of(request.platform),
            build_platform=host(),
            target=request.target,
            build_args=request.build_args,
        )
        self.table: StageTable = split(tree, source)
        self.walk: Walk = walk(self.table, tree.escape, self.options, self._ground)

    def findings(self) -> tuple[tuple[Finding, ...], PybuildError | None]:
        """What the rules find, and the error that it is where the file says so."""
        # lazy: as above
        from builder.lint.file import File
        from builder.lint.run import failure, findings, options_of

        options = options_of(self.tree, self.source, self.request.build_args.get(CHECK_ARG))
        file = File(self.tree, self.walk, self._reached(), _ignore(self.request), str(self.options.platform))
        found = findings(file, options)
        return found, failure(found, self.source) if found and options.error else None

    def obstacle(self) -> PybuildError | None:
        """What stops a build: the first error in lowering the stages that are asked about."""
        todo = set(self._reached())
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
        config = self._config(reference) or ImageConfig(platform)
        return Base(reference, Digest.of(reference.encode()), config)

    def _reached(self) -> frozenset[int]:
        if not self.request.target:
            return frozenset(range(len(self.table.stages)))
        try:
            return self.needed(self.table.target(self.request.target).index)
        except PybuildError:
            return frozenset(range(len(self.table.stages)))

    def _ground(self, reference: str, platform: str) -> Ground:
        # lazy: as above
        from builder.graph.walk import Ground

        config = self._config(reference)
        if config is None:
            return Ground(known=False)
        return Ground(config.env, bool(config.shell), config.platform)

    def _config(self, reference: str) -> ImageConfig | None:
        images = self.session.store.images
        if reference in self.request.contexts:
            return None
        try:
            image = images.lookup(reference)
            return None if image is None else images.config(image)
        except PybuildError:
            return None
