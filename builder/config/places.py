"""Where files with settings are, and what is in them as bytes. Every start looks there: so it imports nothing.

    /etc/pybuild/config.toml              the machine's
    $XDG_CONFIG_HOME/pybuild/config.toml  the user's, over it; without the variable ~/.config/pybuild/config.toml
    .pybuild.toml                         the project's, over both, for what a project may set (config/defaults)

A project's is in the directory where the program was called, or above it, up to the top of a git work tree.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

MACHINE = "/etc/pybuild/config.toml"
PROJECT = ".pybuild.toml"


def files(environ: Mapping[str, str]) -> tuple[str, str]:
    """The machine's and the user's; they need not be there."""
    own = environ.get("XDG_CONFIG_HOME", "")
    # XDG base directory specification: a relative path there is to be ignored
    home = own if own.startswith("/") else f"{environ.get('HOME') or os.path.expanduser('~')}/.config"
    return MACHINE, f"{home}/pybuild/config.toml"


def project(directory: str | None = None) -> str | None:
    """The project's file, for who works in `directory` (by default, the current one); None where there is none.

    One that belongs to somebody else than the user or root is none: whoever may write above a directory, as in /tmp,
    would otherwise say how others build below it.
    """
    try:
        directory = os.getcwd() if directory is None else directory
    except FileNotFoundError:  # it was removed
        return None
    while True:
        path = f"{directory.rstrip('/')}/{PROJECT}"
        try:
            if os.stat(path).st_uid in (os.geteuid(), 0):
                return path
        except OSError:
            pass
        if directory == "/" or os.path.exists(f"{directory}/.git"):
            return None
        directory = os.path.dirname(directory)


def contents() -> list[tuple[str, bytes]]:
    """All files there are, with what is in them; of those that cannot be read, nothing."""
    found = []
    for path in (*files(os.environ), project()):
        if path is not None and os.path.exists(path):
            try:
                with open(path, "rb") as file:
                    found.append((path, file.read()))
            except OSError:
                found.append((path, b""))
    return found
