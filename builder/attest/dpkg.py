"""dpkg's database (deb-control(5); dpkg's `status`), and what /usr/share/doc/PACKAGE/copyright states of licenses.

Debian's whole system has all packages in one `status`; images without a package manager have one file each in
`status.d`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from builder.attest.inventory import Gathering, Package
from builder.attest.text import clean, stanzas

_FIELDS = frozenset({"package", "status", "version", "architecture", "source", "maintainer", "homepage"})
_SOURCE = re.compile(r"(\S+)(?:\s+\((.*)\))?")
# Of these only settings are left, or nothing.
_GONE = ("config-files", "not-installed")
_STATED = re.compile(rb"license:[ \t]*(\S.*)", re.IGNORECASE)


def read_status(lines: Iterable[bytes], place: str, gathering: Gathering) -> None:
    """The packages of a `status` file, or of one of `status.d`."""
    for stanza in stanzas(lines, _FIELDS):
        fields = {name: clean(values[0]) for name, values in stanza.items()}
        if fields.get("status", "").split(" ")[-1] in _GONE:
            continue
        source = _SOURCE.match(fields.get("source", ""))
        gathering.add(
            Package(
                "deb",
                fields.get("package", ""),
                fields.get("version", ""),
                architecture=fields.get("architecture", ""),
                source=source[1] if source else "",
                source_version=(source[2] or "") if source else "",
                supplier=fields.get("maintainer", ""),
                homepage=fields.get("homepage", ""),
                place=place,
            )
        )


def licenses(lines: Iterable[bytes]) -> tuple[str, ...]:
    """The short names of licenses in a copyright file (Debian's machine-readable form, DEP 5), each once."""
    return tuple(dict.fromkeys(_licenses(lines)))


def _licenses(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number == 0 and not line.lower().startswith(b"format"):
            return  # prose
        found = _STATED.match(line)
        if found is not None:
            yield clean(found[1])
