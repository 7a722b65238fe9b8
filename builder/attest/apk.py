"""apk's database of installed packages (apk-tools: `lib/apk/db/installed`): one letter a field."""

from __future__ import annotations

from collections.abc import Iterable

from builder.attest.inventory import Gathering, Package
from builder.attest.text import clean, stanzas

_FIELDS = frozenset("PVALUom")


def read_installed(lines: Iterable[bytes], place: str, gathering: Gathering) -> None:
    """The packages of an `installed` file."""
    for stanza in stanzas(lines, _FIELDS, fold=False):
        fields = {name: clean(values[0]) for name, values in stanza.items()}
        gathering.add(
            Package(
                "apk",
                fields.get("P", ""),
                fields.get("V", ""),
                architecture=fields.get("A", ""),
                source=fields.get("o", ""),
                licenses=tuple(filter(None, [fields.get("L", "")])),
                supplier=fields.get("m", ""),
                homepage=fields.get("U", ""),
                place=place,
            )
        )
