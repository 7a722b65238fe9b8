"""What a `Choice` takes below a source, as pure questions about paths; asked by both walkers (context and root)."""

from __future__ import annotations

import posixpath

from msgspec import Struct

from builder.lang.patterns import compile_match, compile_tree, compile_trees, has_magic
from builder.layers.copyjob import Choice

_PIVOT = "/./"


class Part(Struct, frozen=True):
    """One pattern of a choice: sources are what `base` names; below each, `include` (empty: all) less `exclude`.

    `required`: it names one path, which must be there.
    """

    base: str
    include: str
    exclude: tuple[str, ...]
    required: bool

    def excluded(self, path: str) -> bool:
        """Whether `path`, relative to the source, is left out."""
        return bool(self.exclude) and compile_trees(self.exclude).match(path) is not None

    def included(self, path: str) -> bool:
        """Whether `path` is named, or lies in a directory that is."""
        return not self.include or compile_tree(self.include).match(path) is not None

    def may_hold(self, directory: str) -> bool:
        """Whether something below `directory` could be included."""
        wanted = self.include.split("/")
        for number, name in enumerate(directory.split("/")):
            if number >= len(wanted):
                return False
            if wanted[number] == "**":
                return True
            if not compile_match(wanted[number]).match(name):
                return False
        return True


def parts(choice: Choice) -> list[Part]:
    """The parts of a choice, in order."""
    exclude = tuple(posixpath.normpath("/" + pattern).lstrip("/") for pattern in choice.exclude)
    if not choice.parents:
        return [Part(pattern, "", exclude, not has_magic(pattern)) for pattern in choice.patterns]
    found = []
    for pattern in choice.patterns:
        base, pivot, below = pattern.partition(_PIVOT)
        if not pivot:
            base, below = "", pattern
        found.append(Part(base, below, exclude, not has_magic(base) and not has_magic(below)))
    return found
