"""Where the store is when nobody says: light enough for what must be fast (store/answers)."""

from __future__ import annotations

import os


def default_path() -> str:
    """`$PYBUILD_ROOT`; else /var/lib/pybuild for root, and the XDG data directory for others."""
    chosen = os.environ.get("PYBUILD_ROOT")
    if chosen:
        return chosen
    if os.geteuid() == 0:
        return "/var/lib/pybuild"
    data = os.environ.get("XDG_DATA_HOME", "")
    # XDG base directory specification: a relative path there is to be ignored
    return os.path.join(data if data.startswith("/") else os.path.expanduser("~/.local/share"), "pybuild")
