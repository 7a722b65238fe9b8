"""Every error a user can meet, in one tree. Not here: how an error is drawn (cli/main.py).

    PybuildError            1   anything below, and what has no class of its own
    ├── StepFailedError     1   a command of the Buildfile ended with a status other than 0
    ├── UsageError          2   a flag or an argument that cannot be meant so
    ├── BuildfileError      3   the Buildfile (or an ignore file) is wrong; always with a place
    ├── NotFoundError       4   an image, file, stage or key that is asked for is not there
    ├── BadInputError       5   a tar, archive, manifest or blob that must not be trusted
    ├── StoreError          6   the store: full, read-only, locked
    │   └── DamagedError    6   the store's database does not make sense, or is gone
    ├── HostError           7   this machine or kernel does not allow what is needed
    ├── RegistryError       8   a registry or URL refused, broke off or answered nonsense
    └── CanceledError     130   the user interrupted

The figure is the exit code of the program. `pybuild run` is the exception: as in Docker it
ends with the status of the container's command, and with 125 when pybuild itself fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from msgspec import Struct
from msgspec.structs import replace


class Where(Struct, frozen=True):
    """A place in a file a user wrote. Lines and columns count from 1; column 0 = whole line."""

    path: str
    line: int
    column: int = 0
    source: str = ""
    width: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.column else f"{self.path}:{self.line}"


class PybuildError(Exception):
    """What happened, where, and what to do next.

    `message` is one sentence without a final stop; `where` the place in the user's file;
    `hint` what to do about it. Errors are values: they travel between processes unchanged.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, where: Where | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, dict(self.__dict__))

    def at(self, where: Where) -> Self:
        """Set the place unless a deeper layer, which knew better, has set one; returns self."""
        if self.where is None:
            self.where = where
        elif not self.where.source and self.where.path == where.path and self.where.line == where.line:
            self.where = replace(self.where, source=where.source)
        return self


def _rebuild(cls: type[PybuildError], message: str, state: dict[str, Any]) -> PybuildError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


# How much alike words must be, of 1: as difflib has it; where there is little to choose from; and where more is.
ALIKE, LOOSELY, CLOSELY = 0.6, 0.5, 0.8


def alike(word: str, known: Iterable[str], least: float = ALIKE) -> str | None:
    """The one of `known` that `word` is most like, by `difflib`'s ratio; None where none is like it by `least`."""
    # lazy: only an error needs it
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), 1, least)), None)


def suggestion(word: str, known: Iterable[str], otherwise: str | None = None, least: float = LOOSELY) -> str:
    """A hint for a misspelt word: the nearest known one; else `otherwise`, or all of them."""
    words = list(known)
    close = alike(word, words, least)
    return f"did you mean {close}?" if close else otherwise or f"there are {', '.join(words)}"


class StepFailedError(PybuildError):
    """A step's command ended badly. `status` is its exit status (128+n when signal n killed it).

    `kept` is the ID its files are kept by, empty when they are not. `log` are the last lines it printed, all of which
    are in the file `output`, if it has printed any.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        log: tuple[str, ...] = (),
        kept: str = "",
        output: str = "",
        where: Where | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.status = status
        self.kept = kept
        self.log = log
        self.output = output


class UsageError(PybuildError):
    """A flag or argument cannot be meant so."""

    exit_code = 2


class BuildfileError(PybuildError):
    """The Buildfile, or an ignore file, says something it must not."""

    exit_code = 3


class NotFoundError(PybuildError):
    """Something named does not exist."""

    exit_code = 4


class BadInputError(PybuildError):
    """Bytes from outside that are broken or hostile."""

    exit_code = 5


class StoreError(PybuildError):
    """The store cannot do it."""

    exit_code = 6


class DamagedError(StoreError):
    """What the store is read by is damaged; `pybuild cache verify --repair` mends it."""


class HostError(PybuildError):
    """This machine does not allow what is needed."""

    exit_code = 7


class RegistryError(PybuildError):
    """A registry or a URL did not give what was asked for.

    `refused`: it was reached, and says that one may not have it. Many say so of what they do not have.
    """

    exit_code = 8

    def __init__(
        self, message: str, *, refused: bool = False, where: Where | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.refused = refused


class CanceledError(PybuildError):
    """Stopped because the user, or a sibling's failure, said so."""

    exit_code = 130
