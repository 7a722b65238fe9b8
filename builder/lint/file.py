"""What a rule is given and what it gives back: `File`, `Hit`, `Rule`. Not here: the rules, and which of them count."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from builder.graph.walk import Entry, Line, Walk
from builder.lang import ast
from builder.lang.ignore import Ignore


class File(Struct, frozen=True):
    """A Buildfile under the rules.

    `reached` are the stages of the target: rules about what an instruction does leave the others alone, as in
    BuildKit. `ignore` are the rules of the build context's ignore file, `expected` is the platform of the build.
    """

    tree: ast.Buildfile
    walk: Walk
    reached: frozenset[int]
    ignore: Ignore
    expected: str

    def lines(self) -> Iterator[Line]:
        """The instructions of the stages that are reached."""
        return (line for line in self.walk.lines if line.stage.index in self.reached)

    def entries(self) -> Iterator[Entry]:
        """The FROM lines of the stages that are reached."""
        return (entry for entry in self.walk.entries if entry.stage.index in self.reached)

    def staged(self) -> Iterator[ast.AnyInstruction]:
        """All instructions but the ARGs before the first FROM."""
        for entry in self.walk.entries:
            yield entry.stage.origin
            yield from entry.stage.instructions


class Hit(Struct, frozen=True):
    """A place that breaks a rule. `line` is the line where it is not the whole instruction.

    `cause` is another instruction that makes it one; a comment above that one excuses it too.
    """

    instruction: ast.AnyInstruction
    message: str
    line: int = 0
    cause: ast.AnyInstruction | None = None


class Rule(Struct, frozen=True):
    """One rule: what it asks for, in a sentence, and what finds the places that break it."""

    name: str
    sentence: str
    check: Callable[[File], Iterator[Hit]]
    experimental: bool = False

    @property
    def url(self) -> str:
        """The page of the rule in Docker's manual, whose rules these are."""
        slug = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.name).lower()
        return f"https://docs.docker.com/go/dockerfile/rule/{slug}/"
