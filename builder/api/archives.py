"""Archives of images and of cache mounts, opened wherever users say they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.api.session import Session
from builder.errors import NotFoundError, UsageError
from builder.sources.files import DirectoryFiles, Files, archive


@contextmanager
def opened(session: Session, source: str) -> Iterator[Files]:
    """The files of the archive or the directory `source`; `-` is an archive on standard input.

    Raises NotFoundError, UsageError, and BadInputError for what is no archive.
    """
    spool, bounds = str(session.store.root / "tmp"), session.bounds()
    if source == "-":
        if sys.stdin.isatty():
            raise UsageError("an archive is not read from a terminal", hint="name a file, or redirect the input")
        with archive(sys.stdin.buffer, spool, bounds) as files:
            yield files
        return
    try:
        if Path(source).is_dir():
            directory = DirectoryFiles(source)
            try:
                yield directory
            finally:
                directory.close()
            return
        with Path(source).open("rb") as file, archive(file, spool, bounds) as files:
            yield files
    except OSError as error:
        if error.filename != source:
            raise
        if isinstance(error, FileNotFoundError):
            raise NotFoundError(f"{source} does not exist") from error
        raise UsageError(f"{source} cannot be read: {error.strerror}") from error
