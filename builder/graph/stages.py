"""The stage table: where stages begin, what they are called, which of them a target needs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct

from builder.errors import BuildfileError, NotFoundError, UsageError, alike, suggestion
from builder.lang import ast
from builder.lang.source import Source


class Stage(Struct, frozen=True):
    """One FROM and what follows it. `name` is lower case, empty when the stage has none."""

    index: int
    origin: ast.From
    name: str
    instructions: tuple[ast.AnyInstruction, ...]

    @property
    def label(self) -> str:
        """The name in messages: its own, or `stage-<index>` as BuildKit says."""
        return self.name or f"stage-{self.index}"


class StageTable(Struct, frozen=True):
    """All stages in order, and the ARG lines before the first. `names` has the indexes of the stages of one name."""

    globals: tuple[ast.Arg, ...]
    stages: tuple[Stage, ...]
    names: dict[str, list[int]]

    def find(self, name: str, before: int) -> Stage | None:
        """The stage called `name` (without case) that stands before stage `before`; the last wins."""
        indexes = self.names.get(name.lower(), [])
        at = bisect_left(indexes, before)
        return self.stages[indexes[at - 1]] if at else None

    def near(self, name: str, before: int) -> str:
        """What to say where no image is called `name`, but a stage before `before` nearly is; empty for none."""
        known = [stage.name for stage in self.stages[:before] if stage.name]
        close = alike(name.lower(), known, 0.7)
        return f"did you mean the stage {close}?" if close else ""

    def target(self, name: str | None) -> Stage:
        """The stage --target means: a name, a number, or the last one. Raises NotFoundError."""
        if not name:
            return self.stages[-1]
        found = self.find(name, len(self.stages))
        if found is None and name.isascii() and name.isdigit() and int(name[:19]) < len(self.stages):
            found = self.stages[int(name)]
        if found is None:
            names = [s.name for s in self.stages if s.name]
            known = ", ".join(names) or "none has a name"
            raise NotFoundError(
                f"target stage {name!r} is not in the Buildfile", hint=suggestion(name, names, f"its stages: {known}")
            )
        return found

    def copy_source(self, name: str, user: Stage) -> Stage | None:
        """The stage `COPY --from=name` in `user` means; None when it names an image.

        Raises UsageError for a number or name that is not an earlier stage.
        """
        # A number that is none for Go's Atoi is the name of an image.
        if name.isascii() and name.isdigit() and len(name) < 19:
            index = int(name)
            if index >= user.index:
                raise UsageError(f"--from={name}: stage {name} does not come before this one")
            return self.stages[index]
        found = self.find(name, user.index)
        if found is None and self.find(name, len(self.stages)) is not None:
            raise UsageError(f"--from={name}: stage {name!r} does not come before this one")
        return found


def split(buildfile: ast.Buildfile, source: Source) -> StageTable:
    """Cut a file into stages. Raises BuildfileError with the place."""
    globals_: list[ast.Arg] = []
    stages: list[tuple[ast.From, list[ast.AnyInstruction]]] = []
    for instruction in buildfile.instructions:
        if isinstance(instruction, ast.From):
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif isinstance(instruction, ast.Arg):
            globals_.append(instruction)
        else:
            raise BuildfileError(
                "no build stage here yet: only ARG may stand before the first FROM",
                where=source.where(instruction.span),
                hint="begin the file with FROM, for example FROM scratch",
            )
    if not stages:
        raise BuildfileError(
            f"{source.name} has no FROM, so there is nothing to build",
            where=source.where(globals_[-1].span),
            hint="begin the file with FROM, for example FROM scratch",
        )
    names: dict[str, list[int]] = {}
    table = StageTable(
        tuple(globals_),
        tuple(Stage(i, f, (f.name or "").lower(), tuple(body)) for i, (f, body) in enumerate(stages)),
        names,
    )
    for stage in table.stages:
        if stage.name:
            names.setdefault(stage.name, []).append(stage.index)
    return table


def needed(
    table: StageTable, target: Stage, base_of: Callable[[Stage], Stage | None], source: Source
) -> frozenset[int]:
    """Indexes of the stages `target` needs, itself among them.

    `base_of` names the stage a stage is built FROM (None: an image). Stages that only an ONBUILD
    trigger of a base image names are not known here; the lowering adds them as it meets them.
    """
    wanted: set[int] = set()
    todo = [target]
    while todo:
        stage = todo.pop()
        if stage.index in wanted:
            continue
        wanted.add(stage.index)
        base = base_of(stage)
        if base is not None:
            todo.append(base)
        for instruction in stage.instructions:
            for name in _taken_from(instruction):
                found = placed(table, stage, name, instruction, source)
                if found is not None:
                    todo.append(found)
    return frozenset(wanted)


def _taken_from(instruction: ast.AnyInstruction) -> list[str]:
    """The names an instruction takes files from. A mount that cannot be read has none: lowering says what is wrong."""
    if isinstance(instruction, ast.Copy) and instruction.from_:
        return [instruction.from_]
    if isinstance(instruction, ast.Run) and instruction.mounts:
        # lazy: few RUNs have mounts
        from builder.lang.mounts import MountError, origin_of

        names = []
        for text in instruction.mounts:
            with suppress(MountError):
                names.append(origin_of(text))
        return [name for name in names if name]
    return []


def placed(table: StageTable, stage: Stage, name: str, instruction: ast.AnyInstruction, source: Source) -> Stage | None:
    """`copy_source` of the name an instruction of `stage` takes files from, its errors bearing the place."""
    try:
        return table.copy_source(name, stage)
    except UsageError as error:
        raise BuildfileError(error.message, where=source.where(instruction.span), hint=error.hint) from error
