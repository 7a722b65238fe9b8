"""Starts a process of ours that lives on when this one has ended: a fresh interpreter, of its own session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

from builder import errors
from builder.errors import HostError, PybuildError


def detached(module: str, *words: str, keep: tuple[int, ...] = ()) -> dict[str, Any]:
    """Have `main` of `module` run detached, with the number of a descriptor to answer on, and `words`.

    It has the descriptors `keep`. Gives what it says by `answer`; raises the error it tells of, HostError when it ends
    without a word.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    code = f"import sys; sys.path[:] = {sys.path!r}\nfrom {module} import main\nmain()"
    null = subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(writer), *words],
            cwd="/",
            stdin=null,
            stdout=null,
            stderr=null,
            pass_fds=(writer, *keep),
            start_new_session=True,
        )
    finally:
        os.close(writer)
    process.returncode = 0  # nobody here waits for it, and Popen must not complain
    with os.fdopen(reader, "rb") as file:
        text = file.readline()
    if not text:
        raise HostError("the process that was to watch the container was killed", hint="is there enough memory?")
    said: dict[str, Any] = json.loads(text)
    if "error" in said:
        raise getattr(errors, said["kind"], HostError)(said["error"], hint=said["hint"])
    return said


def answer(fd: int, said: dict[str, Any]) -> None:
    """In the detached process: tell who started it, once."""
    with suppress(OSError):
        os.write(fd, json.dumps(said).encode() + b"\n")
        os.close(fd)


def answer_error(fd: int, error: BaseException) -> None:
    """As `answer`, for what went wrong."""
    known = isinstance(error, PybuildError)
    message = error.message if isinstance(error, PybuildError) else f"internal error: {type(error).__name__}: {error}"
    kind = type(error).__name__ if known else "HostError"
    answer(fd, {"error": message, "kind": kind, "hint": getattr(error, "hint", None)})
