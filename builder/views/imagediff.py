"""What differs between two images: their files, as far as anything of them shows, and their configs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from builder.image.config import ImageConfig
from builder.layers.entry import Entry, Kind
from builder.layers.laid import Node
from builder.views.filetree import mode_text, safe, shown_path

ADDED, REMOVED, CHANGED = "added", "removed", "changed"


class Difference(Struct, frozen=True):
    """One thing that differs: what it is in the first image and in the second; empty where it is not there."""

    field: str
    before: str
    after: str


class FileDifference(Struct, frozen=True):
    """A file that is ADDED, REMOVED or CHANGED; `size` in bytes, of a removed one as it was. `fields`: what changed."""

    path: str
    change: str
    type: str
    size: int
    fields: tuple[Difference, ...] = ()


class Side(Struct, frozen=True):
    """One of the images, as it was asked for."""

    name: str
    id: str
    platform: str


class ImageDifference(Struct, frozen=True):
    """All that differs; files in order of their paths."""

    before: Side
    after: Side
    config: tuple[Difference, ...]
    files: tuple[FileDifference, ...]

    @property
    def any(self) -> bool:
        """Whether anything does."""
        return bool(self.config or self.files)


def configs(before: ImageConfig, after: ImageConfig, *, times: bool = False) -> tuple[Difference, ...]:
    """What differs between two configs: by Docker's names, variables and labels each by theirs.

    Histories and layers are not compared: they tell how the images came about. `times`: nor else when they were made.
    """
    old, new = _flat(before, times=times), _flat(after, times=times)
    names = sorted(old.keys() | new.keys())
    return tuple(Difference(n, old.get(n, ""), new.get(n, "")) for n in names if old.get(n) != new.get(n))


def files(before: Node, after: Node, *, times: bool = False) -> Iterator[FileDifference]:
    """What differs below two roots, directories before what is in them; with `times` also what is only older."""
    todo: list[tuple[str, Node | None, Node | None]] = [("", before, after)]
    while todo:
        path, old, new = todo.pop()
        found = _compared(path, old, new, times=times)
        if found is not None:
            yield found
        below, above = (node.children if node is not None and node.children else {} for node in (old, new))
        names = sorted(below.keys() | above.keys(), reverse=True)  # the last is taken first
        todo += [(f"{path}/{name}" if path else name, below.get(name), above.get(name)) for name in names]


def _compared(path: str, old: Node | None, new: Node | None, *, times: bool) -> FileDifference | None:
    node = new or old
    assert node is not None
    shown, entry = shown_path(path), node.file.entry
    if old is None or new is None:
        return FileDifference(shown, REMOVED if new is None else ADDED, str(entry.kind), entry.size)
    if old.file.entry is entry:
        return None  # of a layer that both have
    fields = tuple(_fields(old.file.entry, entry, times=times))
    return FileDifference(shown, CHANGED, str(entry.kind), entry.size, fields) if fields else None


def _fields(old: Entry, new: Entry, *, times: bool) -> Iterator[Difference]:
    if old.kind is not new.kind:
        yield Difference("type", str(old.kind), str(new.kind))
        return
    if old.size != new.size:
        yield Difference("size", str(old.size), str(new.size))
    pairs = {
        "content": (str(old.digest or ""), str(new.digest or "")),
        "mode": (mode_text(old), mode_text(new)),
        "owner": (f"{old.uid}:{old.gid}", f"{new.uid}:{new.gid}"),
        "link": (safe(old.link), safe(new.link)) if new.kind is Kind.SYMLINK else ("", ""),
        "device": tuple("{}:{}".format(*entry.device) for entry in (old, new)),
        "time": (f"{old.mtime}.{old.nanoseconds:09}", f"{new.mtime}.{new.nanoseconds:09}") if times else ("", ""),
    }
    yield from (Difference(name, before, after) for name, (before, after) in pairs.items() if before != after)
    was, now = dict(old.xattrs), dict(new.xattrs)
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            yield Difference(f"xattr {safe(name)}", was.get(name, b"").hex(), now.get(name, b"").hex())


def _flat(config: ImageConfig, *, times: bool) -> dict[str, str]:
    document = config.document()
    found = {"Platform": str(config.platform), "Author": config.author}
    if times:
        found["Created"] = config.created or ""
    for key, value in document.get("config", {}).items():
        if key == "Env":
            found |= {f"Env {name}": _text(text) for name, text in config.env}
        elif isinstance(value, Mapping) and key != "Healthcheck":
            found |= {f"{key} {name}": _text(text) if text else "yes" for name, text in value.items()}
        else:
            found[key] = _text(value)
    return {safe(name): safe(text) for name, text in found.items() if text}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
