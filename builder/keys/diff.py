"""What differs between two pre-images, input by input: what `cache why` tells. Pure, and the same both ways.

What stands in a step's own lines comes first, then its variables, its files and mounts, at last what it stands on:
so the first difference is the one to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from builder.keys.listing import FileChange, compared, printable

# The list of files a digest stands for, None when it is not known.
ListingOf = Callable[[str], bytes | None]
Fields = Mapping[str, Any]

# What the fields of a pre-image are called in a Buildfile, or by options.
_FLAGS = {
    "chmod": "--chmod",
    "chown": "--chown",
    "confined": "--security-opt, --cap-drop, --no-hosts",
    "context": "--from",
    "cwd": "WORKDIR",
    "destination": "destination",
    "exclude": "--exclude",
    "host_paths": "--volume, --device",
    "keep_git_dir": "--keep-git-dir",
    "link": "--link",
    "network": "--network",
    "parents": "--parents",
    "path": "path",
    "paths": "sources",
    "platform": "--platform",
    "security": "--security",
    "submodules": "submodules",
    "subdir": "directory",
    "unpack": "--unpack",
    "user": "USER",
    "v": "the key format",
}
# The steps that fetch something from a server.
_FETCHED = ("urlfile", "gittree")
_LAST = ("env", "secrets", "scripts", "inline", "hosts", "mounts", "outside", "also", "source", "parent")


class Difference(Struct, frozen=True):
    """One input that differs.

    `input` is `instruction` (what the line says), `variable`, `secret` (one whose value counts), `file`, `files` (which
    ones is not known), `fetched` (what a server gives), `mount`, `source` (what is taken from another stage or image)
    or `below`. `name` is the flag, variable, path or mount; `change` is added, removed, changed, or what of a file or
    mount changed (as in keys/listing). `before` and `after` are empty where there is nothing to show.
    `files` are those of a source that differ, where that is known.
    """

    input: str
    name: str
    change: str
    before: str = ""
    after: str = ""
    files: tuple[FileChange, ...] = ()


def decoded(image: str | bytes) -> Fields:
    """The fields of a pre-image; none of one that is damaged."""
    try:
        found = msgspec.json.decode(image)
    except msgspec.MsgspecError:
        return {}
    return found if isinstance(found, dict) else {}


def differences(before: Fields, after: Fields, listing_of: ListingOf) -> tuple[Difference, ...]:
    """All that differs, the most telling first."""
    return tuple(_differences(before, after, listing_of))


def stands_on(fields: Fields) -> list[tuple[str, str]]:
    """What each input is to the step, (`below`, "") or (`source`, name), in the order of `graph.vertex.inputs`."""
    found = [("below", "")] if "parent" in fields or "link" in fields else []
    if "source" in fields:
        found.append(("source", ""))
    found += [("source", str(n)) for n, part in enumerate(fields.get("also", ()), 1) if "source" in part]
    return [*found, *(("source", _mount_name(m)) for m in fields.get("mounts", ()) if "origin" in m)]


def _differences(before: Fields, after: Fields, listing_of: ListingOf) -> Iterator[Difference]:
    names = sorted((before.keys() | after.keys()) - {"op", "argv", *_LAST})
    if before.get("op") != after.get("op"):
        yield Difference("instruction", "instruction", "changed", _op(before), _op(after))
    yield from _command(before.get("argv"), after.get("argv"))
    for name in names:
        yield from _values("instruction", _FLAGS.get(name, name), before.get(name), after.get(name))
    for name in ("scripts", "inline"):
        yield from _named("instruction", _heredocs(before.get(name)), _heredocs(after.get(name)), shown=False)
    yield from _named(
        "instruction", _pairs(before.get("hosts"), "--add-host "), _pairs(after.get("hosts"), "--add-host ")
    )
    yield from _named("variable", _pairs(before.get("env")), _pairs(after.get("env")))
    yield from _named("secret", _pairs(before.get("secrets")), _pairs(after.get("secrets")), shown=False)
    yield from _files(before, after, listing_of)
    yield from _mounts(before.get("mounts", ()), after.get("mounts", ()))
    yield from _also(before.get("also", ()), after.get("also", ()))
    yield from _inputs(before, after, listing_of)


def _op(fields: Fields) -> str:
    return str(fields.get("op", "")).upper()


def _command(before: Sequence[Any] | None, after: Sequence[Any] | None) -> Iterator[Difference]:
    if before == after:
        return
    old, new = before or [], after or []
    if len(old) == len(new) > 1 and old[:-1] == new[:-1]:
        old, new = old[-1:], new[-1:]  # the same shell
    yield Difference("instruction", "command", "changed", told(old), told(new))


def _values(kind: str, name: str, before: Any, after: Any) -> Iterator[Difference]:
    if before != after:
        yield Difference(kind, name, "changed", told(before), told(after))


def _named(kind: str, before: Fields, after: Fields, *, shown: bool = True) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            change = "added" if name not in before else "removed" if name not in after else "changed"
            yield Difference(kind, name, change, *((told(old), told(new)) if shown else ()))


def _pairs(found: Sequence[Sequence[Any]] | None, prefix: str = "") -> dict[str, Any]:
    """Pairs by name; a name that stands twice, as that of a host may, has all its values."""
    values: dict[str, Any] = {}
    for name, value in found or ():
        text = f"{prefix}{told(name)}"
        values[text] = value if text not in values else f"{told(values[text])} {told(value)}"
    return values


def _heredocs(found: Sequence[Fields] | None) -> dict[str, Any]:
    return {f"<<{told(file.get('name'))}": file.get("content") for file in found or ()}


# --- files and mounts ----------------------------------------------------------------------------


def _files(before: Fields, after: Fields, listing_of: ListingOf) -> Iterator[Difference]:
    old, new = _outside(before), _outside(after)
    for name in sorted(old.keys() & new.keys()):
        if old[name] == new[name]:
            continue
        if after.get("op") in _FETCHED:
            yield Difference("fetched", "", "changed", old[name], new[name])
            continue
        lists = listing_of(old[name]), listing_of(new[name])
        if lists[0] is None or lists[1] is None:
            yield Difference("files", name, "changed", old[name], new[name])
            continue
        folder = _folder(before, name) if _folder(before, name) == _folder(after, name) else ""
        for change in compared(lists[0], lists[1], folder):
            shown = _printable(change)
            yield Difference("file", shown.path, shown.change, shown.before, shown.after)


def _outside(fields: Fields) -> dict[str, str]:
    """The digests of what is taken from outside the graph, by what takes it, in the order of solve/ops `outside`."""
    mounts = [_mount_name(m) for m in fields.get("mounts", ()) if _mount_kind(m) == "bind" and "origin" not in m]
    parts = [fields, *fields.get("also", ())]
    taking = [str(n) if n else "" for n, part in enumerate(parts) if "source" not in part and part.get("paths")]
    names = mounts if fields.get("op") == "run" else taking if fields.get("op") == "copy" else [""]
    return dict(zip(names, map(str, fields.get("outside", ())), strict=False))


def _folder(fields: Fields, name: str) -> str:
    """Where the files of a list are, when they come from a single source without patterns; else empty."""
    if fields.get("op") == "run":
        return next((told(m.get("source")) for m in fields.get("mounts", ()) if _mount_name(m) == name), "")
    paths = fields.get("paths", ())
    if name or len(paths) != 1 or fields.get("parents"):
        return ""
    path = told(paths[0])
    return "" if set("*?[\\") & set(path) else path


def _mounts(before: Sequence[Fields], after: Sequence[Fields]) -> Iterator[Difference]:
    old, new = {_mount_name(m): m for m in before}, {_mount_name(m): m for m in after}
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was is None or now is None:
            yield Difference("mount", name, "added" if was is None else "removed")
        elif _mount_kind(was) != _mount_kind(now):
            yield Difference("mount", name, "type", _mount_kind(was), _mount_kind(now))
        else:
            for key in sorted((was.keys() | now.keys()) - {"origin"}):
                if was.get(key) != now.get(key):
                    yield Difference("mount", name, key, told(was.get(key)), told(now.get(key)))


def _mount_name(mount: Fields) -> str:
    return told(mount.get("target") or mount.get("env") or mount.get("id"))


def _mount_kind(mount: Fields) -> str:
    """A mount's type, by the field that only it has (graph/vertex)."""
    marks = {"context": "bind", "read_only": "cache", "size": "tmpfs", "env": "secret"}
    return next((kind for mark, kind in marks.items() if mark in mount), "ssh")


