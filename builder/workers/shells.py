"""Which shell a root has. In the launcher's children."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from builder.errors import NotFoundError
from builder.linux.paths import open_in_root

_SHELLS = ("/bin/bash", "/bin/sh")


def found(root: str, shell: tuple[str, ...], env: Mapping[str, str], script: str | None) -> tuple[str, ...]:
    """The shell of `root`, with `script`: as `shell` says if that is there, else what most images have.

    Raises NotFoundError when there is none.
    """
    own, *options = shell
    if _program(root, own, env):
        return (own,) if script is None else (own, *options, script)
    other = next((name for name in _SHELLS if _program(root, name, env)), None)
    if other is None:
        tried = ", ".join(dict.fromkeys((own, *_SHELLS)))
        raise NotFoundError(f"there is no shell: no {tried}", hint="name a program: -- PROGRAM ARGUMENT…")
    return (other,) if script is None else (other, "-c", script)


def directory(root: str, path: str) -> str:
    """`path` if it is a directory of `root`, else `/`."""
    return path if stat.S_ISDIR(_mode(root, path)) else "/"


def _program(root: str, name: str, env: Mapping[str, str]) -> bool:
    along = [os.path.join(part, name) for part in env.get("PATH", "").split(":") if part]
    return any(_mode(root, path) & 0o111 for path in ([name] if "/" in name else along))


def _mode(root: str, path: str) -> int:
    """The mode of `path` in `root`; 0 when it is not there."""
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in_root(top, path)
    except OSError:
        return 0
    finally:
        os.close(top)
    try:
        return os.fstat(fd).st_mode
    finally:
        os.close(fd)
