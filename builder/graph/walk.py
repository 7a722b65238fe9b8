"""What each instruction of a file sees of its variables, all stages, without lowering them: for linting and outlines.

Nothing is looked up here and nothing fails: what a base image brings comes in as `Ground`, and a word that cannot
be read stays as it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from msgspec import Struct

from builder.graph.lower import LowerOptions
from builder.graph.scope import Scope, platform_args
from builder.graph.stages import Stage, StageTable
from builder.graph.state import DEFAULT_PATH
from builder.image.platform import Platform
from builder.lang import ast, mounts
from builder.lang.lookups import Lookups, nearest
from builder.lang.mounts import MountError, MountText
from builder.lang.words import WordError, expand, expand_heredoc

# A file with more unknown names than this is not written by hand: guessing at them all would take long.
_MOST_GUESSES = 100


class Ground(Struct, frozen=True):
    """What is known of the image a stage stands on; `platform` None for scratch. Nothing when `known` is False."""

    env: tuple[tuple[str, str], ...] = ()
    shell: bool = False
    platform: Platform | None = None
    known: bool = True


# The ground under a stage FROM an image: its name, and the platform asked for.
GroundOf = Callable[[str, str], Ground]


class Unset(Struct, frozen=True):
    """A name that nothing sets, and the known one it may be misspelt for."""

    name: str
    near: str


class Word(Struct, frozen=True):
    """A word with its variables filled in, the names it used, and those that nothing sets."""

    text: str
    used: tuple[str, ...] = ()
    unset: tuple[Unset, ...] = ()


class Argument(Struct, frozen=True):
    """One name of an ARG before the first FROM: its value, and the names its default used."""

    instruction: ast.Arg
    name: str
    value: str | None
    used: tuple[str, ...] = ()


class Entry(Struct, frozen=True):
    """The FROM of a stage. `parent` is the stage below, `fallback` its image with the defaults of all ARGs."""

    stage: Stage
    image: Word
    platform: Word | None
    fallback: str | None
    parent: Stage | None
    ground: Ground


class Line(Struct, frozen=True):
    """One instruction of a stage.

    `words` are what rules look at, variables filled in: the path of WORKDIR, the names of ENV and ARG, the ports of
    EXPOSE, the sources of COPY and ADD. `values` are those of an ARG's names, `mounts` those of a RUN. `unset` are the
    names it uses that nothing sets or declares. `shell` says whether a SHELL is in effect, `known` whether all of the
    environment is known.
    """

    stage: Stage
    instruction: ast.AnyInstruction
    words: tuple[str, ...]
    values: tuple[str | None, ...]
    unset: tuple[Unset, ...]
    shell: bool
    known: bool
    mounts: tuple[MountText, ...] = ()


class Walk(Struct, frozen=True):
    """All of a file. `outer` has the `arguments` before the first FROM, and the predefined ones."""

    outer: Scope
    arguments: tuple[Argument, ...]
    entries: tuple[Entry, ...]
    lines: tuple[Line, ...]


def walk(table: StageTable, escape: str, options: LowerOptions, ground_of: GroundOf) -> Walk:
    """Walk through all stages in order."""
    return _Walker(table, escape, options, ground_of).walk()


class _State(Struct):
    scope: Scope
    shell: bool
    known: bool


class _Walker:
    def __init__(self, table: StageTable, escape: str, options: LowerOptions, ground_of: GroundOf) -> None:
        self.table, self.escape, self.options, self.ground_of = table, escape, options, ground_of
        self.states: dict[int, _State] = {}
        self.guesses = 0
        self.outer, self.arguments = self._globals(options.build_args)
        self.defaults, _ = self._globals({})

    def walk(self) -> Walk:
        entries, lines = [], []
        for stage in self.table.stages:
            entry = self._enter(stage)
            entries.append(entry)
            state = self.states[stage.index]
            lines += [self._line(stage, instruction, state) for instruction in stage.instructions]
        return Walk(self.outer, self.arguments, tuple(entries), tuple(lines))

    def _globals(self, given: Mapping[str, str]) -> tuple[Scope, tuple[Argument, ...]]:
        options = self.options
        automatic = platform_args(options.platform, options.build_platform, options.target)
        scope = Scope(given, automatic)
        for name in automatic:
            scope.declare(name, None)
        found = []
        for instruction in self.table.globals:
            for name, default in ((pair.key, pair.value) for pair in instruction.pairs):
                word = Word("") if default is None or name in given else self._word(default, scope)
                value = scope.declare(name, None if default is None else word.text)
                found.append(Argument(instruction, name, value, word.used))
        return scope, tuple(found)

    def _enter(self, stage: Stage) -> Entry:
        origin = stage.origin
        image = self._word(origin.image, self.outer)
        platform = None if origin.platform is None else self._word(origin.platform, self.outer)
        fallback = self._expanded(origin.image, self.defaults.visible)
        parent = self.table.find(image.text, stage.index)
        if parent is not None:
            below, ground = self.states[parent.index], Ground()
            state = _State(below.scope.child(), below.shell, below.known)
        else:
            ground = self._ground(stage, image.text, platform.text if platform else "")
            state = _State(Scope(self.options.build_args, self.outer.visible), ground.shell, ground.known)
            state.scope.set([("PATH", DEFAULT_PATH), *ground.env])
        self.states[stage.index] = state
        return Entry(stage, image, platform, fallback, parent, ground)

    def _ground(self, stage: Stage, image: str, platform: str) -> Ground:
        contexts = self.options.contexts
        if contexts.find(image) or (stage.name and contexts.find(stage.name)):
            return Ground(known=False)
        return Ground() if image == "scratch" else self.ground_of(image, platform)

    def _line(self, stage: Stage, instruction: ast.AnyInstruction, state: _State) -> Line:
        scope = state.scope
        seen = Lookups(scope.visible, lambda name: self._guess(name, scope.visible))
        words = self._words(instruction, scope, seen)
        shown = self._mounts(instruction, seen) if isinstance(instruction, ast.Run) else ()
        if isinstance(instruction, ast.Shell):
            state.shell = True
        values = tuple(map(scope.args.get, words)) if isinstance(instruction, ast.Arg) else ()
        unset = tuple(Unset(name, near) for name, near in seen.unset.items() if name not in scope.args)
        return Line(stage, instruction, words, values, unset, state.shell, state.known, shown)

    def _words(self, instruction: ast.AnyInstruction, scope: Scope, seen: Lookups) -> tuple[str, ...]:
        def read(*texts: str | None) -> tuple[str, ...]:
            return tuple(self._read(text, seen) for text in texts if text is not None)

        match instruction:
            case ast.Env():
                # All pairs see what was before the instruction.
                pairs = [read(pair.key, pair.value or "") for pair in instruction.pairs]
                scope.set((key, value) for key, value in pairs)
                return tuple(key for key, _ in pairs)
            case ast.Arg():
                for pair in instruction.pairs:
                    given = pair.key in scope.given or pair.value is None
                    scope.declare(pair.key, None if given else self._read(pair.value or "", seen))
                return tuple(pair.key for pair in instruction.pairs)
            case ast.Label():
                return read(*(text for pair in instruction.pairs for text in (pair.key, pair.value)))
            case ast.Copy() | ast.Add():
                checksum = instruction.checksum if isinstance(instruction, ast.Add) else None
                read(instruction.destination, instruction.chown, instruction.chmod, checksum, *instruction.exclude)
                for heredoc in instruction.heredocs:
                    if heredoc.expand:
                        with suppress(WordError):
                            expand_heredoc(heredoc.body, seen)
                return read(*instruction.sources)
            case ast.Expose():
                # Not among the names used: as in BuildKit, a port that is empty is an error of its own.
                return tuple(self._read(port, scope.visible) for port in instruction.ports)
            case ast.Workdir():
                return read(instruction.path)
            case ast.User():
                return read(instruction.user)
            case ast.Volume():
                return read(*instruction.paths)
            case ast.StopSignal():
                return read(instruction.signal)
            case _:
                return ()

    def _mounts(self, instruction: ast.Run, seen: Lookups) -> tuple[MountText, ...]:
        found = []
        for text in instruction.mounts:
            with suppress(MountError):
                found.append(mounts.parse(text, lambda value: self._read(value, seen)))
        return tuple(found)

    def _word(self, text: str, scope: Scope) -> Word:
        """A word of the lines that see the arguments before the first FROM."""
        seen = Lookups(scope.visible, lambda name: self._guess(name, scope.args))
        found = self._read(text, seen)
        return Word(found, tuple(seen.used), tuple(Unset(*pair) for pair in seen.unset.items()))

    def _guess(self, name: str, known: Iterable[str]) -> str:
        self.guesses += 1
        return nearest(name, known) if self.guesses <= _MOST_GUESSES else ""

    def _read(self, text: str, values: Mapping[str, str]) -> str:
        found = self._expanded(text, values)
        return text if found is None else found

    def _expanded(self, text: str, values: Mapping[str, str]) -> str | None:
        try:
            return expand(text, values, escape=self.escape)
        except WordError:
            return None
