"""The files of an image, or what one of its layers changed of them, as rows and as a drawn tree."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from builder.keys.listing import printable
from builder.layers.entry import Entry, Kind
from builder.layers.laid import Change, File, Node, walk
from builder.visible import visible

ADDED, CHANGED, DELETED = "A", "C", "D"
_TYPES = {
    Kind.FILE: stat.S_IFREG,
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.SYMLINK: stat.S_IFLNK,
    Kind.CHAR: stat.S_IFCHR,
    Kind.BLOCK: stat.S_IFBLK,
    Kind.FIFO: stat.S_IFIFO,
}


class Item(Struct, frozen=True):
    """A file to be shown at `path`, relative to the root; `change`: ADDED, CHANGED or DELETED by a layer, or empty."""

    path: str
    file: File
    change: str = ""


class TreeRow(Struct, frozen=True, omit_defaults=True):
    """A file as it is shown. `size` in bytes: of a directory that of all in it, hard links once, and without what a
    layer deleted; so with `files`.

    `path` is absolute; `layer` counts from 1; `change` as in Item. A `link` is where a symlink leads.
    """

    path: str
    type: str
    mode: str
    uid: int
    gid: int
    size: int
    files: int
    layer: int
    link: str = ""
    change: str = ""

    @property
    def depth(self) -> int:
        """How many directories it lies below."""
        return self.path.count("/") if self.path != "/" else 0

    @property
    def name(self) -> str:
        """Its last part; `/` for the root."""
        return self.path.rpartition("/")[2] or "/"


def all_below(node: Node, path: str = "") -> Iterator[Item]:
    """What is at `path` and all below it."""
    yield Item(path, node.file)
    if node.children is not None:
        yield from (Item(inner, child.file) for inner, child in walk(node, path))


def changed(root: Node, changes: Iterable[Change]) -> list[Item]:
    """What a layer has changed, each once, with the directories it lies in; `root` is that of the tree it made.

    A directory of which only the time is another has not changed: every program that makes a file in it does that.
    """
    marks: dict[str, Item] = {"": Item("", root.file)}
    for change in changes:
        before, after = change.before, change.after
        old = marks.get(change.path)
        if after is None:
            assert before is not None
            marks[change.path] = Item(change.path, before, DELETED)
        elif old is not None and old.change == ADDED:
            marks[change.path] = Item(change.path, after, ADDED)
        else:
            mark = ADDED if before is None else CHANGED if _differ(before.entry, after.entry) else ""
            marks[change.path] = Item(change.path, after, mark)
    kept = {path: item for path, item in marks.items() if item.change or not path}
    for path in list(kept):
        _add_above(kept, root, path)
    return sorted(kept.values(), key=lambda item: item.path.split("/") if item.path else [])


def rows(items: Iterable[Item]) -> list[TreeRow]:
    """The rows of items, which come with each directory before what is in it."""
    everything = list(items)
    sizes, files = [0] * len(everything), [0] * len(everything)
    seen: set[int] = set()
    open_: list[int] = []  # the directories we are in
    above: list[int] = []
    for number, item in enumerate(everything):
        while open_ and not _is_within(item.path, everything[open_[-1]].path):
            open_.pop()
        above.append(open_[-1] if open_ else -1)
        entry = item.file.entry
        if entry.kind is Kind.DIRECTORY:
            open_.append(number)
        elif id(item.file) not in seen:
            seen.add(id(item.file))
            sizes[number], files[number] = entry.size, 1
    for number in range(len(everything) - 1, -1, -1):
        outer = above[number]
        if outer >= 0 and (everything[number].change != DELETED or everything[outer].change == DELETED):
            sizes[outer] += sizes[number]
            files[outer] += files[number]
    return [_row(*each) for each in zip(everything, sizes, files, strict=True)]


def drawn(found: Sequence[TreeRow]) -> list[str]:
    """The rows' names as a tree, with where links lead."""
    lines: list[str] = []
    top = found[0].depth if found else 0
    open_: list[bool] = []  # by depth: whether something follows there, in the same directory
    for row in reversed(found):
        depth = row.depth - top
        del open_[depth + 1 :]
        open_ += [False] * (depth + 1 - len(open_))
        branches = "".join("│   " if more else "    " for more in open_[1:depth])
        corner = ("├── " if open_[depth] else "└── ") if depth else ""
        open_[depth] = True
        name = row.name if depth else row.path
        lines.append(f"{branches}{corner}{name}{f' -> {row.link}' if row.link else ''}")
    return lines[::-1]


def shown_path(path: str) -> str:
    """The path of an image's file, given relative to its root, as it may be shown anywhere, absolute."""
    return "/" + safe(path)


def safe(text: str) -> str:
    """`text` of an image that may have anything in it, on one line, as it may be shown anywhere."""
    return visible(printable(text))


def mode_text(entry: Entry) -> str:
    """Type and mode as ls(1) shows them."""
    return stat.filemode(_TYPES.get(entry.kind, 0) | entry.mode)


def _row(item: Item, size: int, files: int) -> TreeRow:
    entry = item.file.entry
    link = safe(entry.link) if entry.kind is Kind.SYMLINK else ""
    return TreeRow(
        path=shown_path(item.path),
        type=str(entry.kind),
        mode=mode_text(entry),
        uid=entry.uid,
        gid=entry.gid,
        size=size,
        files=files,
        layer=item.file.layer + 1,
        link=link,
        change=item.change,
    )


def _is_within(path: str, directory: str) -> bool:
    return not directory or path.startswith(f"{directory}/")


def _differ(before: Entry, after: Entry) -> bool:
    if before.kind is not Kind.DIRECTORY or after.kind is not Kind.DIRECTORY:
        return True
    return (before.mode, before.uid, before.gid, before.xattrs) != (after.mode, after.uid, after.gid, after.xattrs)


def _add_above(marks: dict[str, Item], root: Node, path: str) -> None:
    """Have the directories that `path` lies in among `marks`."""
    node, inner = root, ""
    for name in path.split("/")[:-1]:
        inner = f"{inner}/{name}" if inner else name
        child = (node.children or {}).get(name)
        if child is None:
            return  # it is gone, and among the marks
        node = child
        marks.setdefault(inner, Item(inner, node.file))
