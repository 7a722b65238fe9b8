"""Sources travel to the child that copies."""

from __future__ import annotations

import pickle

import pytest

from builder.digest import Digest
from builder.layers.copyjob import ContextEntry, ContextSource, Fixed
from builder.layers.entry import Kind

FILE = Fixed(0o644, 10**18, "", (("user.a", b"\0\xff"),), Digest.of(b"1"), (2**40, 2**63, 3, 4, 10**19, 0o644))


@pytest.mark.parametrize("name", ["name", "n\xe4me", "n\udcffme"], ids=["ASCII", "UTF-8", "neither"])
def test_sources_arrive_as_they_are(name: str) -> None:
    source = ContextSource(
        name,
        (
            ContextEntry("", "", Kind.DIRECTORY),
            ContextEntry(name, name, Kind.FILE, fixed=FILE),
            ContextEntry("d", "d", Kind.DIRECTORY, parent=True, fixed=Fixed(0o755, -1)),
            ContextEntry("l", "l", Kind.SYMLINK, fixed=Fixed(0o777, 0, name)),
        ),
    )
    assert pickle.loads(pickle.dumps(source)) == source
