"""Where the time of a build goes, recorded while it goes on, and told when it has ended."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic_ns

from msgspec import Struct

from builder import spans
from builder.errors import PybuildError, UsageError
from builder.linux.files import TEMPORARY, write_atomically
from builder.linux.started import process_began
from builder.spans import Span
from builder.views import timings, timingtext, trace
from builder.views.timings import Timings


class Output(Struct, frozen=True):
    """A file made of what was recorded, which `option` asks for.

    `encode` makes its content of the spans, their timings, and the error that ended the build, if one did.
    """

    option: str
    path: str
    encode: Callable[[Sequence[Span], Timings, BaseException | None], bytes]


def traced(path: str) -> Output:
    """The spans in Chrome's trace format, at `path`."""
    return Output("--trace", path, lambda recorded, found, error: trace.encoded(recorded, found, os.getpid()))


@contextmanager
def timed(tell: Callable[[str], object], outputs: Sequence[Output] = (), *, report: bool = True) -> Iterator[None]:
    """Record what goes on meanwhile; when it ends, however that is, `tell` a report of it, and write the `outputs`.

    One at a time in a process. The time since the process began counts, too: it is what its user waits for. Raises
    UsageError for a path that cannot be written, before anything else is done.
    """
    for output in outputs:
        if refused := _refused(output.path):
            raise UsageError(f"{output.option} {output.path}: {refused}")
    spans.begin()
    spans.passed("start-up", process_began(), monotonic_ns())
    try:
        yield
    except BaseException as ended:
        try:
            _told(tell if report else None, outputs, ended)
        except PybuildError as trouble:
            tell(f"WARNING: {trouble.message}\n")  # the error is what ended the build
        raise
    _told(tell if report else None, outputs, None)


def _told(tell: Callable[[str], object] | None, outputs: Sequence[Output], error: BaseException | None) -> None:
    spans.passed("end", (end := monotonic_ns()), end, spans.WHOLE)
    recorded, vertices = spans.ended()
    found = timings.timings(recorded, vertices)
    if tell is not None:
        tell(timingtext.drawn(found))
    for output in outputs:
        _write(output, output.encode(recorded, found, error))


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


def _write(output: Output, data: bytes) -> None:
    path = output.path
    try:
        if _is_device(path):
            with open(path, "wb") as file:
                file.write(data)
        else:
            write_atomically(os.path.realpath(path), data)  # through a link, which is to stay one
    except OSError as error:
        raise PybuildError(f"{output.option} {path}: {error.strerror}") from error


def _is_device(path: str) -> bool:
    """Whether `path` is something that is written into: a device, a pipe."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False
