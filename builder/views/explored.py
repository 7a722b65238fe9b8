"""An image as it is explored: layer by layer, directory by directory, each listed when somebody looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from builder.errors import NotFoundError
from builder.image.descriptor import Layer
from builder.layers.entry import Entry, Kind
from builder.layers.laid import Change, File, Node, Tree
from builder.store.blobs import Blobs
from builder.views import contents
from builder.views.filetree import DELETED, Item, changed, mode_text, safe
from builder.views.waste import Analysis, Step, analyzed

# Of a file so many bytes are shown, and of one that is no text so many in hex digits.
MOST_SHOWN, _MOST_HEX = 256 << 10, 4 << 10
_HEX_LINE = 16


class Line(Struct, frozen=True):
    """A file in a list: `path` as the image has it, the rest as it may be shown; a directory's size is of all in it.

    `change` is as in filetree, `inside` says that a directory has changes in it; `layer` counts from 1.
    """

    path: str
    name: str
    kind: Kind
    size: int
    mode: str
    owner: str
    link: str
    layer: int
    change: str
    inside: bool
    file: File

    @property
    def path_shown(self) -> str:
        """The path as it may be shown."""
        return safe(self.path)


class Files:
    """What shows with one layer on top of those below it, and what that layer deleted."""

    def __init__(self, tree: Tree, changes: Iterable[Change]) -> None:
        self._tree = tree
        self._marks = {item.path: item for item in changed(tree.root, changes)}
        self._deleted: dict[str, list[Item]] = {}
        for item in self._marks.values():
            if item.change == DELETED:
                self._deleted.setdefault(item.path.rpartition("/")[0], []).append(item)
        self._sizes: dict[int, int] = {}
        self._visible: set[str] | None = None

    def choose(self, text: str = "", *, changes: bool = False) -> None:
        """Show only what has `text` in its path, in whichever case, and with `changes` only what the layer changed."""
        self._visible = None
        if not text and not changes:
            return
        wanted = text.casefold()
        paths = self._marks if changes else [*(path for path, _ in self._tree.walk()), *self._marks]
        found: set[str] = set()
        for path in paths:
            if wanted in path.casefold():
                while path and path not in found:
                    found.add(path)
                    path = path.rpartition("/")[0]
        self._visible = found

    def chosen(self, most: int) -> set[str]:
        """The paths that `choose` chose, with the directories above, where it did and they are no more than `most`."""
        return self._visible if self._visible is not None and len(self._visible) <= most else set()

    def inside(self, path: str) -> list[Line]:
        """What is in the directory at `path`, by name."""
        try:
            children = self._tree.resolve(path, follow=False)[1].children or {}
        except NotFoundError:
            children = {}
        lines = [self._line(f"{path}/{name}" if path else name, node) for name, node in children.items()]
        lines += [self._gone(item) for item in self._deleted.get(path, ())]
        return sorted((line for line in lines if self._shows(line.path)), key=lambda line: line.path)

    def _shows(self, path: str) -> bool:
        return self._visible is None or path in self._visible

    def _line(self, path: str, node: Node) -> Line:
        mark = self._marks.get(path)
        return _line(path, node.file, self._size(node), mark.change if mark else "", inside=mark is not None)

    def _gone(self, item: Item) -> Line:
        return _line(item.path, item.file, item.file.entry.size, DELETED, inside=item.path in self._deleted)

    def _size(self, node: Node) -> int:
        """Of a directory all that is in it; what a file has several names for counts with each."""
        if node.children is None:
            return node.file.entry.size
        if id(node) not in self._sizes:
            self._measure(node)
        return self._sizes[id(node)]

    def _measure(self, node: Node) -> None:
        order = [node]
        for one in order:  # grows: each directory comes before those in it
            order += [child for child in (one.children or {}).values() if child.children is not None]
        for one in reversed(order):
            sizes = (
                child.file.entry.size if child.children is None else self._sizes[id(child)]
                for child in (one.children or {}).values()
            )
            self._sizes[id(one)] = sum(sizes)


class Explored:
    """An image's layers: their entries are read once and kept, which takes about 0.7 kB for each file."""

    def __init__(self, title: tuple[str, str], blobs: Blobs, layers: tuple[Layer, ...], steps: list[Step]) -> None:
        """`title` is the image's ID and its platform; `steps` are those of the layers."""
        self.steps = steps
        self._title, self._blobs, self._layers = title, blobs, layers
        self._entries: list[list[Entry]] = []

    def read(self) -> Analysis:
        """Read all layers, and tell what they take. Raises BadInputError, NotFoundError."""
        self._entries = [list(contents.entries(self._blobs, layer, digests=True)) for layer in self._layers]
        return analyzed(*self._title, self._layers, self.steps, self._laid())

    def files(self, layer: int | None) -> Files:
        """What shows with the layer of this number (from 1) on top, and what it changed; None: all, nothing changed."""
        tree, changes = Tree(), list[Change]()
        for entries in self._entries[:layer]:
            changes = tree.lay(entries)
        return Files(tree, () if layer is None else changes)

    def text(self, file: File) -> list[str]:
        """What is in a regular file, as lines that may be shown anywhere; of a large one the beginning."""
        head = bytearray()
        for piece in contents.data(self._blobs, self._layers, file):
            head += piece[: MOST_SHOWN - len(head)]
            if len(head) == MOST_SHOWN:
                break
        more = [] if len(head) == file.entry.size else [f"… {file.entry.size} bytes in all"]
        if b"\0" not in head:
            return [safe(line.expandtabs()) for line in head.decode(errors="surrogateescape").split("\n")] + more
        shown = bytes(head[:_MOST_HEX])
        more = [] if len(shown) == file.entry.size else [f"… {file.entry.size} bytes in all"]
        return [_hex(shown, at) for at in range(0, len(shown), _HEX_LINE)] + more

    def _laid(self) -> Iterator[tuple[Tree, list[Change]]]:
        tree = Tree()
        for entries in self._entries:
            yield tree, tree.lay(entries)


def _line(path: str, file: File, size: int, change: str, *, inside: bool) -> Line:
    entry = file.entry
    return Line(
        path=path,
        name=safe(path.rpartition("/")[2]),
        kind=entry.kind,
        size=size,
        mode=mode_text(entry),
        owner=f"{entry.uid}:{entry.gid}",
        link=safe(entry.link) if entry.kind is Kind.SYMLINK else "",
        layer=file.layer + 1,
        change=change,
        inside=inside and entry.kind is Kind.DIRECTORY,
        file=file,
    )


def _hex(data: bytes, at: int) -> str:
    line = data[at : at + _HEX_LINE]
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
    return f"{at:06x}  {line.hex(' '):<{3 * _HEX_LINE}} {text}"
