"""The lists of files that digests in pre-images stand for (sources/context), read again and compared.

A line for each source, `source 'name'`, and one for each entry below it: `kind 'target' mode content`, with an owner
`uid:gid` before the content where it counts (layers/chosen),
` = 'target'` for a hard link of an earlier entry and ` 'name'=hex` for an extended attribute. Quoted as by repr.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator

from msgspec import Struct

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_SOURCE = re.compile(rf"source ({_QUOTED})")
_ENTRY = re.compile(
    rf"(?P<kind>[a-z]+)\+? (?P<target>{_QUOTED}) (?P<mode>\S+)(?: (?P<owner>\d+:\d+)(?= ))? (?P<content>{_QUOTED}|\S+)"
    rf"(?: = (?P<same>{_QUOTED}))?(?P<xattrs>(?: (?:{_QUOTED})=[0-9a-f]*)*)"
)
_XATTR = re.compile(rf" ({_QUOTED})=([0-9a-f]*)")


class Listed(Struct, frozen=True):
    """What counts of one entry. `content` is a digest, or where a symlink leads; `same` is a hard link's twin."""

    kind: str
    mode: str
    content: str
    same: str = ""
    xattrs: tuple[tuple[str, str], ...] = ()
    owner: str = ""


class FileChange(Struct, frozen=True):
    """How one file differs: `change` is added, removed, kind, content, link, mode, owner or xattr NAME."""

    path: str
    change: str
    before: str = ""
    after: str = ""


def entries(listing: bytes, folder: str = "") -> dict[str, Listed]:
    """The entries of a list by path; lines that are none are left out.

    `folder` is where the source is, if it is known and the only one. A path that several sources have gets a number:
    both are copied, one over the other.
    """
    found: dict[str, Listed] = {}
    source = ""
    for line in listing.decode(errors="surrogateescape").split("\n"):
        if match := _SOURCE.fullmatch(line):
            name = _unquoted(match[1])
            source = folder if name in ("", posixpath.basename(folder)) else name
        elif match := _ENTRY.fullmatch(line):
            target = _unquoted(match["target"])
            path = "/".join(part for part in (source, target) if part) or "."
            found[_free(found, path)] = Listed(
                match["kind"],
                match["mode"],
                _unquoted(match["content"]),
                _unquoted(match["same"] or ""),
                tuple(sorted((_unquoted(name), value) for name, value in _XATTR.findall(match["xattrs"]))),
                match["owner"] or "",
            )
    return found


def compared(before: bytes, after: bytes, folder: str = "") -> Iterator[FileChange]:
    """How the files of two lists differ, by path; of each file the first thing that does. `folder` as in `entries`."""
    old, new = entries(before, folder), entries(after, folder)
    for path in sorted(old.keys() | new.keys()):
        was, now = old.get(path), new.get(path)
        if was is None:
            yield FileChange(path, "added")
        elif now is None:
            yield FileChange(path, "removed")
        elif was != now:
            yield _change(path, was, now)


def printable(text: str) -> str:
    """A file's name as it may be shown and encoded: bytes that are no UTF-8 in hex digits."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _change(path: str, was: Listed, now: Listed) -> FileChange:
    if was.kind != now.kind:
        return FileChange(path, "kind", was.kind, now.kind)
    if was.content != now.content:
        return FileChange(path, "link" if now.kind == "symlink" else "content", was.content, now.content)
    if was.mode != now.mode:
        return FileChange(path, "mode", was.mode, now.mode)
    if was.owner != now.owner:
        return FileChange(path, "owner", was.owner, now.owner)
    if was.same != now.same:
        return FileChange(path, "link", was.same, now.same)
    old, new = dict(was.xattrs), dict(now.xattrs)
    name = min(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return FileChange(path, f"xattr {name}", old.get(name, ""), new.get(name, ""))


def _free(found: dict[str, Listed], path: str) -> str:
    number, free = 1, path
    while free in found:
        number += 1
        free = f"{path} ({number})"
    return free


def _unquoted(text: str) -> str:
    return str(ast.literal_eval(text)) if text[:1] in ("'", '"') else text
