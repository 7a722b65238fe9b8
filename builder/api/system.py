"""About pybuild itself."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from builder.version import __version__

LIBRARIES = ("click", "lark", "msgspec", "rich", "urllib3", "xxhash", "zstandard", "isal")


def versions() -> dict[str, str]:
    """Versions of pybuild, of what it runs on, and of its libraries."""
    found = {"pybuild": __version__, "python": platform.python_version(), "kernel": os.uname().release}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found
