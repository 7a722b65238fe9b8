"""What `diff` shows of a container: its changed entries as lines of A, C and D, as Docker finds them.

Docker compares the two trees: a directory above a change has changed, what a deleted directory held is not told of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from builder.layers.entry import Entry, Kind

ADDED, CHANGED, DELETED = "A", "C", "D"

# The names in the directory that lies below at a path; empty for a file, None where nothing lies.
Below = Callable[[str], Iterable[str] | None]


def difference(entries: Iterable[Entry], below: Below) -> list[tuple[str, str]]:
    """(kind, absolute path) of each change, sorted by path. `entries` are as of `changes`, parents first."""
    found: dict[str, str] = {}
    opaque = ""
    for entry in entries:
        path = entry.path
        if entry.kind is Kind.WHITEOUT:
            found[path] = DELETED
            continue
        if entry.kind is Kind.OPAQUE:
            opaque = path
        else:
            found[path] = ADDED if below(path) is None else CHANGED
        if opaque and entry.kind in (Kind.DIRECTORY, Kind.OPAQUE) and f"{path}/".startswith(f"{opaque}/"):
            # All it held is gone, but for what comes again below.
            found |= {f"{path}/{name}": DELETED for name in below(path) or ()}
    return [(kind, f"/{path}") for path, kind in sorted(found.items())]
