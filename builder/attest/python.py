"""Installed Python distributions (PyPA's core metadata): `*.dist-info/METADATA`, `*.egg-info`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from builder.attest.inventory import Gathering, Package
from builder.attest.text import clean, stanzas

_FIELDS = frozenset({"name", "version", "license", "license-expression", "classifier", "home-page", "author"})
_CLASSIFIER = "License ::"
_LONGEST_LICENSE = 100  # longer ones are the license's whole text
_MOST_LINES = 100_000


def read_metadata(lines: Iterable[bytes], place: str, gathering: Gathering) -> None:
    """The distribution of a metadata file. What follows its head is a description."""
    fields = next(stanzas(itertools.islice(lines, _MOST_LINES), _FIELDS), {})
    gathering.add(
        Package(
            "pypi",
            clean(fields.get("name", [b""])[0]),
            clean(fields.get("version", [b""])[0]),
            licenses=tuple(dict.fromkeys(_licenses(fields))),
            supplier=clean(fields.get("author", [b""])[0]),
            homepage=clean(fields.get("home-page", [b""])[0]),
            place=place,
        )
    )


def _licenses(fields: dict[str, list[bytes]]) -> Iterator[str]:
    """The best statement there is: an expression, else a short name, else classifiers."""
    for field in ("license-expression", "license"):
        text = fields.get(field, [b""])[0]
        if text and len(text) <= _LONGEST_LICENSE and b"\n" not in text and text.upper() != b"UNKNOWN":
            yield clean(text)
            return
    for classifier in map(clean, fields.get("classifier", [])):
        if classifier.startswith(_CLASSIFIER):
            yield classifier.rpartition("::")[2].strip()
