"""Files taken out of a step: one file or the files of a directory, written as the caller's own."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from builder.errors import PybuildError, UsageError
from builder.export.tree import own
from builder.image.descriptor import Layer
from builder.layers.entry import Entry
from builder.layers.extract import extract_archive
from builder.sandbox.launcher import Launcher
from builder.snapshots.tree import part

_PRIVILEGED = 0o6000


class Taken(Struct, frozen=True):
    """`path` in a step, to be written to `destination`; `step` as the user named it, empty for the one that fails."""

    path: str
    destination: str
    step: str = ""


def parse(text: str, *, named: bool) -> Taken:
    """`PATH:DEST`, or where the step is `named` `STEP:PATH:DEST`: a stage, a line or FILE:LINE. Raises UsageError."""
    words = text.split(":")
    step = words.pop(0) if named else ""
    if named and len(words) > 2 and words[0].isdigit():
        step = f"{step}:{words.pop(0)}"
    path, destination = words[0] if words else "", ":".join(words[1:])
    if not path or not destination or (named and not step):
        option, form = ("--step-export", "STEP:PATH:DEST") if named else ("--on-fail-export", "PATH:DEST")
        raise UsageError(f"{option} {text}: it must be {form}", hint=f"for example {_EXAMPLE[named]}")
    return Taken(path, destination, step)


_EXAMPLE = {False: "/src/test.log:test.log", True: "build:/src/report:report"}


def take(launcher: Launcher, root: Path, layers: tuple[Layer, ...], above: tuple[str, ...], taken: Taken) -> None:
    """Write what `taken` names of the tree of `layers` and the upper directories `above`.

    A directory's files go below the destination, over what is there. A file goes into a destination that is a directory
    or ends in `/`, else it gets that name. Times and modes are kept but for setuid and setgid; owners are not, and
    devices are left out. Raises NotFoundError when it is not there, PybuildError when it cannot be written.
    """
    with part(launcher, root, layers, above, taken.path) as (directory, tree):
        destination = taken.destination
        into = directory or destination.endswith("/") or os.path.isdir(destination)
        above_it, name = (destination, "") if into else os.path.split(os.path.abspath(destination))
        try:
            os.makedirs(above_it, exist_ok=True)
        except OSError as error:
            raise PybuildError(f"cannot write {destination}: {error.strerror}") from error

        def changed(entry: Entry) -> Entry | None:
            owned = own(entry)
            if owned is None:
                return None
            return replace(owned, mode=owned.mode & ~_PRIVILEGED, path=name or owned.path)

        extract_archive(tree, above_it, changed)
