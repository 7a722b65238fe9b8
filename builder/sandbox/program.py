"""Which file the kernel would run for a command: never the interpreter this very process runs in."""

from __future__ import annotations

import os

# execve(2): how much of a script's first line counts, and how many interpreters may need one another
_FIRST_LINE = 256
_MOST_INTERPRETERS = 5


def is_own_interpreter(path: str) -> bool:
    """Whether `path`, or what runs the script that it is, is this process's own program.

    That is a file of the host, and `/proc/self/exe` leads to it until the command begins: an image with a link there
    would hold a descriptor of the host's Python, to be written to as soon as no process runs it (CVE-2019-5736).
    """
    try:
        own = os.stat("/proc/self/exe")
        for _ in range(_MOST_INTERPRETERS + 1):
            if os.path.samestat(os.stat(path), own):
                return True
            interpreter = _interpreter(path)
            if not interpreter:
                return False
            path = interpreter
    except OSError:
        pass  # then it cannot be run at all, and execve says why
    return False


def _interpreter(path: str) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        start = file.read(_FIRST_LINE) or b""
    if not start.startswith(b"#!"):
        return ""
    words = start[2:].split(b"\n")[0].split(b"\0")[0].split()
    return os.fsdecode(words[0]) if words else ""
