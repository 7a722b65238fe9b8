"""Text of images that nobody has checked: made fit for documents and terminals; stanzas of `Name: value` lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import IO

_LONGEST = 1024
_LONGEST_LINE = 64 << 10


def clean(raw: bytes | str, limit: int = _LONGEST) -> str:
    """`raw` on one line: invalid UTF-8 and control characters become U+FFFD, at most `limit` characters."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    text = text[: limit + 1].strip()
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text[:limit]


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file; one that is too long to be meant comes in pieces."""
    while line := file.readline(_LONGEST_LINE):
        yield line


def stanzas(lines: Iterable[bytes], names: Set[str], *, fold: bool = True) -> Iterator[dict[str, list[bytes]]]:
    """The stanzas of a file in the form of deb822 and RFC 822 headers: an empty line ends one.

    Gives the fields called by `names` (in lower case; with `fold` they are read in any case), each with its values in
    order: a field may come several times. Lines that go on with a field stand in its value after a newline.
    """
    found: dict[str, list[bytes]] = {}
    current: list[bytes] | None = None
    some = False
    for line in lines:
        line = line.rstrip(b"\r\n")
        if not line.strip():
            if some:
                yield found
            found, current, some = {}, None, False
            continue
        some = True
        if line[:1] in (b" ", b"\t"):
            if current is not None and len(current[-1]) < _LONGEST_LINE:
                current[-1] += b"\n" + line.strip()
            continue
        name, colon, value = line.partition(b":")
        key = name.strip().decode("ascii", "replace")
        key = key.lower() if fold else key
        current = found.setdefault(key, []) if colon and key in names else None
        if current is not None:
            current.append(value.strip())
    if some:
        yield found
