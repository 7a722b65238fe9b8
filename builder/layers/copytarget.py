"""`Target`: what a copy goes into, and `Source`: what it is made from. COPY's rules (copyop.py) know no more of either.

A target is a root in which all is made at once (copyroot.py), or a plan of the layer that it would be (copyplan.py).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from builder.errors import BuildfileError
from builder.layers.copyjob import ContextEntry
from builder.layers.entry import Entry


class Source(Struct, frozen=True, gc=False):
    """The file `entry` of a build context or a stage, which lies at `path`; `content` in place of both: a heredoc's."""

    entry: ContextEntry | None = None
    path: str = ""
    content: bytes = b""


class Target(Protocol):
    """A root directory to copy into. Paths of entries are below it, without links on the way; IDs are root's."""

    def resolved(self, path: str) -> str:
        """`path` with the links on its way followed, inside the root."""
        ...

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory at `path`, which was resolved."""
        ...

    def make_parents(self, path: str, owner: tuple[int, int]) -> None:
        """Make the directory `path`, which was resolved, and what is missing above it, 0755, owned by `owner`.

        Raises BuildfileError where something else is in the way.
        """
        ...

    def directory(self, path: str) -> AbstractContextManager[str]:
        """Gives, once entered, where the directory `path` lies, to unpack an archive into; it is there then."""
        ...

    def put(self, entry: Entry, source: Source | None = None, *, parent: bool = False) -> None:
        """Make `entry`, a file of what `source` holds; its directory is there. Times are exact to the nanosecond.

        A directory that is there already gets its mode, owner, attributes and time; with `parent` its time alone. Any
        other thing is replaced, but for directories: raises BuildfileError.
        """
        ...

    def settle(self, directories: list[Entry]) -> None:
        """All that goes into these directories was put there: their times stay."""
        ...


def no_directory(path: str, part: str) -> BuildfileError:
    """That a file is where a parent directory must be."""
    return BuildfileError(f"/{path} cannot be a directory: {part} is a file")


def not_over(target: str) -> BuildfileError:
    """That a file is where a directory is copied to."""
    return BuildfileError(f"cannot copy directory {target} over what is no directory there")


def not_replaced(name: str) -> BuildfileError:
    """That a directory is where a file is copied to."""
    return BuildfileError(f"cannot replace the directory {name} by a file")
