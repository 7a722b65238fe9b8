"""The version, and those of the libraries, alone so that asking for them imports nothing."""

import os
import sys

__version__ = "0.1.0"
LIBRARIES = ("click", "lark", "msgspec", "rich", "urllib3", "xxhash", "zstandard", "isal", "cryptography")
_KINDS = (".dist-info", ".egg-info")


def libraries() -> dict[str, str]:
    """Versions of the libraries, as the names of the directories say that installers leave beside them.

    importlib.metadata reads the same out of files, but takes 20 ms to load where this takes half a millisecond.
    """
    found = dict.fromkeys(LIBRARIES, "not installed")
    for directory in reversed(sys.path):  # the first that has one counts
        try:
            names = os.listdir(directory or ".")
        except OSError:
            continue
        for name in names:
            stem, dot, kind = name.rpartition(".")
            library, _, version = stem.partition("-")
            if f"{dot}{kind}" in _KINDS and library.lower() in found and version:
                found[library.lower()] = version.partition("-")[0]
    return found


def told() -> str:
    """What `--version` prints: a line for the program, and one for what it runs on."""
    python = ".".join(map(str, sys.version_info[:3]))
    return f"pybuild {__version__}\nPython {python}, {', '.join(map(' '.join, libraries().items()))}\n"
