"""How work is to be shown, and where to."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import TextIO

from msgspec import Struct

KINDS = ("auto", "tty", "plain", "quiet", "none", "rawjson")
FOLDS = ("auto", "github", "gitlab", "none")


class Look(Struct, frozen=True):
    """How work is shown: `kind` is one of KINDS; in lines with which of FOLDS, and whether with the time of each.

    `none` draws what `quiet` does; they differ for who tells of the result. `color`: steps keep theirs.
    """

    kind: str = "auto"
    folds: str = "none"
    timestamps: bool = False
    color: bool = True

    @property
    def lasts(self) -> bool:
        """Whether the same events look the same at any time."""
        return self.kind != "rawjson" and not self.timestamps


# Gives all that a step has printed, line by line.
Whole = Callable[[], Sequence[str]]


class Screen:
    """Where it is drawn: `out`, until that is gone. A terminal that has hung up is no reason to end what goes on."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._gone = out, False

    def write(self, text: str) -> None:
        """Write at once. Raises OSError, BrokenPipeError where nobody reads it any more."""
        if self._gone:
            return
        try:
            self._out.write(text)
            self._out.flush()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._gone = True
