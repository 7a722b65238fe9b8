"""AST to graph: one small function an instruction; nothing here touches the disk.

What a base image's config says comes through the injected `Resolver`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BuildfileError, NotFoundError, PybuildError, suggestion
from builder.graph import filesystem, metadata
from builder.graph.attempts import Attempts
from builder.graph.changes import NO_CHANGES, Changes
from builder.graph.contexts import NO_CONTEXTS, Contexts, ImageContext, LocalContext, Named
from builder.graph.scope import BUILDER_ARGS, EPOCH_ARG, PROXY_ARGS, Scope, parse_epoch, platform_args
from builder.graph.stages import Stage, StageTable, needed, placed, split
from builder.graph.state import COMMENT, DEFAULT_PATH, ENTRY_SIZE, Room, StageState, narrowed
from builder.graph.vertex import (
    BaseImage,
    Copy,
    GitTree,
    Graph,
    Origin,
    Scratch,
    StageTop,
    Target,
    UrlFile,
    Vertex,
    VertexId,
)
from builder.image.config import History, ImageConfig
from builder.image.platform import Platform
from builder.lang import ast
from builder.lang.source import Source
from builder.lang.words import WordError, expand


class Base(Struct, frozen=True):
    """A base image as the resolver found it. `reference` is its full name."""

    reference: str
    manifest: Digest
    config: ImageConfig


class Resolver(Protocol):
    """Finds base images. May be asked for the same image again, and must then say the same."""

    def base(self, reference: str, platform: Platform) -> Base:
        """The image `reference` for `platform`. Raises NotFoundError and what reading it raises."""
        ...


class LowerOptions(Struct, frozen=True):
    """What the caller asks of a lowering; `network` and `attempts` are the build's defaults for RUN.

    `hosts` are more lines of /etc/hosts for every RUN: name and address. `explicit`: the user named the platform, so
    that the image is for it whatever its base says (as BuildKit has it). `changes` are made to what the file says.
    """

    platform: Platform
    build_platform: Platform
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    labels: tuple[tuple[str, str], ...] = ()
    network: str = "default"
    attempts: Attempts = Attempts()
    hosts: tuple[tuple[str, str], ...] = ()
    contexts: Contexts = NO_CONTEXTS
    explicit: bool = False
    changes: Changes = NO_CHANGES


def lower(buildfile: ast.Buildfile, source: Source, options: LowerOptions, resolver: Resolver) -> Graph:
    """The graph of what the target needs, for one platform.

    Raises BuildfileError with the place for all that is wrong in the file, NotFoundError for a
    target that is not there, and what `resolver` raises.
    """
    return _Lowering(buildfile, source, options, resolver).graph()


class _Lowering:
    def __init__(self, buildfile: ast.Buildfile, source: Source, options: LowerOptions, resolver: Resolver) -> None:
        self.source = source
        self.escape = buildfile.escape
        self.options = options
        self.resolver = resolver
        self.table: StageTable = self._overridden(split(buildfile, source))
        self.vertices: dict[Vertex, VertexId] = {}
        self.stages: dict[int, StageState] = {}
        self.declared: set[str] = set()
        self.room = Room()
        self.outer = self._globals()
        self.epoch = self._epoch()

    def _overridden(self, table: StageTable) -> StageTable:
        """`table` with the stages that a named context replaces emptied (nothing in them is looked at), and the names
        of contexts that are stages among its own.
        """
        contexts = self.options.contexts
        for name, stage in contexts.stages.items():
            if stage.lower() not in table.names:
                hint = suggestion(stage, table.names)
                raise NotFoundError(
                    f"--build-context {name}=target:{stage}: the Buildfile has no such stage", hint=hint
                )
            table = replace(table, names={**table.names, name: table.names[stage.lower()]})
        if not contexts.named:
            return table
        stages = (replace(s, instructions=()) if self._replacing(s) else s for s in table.stages)
        return replace(table, stages=tuple(stages))

    def graph(self) -> Graph:
        target = self.table.target(self.options.target)
        for index in sorted(needed(self.table, target, self._base_stage, self.source)):
            self.stage(self.table.stages[index])
        state = self.stages[target.index]
        config = state.finished()
        if self.options.labels:
            config = replace(config, labels=tuple((dict(config.labels) | dict(self.options.labels)).items()))
        if self.options.explicit:
            config = replace(config, platform=self.options.platform)
        config = self.options.changes.of_image(config)
        lines = () if self.options.changes.omit_history else tuple(state.lines)
        made = Target(self.options.platform, state.top, config, tuple(self._chain(target)), lines)
        return Graph(tuple(self.vertices), (made,), self._warnings(), self.epoch, self._skipped())

    def _chain(self, target: Stage) -> Iterator[StageTop]:
        stage: Stage | None = target
        while stage is not None:
            yield StageTop(stage.label, stage.index, self.stages[stage.index].top)
            stage = self._base_stage(stage)

    def _skipped(self) -> tuple[Origin, ...]:
        left = (stage for stage in self.table.stages if stage.index not in self.stages)
        lines = ((stage.label, stage.origin.span.line) for stage in left)
        return tuple(Origin(f"[{name}] {self.source.line(line).strip()}", name, line) for name, line in lines)

    def add(self, vertex: Vertex) -> VertexId:
        """The ID of `vertex`; an equal one is shared."""
        return self.vertices.setdefault(vertex, VertexId(len(self.vertices)))

    def image(self, reference: str, platform: Platform, origin: Origin) -> tuple[VertexId, ImageConfig]:
        """A vertex for an image made elsewhere, and its config."""
        base = self.resolver.base(reference, platform)
        return self.add(BaseImage(base.manifest, base.reference, platform, origin)), base.config

    def stage(self, stage: Stage) -> StageState:
        """The state at the end of `stage`, lowered at its first mention."""
        known = self.stages.get(stage.index)
        if known is not None:
            return known
        state = self._begin(stage)
        state.line = stage.origin.span.line
        triggers: tuple[str, ...] = ()
        if self._replacing(stage) is None:
            triggers = state.config.on_build
            state.set(on_build=())
        namer = filesystem.StepNamer(stage, len(self.table.stages), _steps(stage, triggers))
        for text in triggers:
            self._trigger(text, stage, state, namer)
        for instruction in stage.instructions:
            state.line = instruction.span.line
            self._apply(instruction, stage, state, namer)
        self.stages[stage.index] = state
        return state

    def mount_source(
        self, run: ast.Run, name: str, stage: Stage, origin: Origin, state: StageState
    ) -> tuple[VertexId | None, str]:
        """What `RUN --mount=from=name` shows: a vertex, or None and the name of a build context."""
        if name == "scratch":
            return self.add(Scratch(self.options.platform)), ""
        return self.copy_source(run, name, stage, origin, state)

    def copy_source(
        self, copy: ast.Copy | ast.Run, name: str, stage: Stage, origin: Origin, state: StageState
    ) -> tuple[VertexId | None, str]:
        """What `COPY --from=name` copies out of: a vertex, or None and the name of a build context."""
        if "$" in name:
            raise state.wrong(
                "--from does not expand variables",
                copy.span,
                near=name,
                hint="name a stage after the image: FROM $IMAGE AS files, then COPY --from=files",
            )
        found = placed(self.table, stage, name, copy, state.source)
        named = self.options.contexts.find(name if found is None else found.name)
        if isinstance(named, LocalContext):
            return None, named.name  # only what is named of it is read
        if found is not None:
            return self.stage(found).top, ""
        if isinstance(named, UrlFile | GitTree):
            return self.add(named), ""
        image = name if named is None else named.reference
        if named is not None and image == "scratch":
            return self.add(Scratch(self.options.platform)), ""
        try:
            return self.image(image, self.options.platform, origin)[0], ""
        except PybuildError as error:
            error.hint = self.table.near(name, stage.index) or error.hint
            raise error.at(state.source.where(narrowed(state.source, copy.span, name))) from error

    # --- one stage -----------------------------------------------------------------------------

    def _begin(self, stage: Stage) -> StageState:
        image, platform = self._base(stage)
        parent = self.table.find(image, stage.index)
        named = self._replacing(stage)
        if parent is not None and named is None:
            return self.stage(parent).child()
        named = named or self.options.contexts.find(image)
        if isinstance(named, ImageContext):
            image = named.reference
        scope, line = Scope(self.options.build_args, self.outer), stage.origin.span.line
        origin = Origin(f"FROM {image}", stage.label, line)
        config = ImageConfig(platform=platform, working_dir="/")
        history: list[History] = []
        lines: list[int] = []
        if named is not None and not isinstance(named, ImageContext):
            top = self._context_files(named, platform, origin)
            history.append(History(created_by=f"FROM {image}", comment=COMMENT))
            lines.append(line)
        elif image == "scratch":
            top = self.add(Scratch(platform))
        else:
            try:
                top, config = self.image(image, platform, origin)
            except PybuildError as error:
                span = narrowed(self.source, stage.origin.span, stage.origin.image)
                error.hint = self.table.near(image, stage.index) or error.hint
                raise error.at(self.source.where(span)) from error
        config = self.options.changes.of_base(config)
        scope.set((*config.env, *self.options.changes.env))
        if "PATH" not in scope.env:
            scope.set([("PATH", DEFAULT_PATH)])
        return StageState(
            self.source, self.escape, top, config, scope, history, lines=lines, epoch=self.epoch, room=self.room
        )

    def _replacing(self, stage: Stage) -> Named | None:
        """The named context that stands in for all of `stage`."""
        return self.options.contexts.find(stage.name) if stage.name else None

    def _context_files(self, named: LocalContext | UrlFile | GitTree, platform: Platform, origin: Origin) -> VertexId:
        """All files of a named context, as a base."""
        if not isinstance(named, LocalContext):
            return self.add(named)
        below = self.add(Scratch(platform))
        return self.add(Copy(below, None, ("",), "/", context=named.name, origin=origin))

    def _base_stage(self, stage: Stage) -> Stage | None:
        if self._replacing(stage) is not None:
            return None
        return self.table.find(self._base(stage)[0], stage.index)

    def _base(self, stage: Stage) -> tuple[str, Platform]:
        origin = stage.origin
        image = (not stage.index and self.options.changes.base) or self._global_word(origin.image, origin)
        if not image:
            raise BuildfileError(
                f"FROM {origin.image} is empty once its variables are filled in",
                where=self.source.where(narrowed(self.source, origin.span, origin.image)),
                hint="give the ARG a default before the first FROM, or pass --build-arg",
            )
        if origin.platform is None:
            return image, self.options.platform
        wanted = self._global_word(origin.platform, origin)
        try:
            return image, Platform.parse(wanted)
        except PybuildError as error:
            span = narrowed(self.source, origin.span, origin.platform)
            raise BuildfileError(error.message, where=self.source.where(span), hint=error.hint) from error

    def _global_word(self, text: str, origin: ast.From) -> str:
        try:
            return expand(text, self.outer, escape=self.escape)
        except WordError as error:
            where = self.source.where(narrowed(self.source, origin.span, text))
            raise BuildfileError(error.message, where=where, hint=error.hint) from error

    def _trigger(self, text: str, stage: Stage, state: StageState, namer: filesystem.StepNamer) -> None:
        # lazy: the parser (lark, 40 ms) is needed only for the rare base with triggers
        from builder.lang.parser import parse_instruction

        name = f"ONBUILD of {stage.origin.image}"
        instruction = parse_instruction(text, name)
        own, state.source = state.source, Source(name, text)
        try:
            self._apply(instruction, stage, state, namer)
        finally:
            state.source = own

    def _apply(
        self,
        instruction: ast.AnyInstruction,
        stage: Stage,
        state: StageState,
        namer: filesystem.StepNamer,
    ) -> None:
        if isinstance(instruction, ast.Arg):
            self.declared.update(pair.key for pair in instruction.pairs)
        state.take(0, instruction.span)
        if metadata.apply(instruction, state):
            return
        vertex: Vertex
        match instruction:
            case ast.Run() as run:
                origin = filesystem.origin_of(run, state, namer)
                vertex, shown = filesystem.run(
                    run,
                    state,
                    origin,
                    self.options.network,
                    self.options.attempts,
                    self.options.hosts,
                    lambda name: self.mount_source(run, name, stage, origin, state),
                )
                vertex = self.options.changes.of_run(vertex)
                state.take(ENTRY_SIZE * len(vertex.env), run.span)
            case ast.Copy():
                origin = filesystem.origin_of(instruction, state, namer)
                from_: tuple[VertexId | None, str] = (None, "")
                if instruction.from_ is not None:
                    from_ = self.copy_source(instruction, instruction.from_, stage, origin, state)
                vertex, shown = filesystem.copy(instruction, from_, state, origin)
            case ast.Add():
                origin = filesystem.origin_of(instruction, state, namer)
                vertex, shown = filesystem.add(instruction, state, origin, self.add)
            case ast.Workdir():
                made, shown = filesystem.workdir(instruction, state, namer)
                if made is None:
                    state.record(shown)
                    return
                vertex = made
            case _:
                raise state.wrong("FROM cannot stand here", instruction.span)
        state.top = self.add(vertex)
        state.record(shown, layer=True)

    # --- the lines before the first FROM -------------------------------------------------------

    def _globals(self) -> dict[str, str]:
        options = self.options
        automatic = platform_args(
            options.platform, options.build_platform, options.target or self.table.stages[-1].name
        )
        scope = Scope(options.build_args, automatic)
        for name in automatic:
            scope.declare(name, None)
        for instruction in self.table.globals:
            for pair in instruction.pairs:
                self.declared.add(pair.key)
                try:
                    default = None if pair.value is None else expand(pair.value, scope.visible, escape=self.escape)
                except WordError as error:
                    span = narrowed(self.source, instruction.span, pair.value)
                    raise BuildfileError(error.message, where=self.source.where(span), hint=error.hint) from error
                scope.declare(pair.key, default)
        return scope.visible

    def _epoch(self) -> int | None:
        """SOURCE_DATE_EPOCH: given, or a global ARG (reproducible-builds.org's specification)."""
        text = self.options.build_args.get(EPOCH_ARG, self.outer.get(EPOCH_ARG, ""))
        return parse_epoch(text) if text else None

    def _warnings(self) -> tuple[tuple[str, str], ...]:
        unused = set(self.options.build_args) - self.declared - PROXY_ARGS - BUILDER_ARGS
        unused -= set(platform_args(self.options.platform, self.options.build_platform, ""))
        if not unused:
            return ()
        return ((f"no ARG takes these build arguments: {', '.join(sorted(unused))}", ""),)


def _steps(stage: Stage, triggers: tuple[str, ...]) -> int:
    """How many numbered steps a stage has: FROM and whatever makes a layer."""
    kinds = (ast.Run, ast.Copy, ast.Add, ast.Workdir)
    makers = sum(isinstance(i, kinds) for i in stage.instructions)
    words = ("RUN", "COPY", "ADD", "WORKDIR")
    return 1 + makers + sum(text.split(maxsplit=1)[0].upper() in words for text in triggers if text.strip())
