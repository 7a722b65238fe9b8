"""What the two sides of `cp` mean, and where its files go: docker cp's rules, without touching any file."""

from __future__ import annotations

import posixpath
from enum import Enum

from msgspec import Struct

from builder.errors import UsageError


class Side(Struct, frozen=True):
    """SRC or DEST of a copy. `path` is absolute and clean; `container` empty for this machine.

    `directory`: it ends with a slash or is called `.`, and so must be a directory; `content`: what lies in it is
    meant, as by `dir/.`. `stream` is `-`, an archive on standard input or output.
    """

    container: str = ""
    path: str = "/"
    directory: bool = False
    content: bool = False
    stream: bool = False

    @property
    def name(self) -> str:
        """Its last part; empty for a root."""
        return posixpath.basename(self.path)

    @property
    def shown(self) -> str:
        """As a user writes it."""
        return f"{self.container}:{self.path}" if self.container else self.path


class State(Enum):
    """What is at a destination, links followed."""

    MISSING = 0
    FILE = 1
    DIRECTORY = 2


class Place(Struct, frozen=True):
    """Where copied files go: below `directory` as `name`, or right into it when `name` is empty."""

    directory: str
    name: str


def side(text: str, here: str) -> Side:
    """The meaning of SRC or DEST; paths of this machine are relative to `here`. Raises UsageError.

    As in Docker: what begins with `.` or `/`, or has no colon, is of this machine.
    """
    if text == "-":
        return Side(stream=True)
    container, colon, path = text.partition(":")
    if not colon or text.startswith((".", "/")):
        container, path = "", text
    if not path and not container:
        raise UsageError("an empty path names nothing")
    last = path.rpartition("/")[2]
    clean = posixpath.normpath("/" + posixpath.join("" if container else here, path)).replace("//", "/")
    return Side(container, clean, last in ("", ".", ".."), last == "." or clean == "/")


def sides(source: str, destination: str, here: str) -> tuple[Side, Side]:
    """Both of a copy. Raises UsageError unless just one is a container."""
    found = side(source, here), side(destination, here)
    if found[0].container and found[1].container:
        raise UsageError("a copy between two containers is not possible", hint="copy to this machine, and from there")
    if not (found[0].container or found[1].container):
        raise UsageError("one of the two must be CONTAINER:PATH")
    return found


def place(source: Side, is_directory: bool, destination: Side, state: State) -> Place:
    """Where `source` goes. Raises UsageError for what cannot be."""
    above = Place(posixpath.dirname(destination.path), destination.name)
    if state is State.DIRECTORY:
        return Place(destination.path, "" if source.content else source.name)
    if state is State.FILE:
        if is_directory:
            raise UsageError(f"a directory cannot be copied onto the file {destination.shown}")
        if destination.directory:
            raise UsageError(f"{destination.shown} is not a directory")
    elif destination.directory and not is_directory:
        raise UsageError(f"the directory {destination.shown} does not exist")
    return above
