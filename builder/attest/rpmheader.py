"""Headers of rpm packages, as the database keeps them (rpm's docs/manual/hregions.md and format_v4.md).

Two big-endian counts, of index entries and of bytes of data; the entries, 16 bytes each: tag, type, offset, count;
the data.
"""

from __future__ import annotations

import struct

from builder.attest.inventory import Gathering, Package
from builder.attest.text import clean
from builder.errors import BadInputError

_TAGS = {
    1000: "name",
    1001: "version",
    1002: "release",
    1003: "epoch",
    1011: "vendor",
    1014: "license",
    1020: "url",
    1022: "arch",
    1044: "source",
}
_INT32, _STRING, _I18NSTRING = 4, 6, 9
# As rpm's own limits (lib/header.c, hdrblobInit).
_MOST_ENTRIES, _MOST_DATA = 0xFFFF, 256 << 20
# Keys that packages are checked by are kept as packages of this name.
_KEYS = "gpg-pubkey"


def read_header(blob: bytes, place: str, gathering: Gathering) -> None:
    """The package of a header. One that is damaged is told of."""
    try:
        fields = _fields(blob)
    except BadInputError as error:
        gathering.skipped(place, error.message)
        return
    name = fields.get("name", "")
    if name == _KEYS:
        return
    source = fields.get("source", "").removesuffix(".rpm").rpartition(".")[0]  # NAME-VERSION-RELEASE.src.rpm
    parts = source.rsplit("-", 2)
    gathering.add(
        Package(
            "rpm",
            name,
            "-".join(filter(None, (fields.get("version", ""), fields.get("release", "")))),
            architecture=fields.get("arch", ""),
            epoch=fields.get("epoch", ""),
            source=parts[0] if len(parts) == 3 else "",
            source_version="-".join(parts[1:]) if len(parts) == 3 else "",
            licenses=tuple(filter(None, [fields.get("license", "")])),
            supplier=fields.get("vendor", ""),
            homepage=fields.get("url", ""),
            place=place,
        )
    )


def _fields(blob: bytes) -> dict[str, str]:
    if len(blob) < 8:
        raise BadInputError("a header is cut off")
    count, size = struct.unpack_from(">II", blob)
    start = 8 + count * 16
    if count > _MOST_ENTRIES or size > _MOST_DATA or start + size > len(blob):
        raise BadInputError("a header is cut off or damaged")
    data, found = memoryview(blob)[start : start + size], {}
    for tag, kind, offset, number in struct.iter_unpack(">IIiI", blob[8:start]):
        if tag in _TAGS:
            if not 0 <= offset < size or not number:
                raise BadInputError("a header is damaged")
            found[_TAGS[tag]] = _value(data[offset:], kind)
    return found


def _value(data: memoryview, kind: int) -> str:
    """A number in decimal, or a string: the first of several (languages)."""
    if kind == _INT32 and len(data) >= 4:
        return str(struct.unpack_from(">I", data)[0])
    if kind in (_STRING, _I18NSTRING):
        text, end, _ = bytes(data[: 64 << 10]).partition(b"\0")
        if end:
            return clean(text)
    raise BadInputError("a header is damaged")
