"""The two panes: the layers with their lines, and the files of one as a tree that is listed where it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import OptionList, Tree
from textual.widgets.option_list import Option

from builder.lang.sizes import size
from builder.views.explored import Files, Line
from builder.views.waste import LayerUse

if TYPE_CHECKING:
    from textual.widgets.tree import TreeNode

_STYLES = {"A": "green", "C": "yellow", "D": "red"}
# More names in one directory are not listed: the filter finds them.
_MOST_LISTED = 2000
# What a filter leaves is opened, if it is no more than this.
_MOST_OPENED = 300
# Of a step, so much fits into the pane.
_LONGEST_STEP = 30


class Layers(OptionList):
    """All layers together, then each, the lowest first. Option IDs are their numbers, 0 is all."""

    def fill(self, uses: Sequence[LayerUse], total: int) -> None:
        """Show these layers."""
        self.clear_options()
        self.add_option(Option(f"all {size(total):>7}  the whole image", id="0"))
        for use in uses:
            wasted = f"  {size(use.wasted)} wasted" if use.wasted else ""
            step = " ".join(f"{use.step.place} {use.step.text}".split()) or "<unknown>"
            shown = step if len(step) <= _LONGEST_STEP else f"{step[: _LONGEST_STEP - 1]}…"
            text = Text.assemble(f"{use.step.layer:>3} {size(use.size):>7}{wasted}\n    ", (shown, "dim"))
            self.add_option(Option(text, id=str(use.step.layer)))


class FileTree(Tree[Line]):
    """The files of a layer: sizes, names, and what has become of them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "open", "Open", show=False),
        Binding("left", "close", "Close", show=False),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__("/", id=id)
        self._files: Files | None = None
        self.by_size = False
        self.show_root = False
        self.guide_depth = 2

    def show(self, files: Files) -> None:
        """List these files; what was open stays open, where it is still there."""
        opened = {node.data.path for node in self._below(self.root) if node.is_expanded and node.data is not None}
        at = self.cursor_node.data.path if self.cursor_node is not None and self.cursor_node.data is not None else ""
        self._files = files
        self.root.remove_children()
        self._list(self.root, "", opened | files.chosen(_MOST_OPENED))
        if not self.root.children:
            self.root.add_leaf(Text("nothing", style="dim"))
        self.root.expand()
        for node in self._below(self.root):
            if node.data is not None and node.data.path == at:
                self.call_after_refresh(self.move_cursor, node)

    def action_open(self) -> None:
        """Open the directory under the cursor."""
        if self.cursor_node is not None and self.cursor_node.allow_expand:
            self.cursor_node.expand()

    def action_close(self) -> None:
        """Close the directory under the cursor, or go to the one it is in."""
        node = self.cursor_node
        if node is None:
            return
        if node.is_expanded:
            node.collapse()
        elif node.parent is not None and not node.parent.is_root:
            self.move_cursor(node.parent)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Line]) -> None:
        """List a directory that is opened for the first time."""
        node = event.node
        if node.data is not None and not node.children:
            self._list(node, node.data.path, set())

    def _list(self, node: TreeNode[Line], path: str, opened: set[str]) -> None:
        assert self._files is not None
        lines = self._files.inside(path)
        if self.by_size:
            lines.sort(key=lambda line: -line.size)
        for line in lines[:_MOST_LISTED]:
            if line.mode[0] != "d":
                node.add_leaf(_label(line), line)
                continue
            child = node.add(_label(line), line, expand=line.path in opened)
            if line.path in opened:
                self._list(child, line.path, opened)
        if len(lines) > _MOST_LISTED:
            node.add_leaf(Text(f"… and {len(lines) - _MOST_LISTED} more", style="dim"))

    def _below(self, node: TreeNode[Line]) -> list[TreeNode[Line]]:
        found = [node]
        for one in found:
            found += one.children
        return found


def _label(line: Line) -> Text:
    mark = line.change or ("·" if line.inside else " ")
    text = Text(f"{mark} {size(line.size):>7} {line.name}", style=_STYLES.get(line.change, ""), no_wrap=True)
    if line.link:
        text.append(f" -> {line.link}", style="dim")
    return text