def _also(before: Sequence[Fields], after: Sequence[Fields]) -> Iterator[Difference]:
    shown = [[{k: v for k, v in part.items() if k != "source"} for part in parts] for parts in (before, after)]
    yield from _values("instruction", "sources", shown[0], shown[1])


# --- what it stands on ---------------------------------------------------------------------------


def _inputs(before: Fields, after: Fields, listing_of: ListingOf) -> Iterator[Difference]:
    old, new = _digests(before), _digests(after)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            change = "added" if name not in old else "removed" if name not in new else "changed"
            was, now = old.get(name, ""), new.get(name, "")
            yield Difference("source", name, change, was, now, _changed(was, now, listing_of))
    if before.get("parent") != after.get("parent"):
        yield Difference("below", "", "changed", told(before.get("parent")), told(after.get("parent")))


def _changed(before: str, after: str, listing_of: ListingOf) -> tuple[FileChange, ...]:
    """The files that differ between two lists; none where one of them is not kept."""
    old, new = listing_of(before), listing_of(after)
    if old is None or new is None:
        return ()
    return tuple(map(_printable, compared(old, new)))


def _printable(change: FileChange) -> FileChange:
    return FileChange(*map(printable, (change.path, change.change, change.before, change.after)))


def _digests(fields: Fields) -> dict[str, str]:
    """The digests of what is taken from other vertices, by what takes it, as in `stands_on`."""
    found = {"": told(fields["source"])} if "source" in fields else {}
    found |= {str(n): told(p["source"]) for n, p in enumerate(fields.get("also", ()), 1) if "source" in p}
    return found | {_mount_name(m): told(m["origin"]) for m in fields.get("mounts", ()) if "origin" in m}


def told(value: Any) -> str:
    """A value for people."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case {"hex": str(digits), **rest} if not rest:
            return bytes.fromhex(digits).decode(errors="backslashreplace")
        case list() | tuple():
            return " ".join(map(told, value))
        case dict():
            return " ".join(f"{key}={told(item)}" for key, item in sorted(value.items()))
        case _:
            return str(value)
