"""Layers laid on each other in memory: what an image shows, where each file came from, and what each layer changed.

Only entries are held, no data; nothing is unpacked or mounted. It shows what the snapshots of the same layers show:
deletions count for the layers below alone, and an entry that goes through a link of its own layer is where that leads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from msgspec import Struct

from builder.errors import BadInputError, NotFoundError
from builder.layers.entry import Entry, Kind

# More than any image has that is meant to be looked at: so many take about 1 GB of memory.
MOST_ENTRIES = 2_000_000
# Bytes of all their names, links and attributes, which can be long.
_MOST_TEXT = 512 << 20
# Steps from directory to directory; a real image takes a few for each entry. So many take about half a minute.
_MOST_STEPS = 60_000_000
# In bytes: what the kernel takes (path_resolution(7)), with how many links it follows.
_LONGEST, _MOST_LINKS = 4095, 40
# As extraction makes directories that no entry names.
_IMPLIED_MODE = 0o755


class File(Struct, eq=False):
    """What an entry of the layer with this number (from 0) brought; `place` is the entry's own number in it.

    All hard links of it share it: `names` is how many of them show. `place` is -1 for a directory no entry names.
    """

    entry: Entry
    layer: int
    place: int = -1
    names: int = 0


class Node(Struct, eq=False):
    """A name that shows: `children` by name for a directory, None for anything else."""

    file: File
    children: dict[str, Node] | None

    @property
    def kind(self) -> Kind:
        """What it is; never a hard link, which is the file it names."""
        return self.file.entry.kind


class Change(Struct, frozen=True):
    """What a layer did at `path`; `before` is None for what is new, `after` for what is deleted.

    `lost`: no name is left of what was there before, so its data is in the image for nothing.
    """

    path: str
    before: File | None
    after: File | None
    lost: bool = False


class Tree:
    """What the layers laid so far show. Raises BadInputError for images that hold too much to be looked at."""

    def __init__(self) -> None:
        self.root = _directory(-1)
        self.layers = 0
        self._entries = self._steps = self._text = 0
        self._changes: list[Change] = []
        self._above: tuple[str, Node] = ("", self.root)

    def lay(self, entries: Iterable[Entry]) -> list[Change]:
        """Lay one more layer on what there is; gives what it changed, directories before what is in them."""
        hidden: list[Entry] = []
        self._changes = []
        for place, entry in enumerate(entries):
            if len(entry.path) > _LONGEST:
                raise BadInputError(f"the image has a path that is too long: {entry.path[:60]!r}…")
            if entry.kind is Kind.WHITEOUT:
                hidden += [entry] if entry.path else []  # aufs's own marks have none
                continue
            self._count(entry)
            if entry.kind is Kind.OPAQUE:
                self._directory(entry.path)
                hidden.append(entry)
            else:
                self._put(entry, place)
        # Last, and only what is older: deletions do not count for what the layer itself has.
        for entry in hidden:
            self._hide(entry)
        self.layers += 1
        return self._changes

    def walk(self) -> Iterator[tuple[str, Node]]:
        """All that shows but the root, directories before what is in them, siblings in order of their names."""
        return walk(self.root)

    def resolve(self, path: str, *, follow: bool = True) -> tuple[str, Node]:
        """What `path` leads to, and the path of that without links; `follow` says whether a last link is followed.

        Links stay inside, as if the image were all there is. Raises NotFoundError.
        """
        todo, links = _parts(path)[::-1], 0
        stack: list[tuple[str, Node]] = [("", self.root)]
        while todo:
            name = todo.pop()
            above, node = stack[-1]
            self._step()
            if name == "..":
                stack = stack[:-1] or stack
                continue
            if node.children is None:
                raise NotFoundError(f"{path} is not there: /{above} is no directory")
            found = node.children.get(name)
            if found is None:
                raise NotFoundError(f"{path} is not there: the image has no /{_joined(above, name)}")
            if found.kind is Kind.SYMLINK and (todo or follow):
                links += 1
                target = found.file.entry.link
                if links > _MOST_LINKS or len(target) > _LONGEST:
                    raise NotFoundError(f"{path} is not there: there are too many links on the way")
                todo += _parts(target)[::-1]
                stack = [("", self.root)] if target.startswith("/") else stack
                continue
            stack.append((_joined(above, name), found))
        return stack[-1]

    # --- what an entry does ----------------------------------------------------------------------

    def _put(self, entry: Entry, place: int) -> None:
        if not entry.path:
            if entry.kind is Kind.DIRECTORY:
                before, self.root.file = self.root.file, File(entry, self.layers, place, 1)
                self._changes.append(Change("", before, self.root.file))
            return
        above, _, name = entry.path.rpartition("/")
        above, directory = self._directory(above)
        file = self._linked(entry) if entry.kind is Kind.HARDLINK else File(entry, self.layers, place)
        self._show(above, directory, name, file)

    def _linked(self, entry: Entry) -> File:
        try:
            _, node = self.resolve(entry.link, follow=False)
        except NotFoundError:
            raise BadInputError(f"{entry.path!r} of a layer is a link to {entry.link!r}, which is not there") from None
        if node.children is not None:
            raise BadInputError(f"{entry.path!r} of a layer is a link to a directory")
        return node.file

    def _show(self, above: str, directory: Node, name: str, file: File) -> None:
        """Have `file` show as `name` in `directory`, whose path is `above`."""
        assert directory.children is not None
        path, old = _joined(above, name), directory.children.get(name)
        is_directory = file.entry.kind is Kind.DIRECTORY
        if old is not None and old.file is file:
            return  # a link to itself
        file.names += 1
        if old is None:
            self._changes.append(Change(path, None, file))
            directory.children[name] = Node(file, {} if is_directory else None)
            return
        old.file.names -= 1
        self._changes.append(Change(path, old.file, file, lost=not old.file.names))
        if is_directory and old.children is not None:
            old.file = file
            return
        if old.children is not None:
            self._forget(path, old, everything=True)
        directory.children[name] = Node(file, {} if is_directory else None)

    def _directory(self, path: str) -> tuple[str, Node]:
        """The directory that an entry at `path` would make or find, and its path without links."""
        if self._above[0] == path:
            return self._above
        real, node = "", self.root
        for name in _parts(path):
            self._step()
            assert node.children is not None
            inner, found = _joined(real, name), node.children.get(name)
            if found is None or found.children is None:
                real, node = self._through(inner, node, name, found)
            else:
                real, node = inner, found
        if real == path:  # not through a link, so the same is found again
            self._above = (path, node)
        return real, node

    def _through(self, path: str, above: Node, name: str, found: Node | None) -> tuple[str, Node]:
        """The directory that is needed where `found`, which is none, is."""
        assert above.children is not None
        if found is not None and found.kind is Kind.SYMLINK and found.file.layer == self.layers:
            with suppress(NotFoundError):
                real, node = self.resolve(path)
                if node.children is not None:
                    return real, node
        implied = Entry(path, Kind.DIRECTORY, _IMPLIED_MODE)
        self._count(implied)
        self._show(path.rpartition("/")[0], above, name, File(implied, self.layers))
        return path, above.children[name]

    def _hide(self, entry: Entry) -> None:
        """Take away what a deletion deletes."""
        try:
            path, node = self.resolve(entry.path, follow=False)
        except NotFoundError:
            return  # of nothing, as some builders write it
        if path != entry.path:
            return
        older = node.file.layer < self.layers
        if node.children is not None:
            self._forget(path, node, everything=False)
        if entry.kind is Kind.OPAQUE or not older:
            return
        if node.children:  # the layer has something in it all the same
            node.file = File(Entry(path, Kind.DIRECTORY, _IMPLIED_MODE), self.layers, names=1)
            return
        above, _, name = path.rpartition("/")
        _, parent = self.resolve(above)
        assert parent.children is not None
        self._drop(parent.children, name, path)

    def _forget(self, path: str, node: Node, *, everything: bool) -> None:
        """Take away what is in a directory: `everything`, or what older layers have in it."""
        found: list[tuple[dict[str, Node], str, str, Node]] = []
        todo = [(path, node)]
        while todo:
            above, inner = todo.pop()
            assert inner.children is not None
            for name, child in inner.children.items():
                self._step()
                found.append((inner.children, name, _joined(above, name), child))
                if child.children is not None:
                    todo.append((found[-1][2], child))
        begun = len(self._changes)
        for siblings, name, inner_path, child in reversed(found):  # children come after their directory
            if (everything or child.file.layer < self.layers) and not child.children:
                self._drop(siblings, name, inner_path)
        self._changes[begun:] = self._changes[begun:][::-1]
        self._above = ("", self.root)

    def _drop(self, siblings: dict[str, Node], name: str, path: str) -> None:
        file = siblings.pop(name).file
        file.names -= 1
        self._changes.append(Change(path, file, None, lost=not file.names))
        self._above = ("", self.root)

    def _count(self, entry: Entry) -> None:
        self._entries += 1
        self._text += len(entry.path) + len(entry.link) + sum(len(value) for _, value in entry.xattrs)
        if self._entries > MOST_ENTRIES or self._text > _MOST_TEXT:
            raise BadInputError(f"the image has too many files: {self._entries}", hint="it is not looked at")

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise BadInputError("the image has too many directories in directories", hint="it is not looked at")


def walk(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """All that shows below a directory at `path`, as Tree.walk gives it."""
    todo = [iter(_sorted(path, node))]
    while todo:
        found = next(todo[-1], None)
        if found is None:
            todo.pop()
            continue
        yield found
        if found[1].children:
            todo.append(iter(_sorted(*found)))


def _sorted(path: str, node: Node) -> list[tuple[str, Node]]:
    return [(_joined(path, name), child) for name, child in sorted((node.children or {}).items())]


def _directory(layer: int) -> Node:
    return Node(File(Entry("", Kind.DIRECTORY, _IMPLIED_MODE), layer, names=1), {})


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _joined(above: str, name: str) -> str:
    return f"{above}/{name}" if above else name
