"""About pybuild itself."""

from __future__ import annotations

import os
import platform

from builder.version import __version__, libraries


def versions() -> dict[str, str]:
    """Versions of pybuild, of what it runs on, and of its libraries."""
    own = {"pybuild": __version__, "python": platform.python_version(), "kernel": os.uname().release}
    return own | libraries()
