"""SOURCE_DATE_EPOCH=context: the time of a build context.

In a working tree of git it is that of the commit checked out, which every clone of it has. Elsewhere it is that of the
youngest file the ignore file shows: an archive and a git reference bring the times of their files along.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from builder.errors import PybuildError, UsageError
from builder.lang.ignore import Ignore

_HINT = "give the time itself, in seconds: --source-date-epoch N"


def epoch_of(root: str, ignore: Ignore, *, own: bool) -> int:
    """The time of the context at `root`, in seconds. `own`: it is a directory of the user's, not what was fetched.

    Raises UsageError where it has none.
    """
    root = os.path.realpath(root)
    if own and _in_working_tree(root):
        # lazy: subprocess
        from builder.sources.git import Git

        try:
            return Git().head_time(root)
        except PybuildError as error:
            raise UsageError(f"SOURCE_DATE_EPOCH=context: git says: {error.message}", hint=_HINT) from error
    found = max(_times(root, ignore), default=None)
    if found is None:
        raise UsageError("SOURCE_DATE_EPOCH=context: the build context has no files", hint=_HINT)
    return max(0, found)


def _in_working_tree(directory: str) -> bool:
    while not os.path.lexists(f"{directory}/.git"):
        if directory in ("/", ""):
            return False
        directory = os.path.dirname(directory)
    return True


def _times(root: str, ignore: Ignore) -> Iterator[int]:
    """The times of all files shown. A directory's tells when it was made here."""
    todo = [""]
    while todo:
        above = todo.pop()
        for item in _entries(f"{root}/{above}"):
            path = f"{above}/{item.name}" if above else item.name
            hidden = ignore.excluded(path)
            if item.is_dir(follow_symlinks=False):
                if not hidden or ignore.may_reinclude_below(path):
                    todo.append(path)
            elif not hidden:
                yield int(item.stat(follow_symlinks=False).st_mtime)


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except PermissionError:
        return []  # a COPY of it says so
