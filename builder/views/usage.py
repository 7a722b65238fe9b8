"""What a store takes on disk, by kind; the parts add up to `du` of its directory."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from builder.linux.files import disk_bytes

_KINDS = {
    "blobs": "blobs",
    "snapshots": "unpacked layers",
    "cachemounts": "cache mounts",
    "containers": "containers",
    "failed": "failed steps",
    "logs": "step logs",
    "tmp": "in the making",
}
_REST = "database and index"


class UsageRow(Struct, frozen=True):
    """One kind: how many entries directly in it, and the bytes their blocks take (du's figure)."""

    kind: str
    count: int
    bytes: int


def usage(root: Path) -> list[UsageRow]:
    """The rows of the store at `root`. Runs where its files' IDs are mapped: a launcher's child."""
    seen: set[tuple[int, int]] = set()
    rest = os.lstat(root).st_blocks * 512
    rest_count = 0
    rows = []
    for entry in sorted(os.scandir(root), key=lambda e: e.name):
        taken = disk_bytes(entry.path, seen)
        kind = _KINDS.get(entry.name)
        if kind is None:
            rest += taken
            rest_count += 1
        else:
            below = f"{entry.path}/sha256" if entry.name == "blobs" else entry.path
            rows.append(UsageRow(kind, len(os.listdir(below)), taken))
    return [*rows, UsageRow(_REST, rest_count, rest)]
