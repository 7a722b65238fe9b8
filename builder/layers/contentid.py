"""The content ID: what a layer is, leaving out when it was made (docs/decisions: time-free content ID).

sha256 over the entries sorted by path, each as one line of JSON-free fields separated by NUL. Two layers with the
same content ID give every later step the same files, so cache keys chain on it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

from builder.digest import Digest
from builder.layers.entry import Entry, Kind


def content_id(entries: Iterable[Entry]) -> Digest:
    """The content ID of a layer's entries, given in any order.

    Of several entries for one path the last counts, as when a tar is unpacked; OPAQUE is kept beside its directory.
    """
    last = {(entry.path, entry.kind is Kind.OPAQUE): entry for entry in entries}
    state = hashlib.sha256(b"pybuild content 1\n")
    for key in sorted(last, key=lambda k: (os.fsencode(k[0]), k[1])):
        state.update(_line(last[key]))
    return Digest(state.hexdigest())


def _line(entry: Entry) -> bytes:
    # A path or link cannot contain NUL, and the fields before the attributes have a fixed number.
    fields = (
        os.fsencode(entry.path),
        entry.kind.encode(),
        b"%o %d %d %d" % (entry.mode, entry.uid, entry.gid, entry.size),
        entry.digest.hex.encode() if entry.digest else b"",
        os.fsencode(entry.link),
        b"%d:%d" % entry.device,
    )
    attributes = b"".join(
        b"%d %s=%d %s" % (len(name), os.fsencode(name), len(value), value) for name, value in entry.xattrs
    )
    return b"\0".join(fields) + b"\0" + attributes + b"\n"
