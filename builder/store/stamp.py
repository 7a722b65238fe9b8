"""What tells a file from what is put in its place, or written into it, later: light enough for store/answers."""

from __future__ import annotations

import os


def stamp(path: str) -> str:
    """What changes when anybody writes the file at `path` or puts another in its place; empty where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return ""
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
