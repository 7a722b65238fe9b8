"""Where the time of a build goes, recorded while it goes on, and told when it has ended."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic_ns

from builder import spans
from builder.errors import PybuildError, UsageError
from builder.linux.files import TEMPORARY, write_atomically
from builder.linux.started import process_began
from builder.views import timings, timingtext, trace

OPTION = "--trace"


@contextmanager
def timed(tell: Callable[[str], object], path: str | None = None, *, report: bool = True) -> Iterator[None]:
    """Record what goes on meanwhile; when it ends, however that is, `tell` a report of it, and write a trace to `path`.

    One at a time in a process. The time since the process began counts, too: it is what its user waits for. Raises
    UsageError for a `path` that cannot be written, before anything else is done.
    """
    if path is not None and (refused := _refused(path)):
        raise UsageError(f"{OPTION} {path}: {refused}")
    spans.begin()
    spans.passed("start-up", process_began(), monotonic_ns())
    try:
        yield
    except BaseException:
        try:
            _told(tell if report else None, path)
        except PybuildError as trouble:
            tell(f"WARNING: {trouble.message}\n")  # the error is what ended the build
        raise
    _told(tell if report else None, path)


def _told(tell: Callable[[str], object] | None, path: str | None) -> None:
    spans.passed("end", (end := monotonic_ns()), end, spans.WHOLE)
    recorded, vertices = spans.ended()
    found = timings.timings(recorded, vertices)
    if tell is not None:
        tell(timingtext.drawn(found))
    if path is not None:
        _write(path, trace.encoded(recorded, found, os.getpid()))


def _refused(path: str) -> str | None:
    """Why `path` cannot be written, as far as is to be seen."""
    if os.path.isdir(path):
        return os.strerror(errno.EISDIR)
    if _is_device(path):
        return None if os.access(path, os.W_OK) else os.strerror(errno.EACCES)
    trial = f"{os.path.realpath(path)}.{os.urandom(4).hex()}{TEMPORARY}"
    try:
        os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
        os.unlink(trial)
    except OSError as error:
        return error.strerror
    return None


def _write(path: str, data: bytes) -> None:
    try:
        if _is_device(path):
            with open(path, "wb") as file:
                file.write(data)
        else:
            write_atomically(os.path.realpath(path), data)  # through a link, which is to stay one
    except OSError as error:
        raise PybuildError(f"{OPTION} {path}: {error.strerror}") from error


def _is_device(path: str) -> bool:
    """Whether `path` is something that is written into: a device, a pipe."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False
