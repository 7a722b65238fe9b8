"""What a step takes of another stage or image, as one digest: what would be copied of it, without times.

Made of the same selection the copying makes (layers/select), so that nothing is taken that is not in it. In keys it
stands for the source: whatever else changes there does not matter.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator

from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import NotFoundError
from builder.layers.changes import described
from builder.layers.contentid import line
from builder.layers.copyjob import CHOSEN, Chosen, ContextSource
from builder.layers.entry import Entry, Kind
from builder.layers.select import select_in_root

_FORM = CHOSEN.encode() + b"\n"
_MISSING = Digest.of(_FORM + b"missing")
_CHUNK = 1 << 20


def digest(root: str, chosen: Chosen) -> Digest:
    """The digest of `chosen` in the directory `root`; one of its own when a source is missing, as the step will find.

    Raises OSError for what cannot be read.
    """
    try:
        sources = select_in_root(root, chosen.choice)
    except NotFoundError:
        return _MISSING
    state = hashlib.sha256(_FORM)
    for source in sources:
        # Where a file goes depends on its name; what a directory has goes where the step says.
        is_directory = source.entries[0].kind is Kind.DIRECTORY
        state.update(b"\n" if is_directory else os.fsencode(posixpath.basename(source.name)) + b"\n")
        for entry in _entries(root, source, top=chosen.top or not is_directory):
            state.update(line(entry))
    return Digest(state.hexdigest())


def _entries(root: str, source: ContextSource, *, top: bool) -> Iterator[Entry]:
    links: dict[tuple[int, int], str] = {}
    for found in source.entries if top else source.entries[1:]:
        path = os.path.join(root, found.path) if found.path else root
        status = os.lstat(path)
        entry = described(found.target, path, status)
        assert entry is not None  # the selection has no sockets
        if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
            first = links.setdefault((status.st_dev, status.st_ino), found.target)
            if first != found.target:
                yield replace(entry, kind=Kind.HARDLINK, link=first, size=0)
                continue
        yield replace(entry, digest=_content(path)) if entry.kind is Kind.FILE else entry


def _content(path: str) -> Digest:
    state = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_CHUNK):
            state.update(data)
    return Digest(state.hexdigest())
