"""The explorer: layers on the left, files of the chosen one on the right; on narrow terminals one above the other."""

from __future__ import annotations

import asyncio
import signal
from pathlib import PurePath
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Footer, Input, OptionList, Static, Tree

from builder.cli.explorer.panes import FileTree, Layers
from builder.cli.explorer.screens import file_page, waste_page
from builder.errors import PybuildError
from builder.lang.sizes import size
from builder.views.explored import Explored, Files, Line
from builder.views.waste import Analysis

ENDING = (signal.SIGTERM, signal.SIGHUP)
_OF_PANES = ("focus_next", "filter", "changes", "sort", "view", "waste", "unfilter")


class Explorer(App[PybuildError | None]):
    """Gives the error that ended it, if one did; `ended_by` is the signal that did, of ENDING."""

    CSS_PATH: ClassVar[str | PurePath | list[str | PurePath] | None] = "explorer.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (70, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", priority=True),  # what is typed right after it goes into the field
        Binding("c", "changes", "Diff"),
        Binding("s", "sort", "Sort"),
        Binding("v", "view", "View"),
        Binding("w", "waste", "Waste"),
        Binding("p", "focus_next", "Pane"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("escape", "unfilter", show=False),
    ]

    def __init__(self, name: str, explored: Explored) -> None:
        super().__init__()
        self.title = name
        self._explored = explored
        self._analysis: Analysis | None = None
        self._files: Files | None = None
        self._layer: int | None = None
        self._only_changes = False
        self.ended_by: signal.Signals | None = None

    def compose(self) -> ComposeResult:
        """The panes, a line about what is chosen, the keys."""
        yield Static(f"{self.title}: reading its layers…", id="title", markup=False)
        with Container(id="panes"):
            yield Layers(id="layers", markup=False)
            yield FileTree(id="files")
        yield Input(placeholder="part of a path", id="filter", compact=True)
        yield Static(id="about", markup=False)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Begin to read."""
        # What the program does at these, raising in whatever runs, would be lost in a callback of the loop.
        for number in ENDING:
            asyncio.get_running_loop().add_signal_handler(number, self._end, number)
        self._read()

    def _end(self, number: signal.Signals) -> None:
        self.ended_by = number
        self.exit()

    # --- work that takes its time ------------------------------------------------------------------

    @work(thread=True)
    def _read(self) -> None:
        try:
            found, files = self._explored.read(), self._explored.files(None)
        except PybuildError as error:
            self.call_from_thread(self.exit, error)
            return
        self.call_from_thread(self._begin, found, files)

    def _begin(self, found: Analysis, files: Files) -> None:
        self._analysis = found
        share = f"{found.efficiency:.0%} efficient, {size(found.wasted)} wasted"
        self.query_one("#title", Static).update(f"{self.title}  {found.platform}  {size(found.size)}  {share}")
        layers = self.query_one(Layers)
        layers.fill(found.layers, found.size)
        layers.highlighted = 0
        if not self.query_one("#filter", Input).display:  # else a filter is being typed
            layers.focus()
        self._show(None, files)

    @work(thread=True, exclusive=True)
    def _choose(self, layer: int | None) -> None:
        files = self._explored.files(layer)
        self.call_from_thread(self._show, layer, files)

    def _show(self, layer: int | None, files: Files) -> None:
        if layer == self._layer:  # else another was chosen meanwhile
            self._files = files
            self._refresh()

    def _refresh(self) -> None:
        if self._files is not None:
            text = self.query_one("#filter", Input).value
            self._files.choose(text, changes=self._only_changes and self._layer is not None)
            self.query_one(FileTree).show(self._files)

    # --- what is chosen ------------------------------------------------------------------------------

    @on(OptionList.OptionHighlighted, "#layers")
    def _layer_chosen(self, event: OptionList.OptionHighlighted) -> None:
        number = int(event.option_id or 0)
        layer = number or None
        if layer != self._layer:
            self._layer = layer
            self._choose(layer)
        self._tell(self._explored.steps[number - 1].text if number else "all that the image shows")

    @on(Tree.NodeHighlighted, "#files")
    def _file_highlighted(self, event: Tree.NodeHighlighted[Line]) -> None:
        line = event.node.data
        if line is not None and self.query_one(FileTree).has_focus:
            step = self._explored.steps[line.layer - 1] if line.layer else None
            by = f"  layer {line.layer} {step.place}" if step is not None else ""
            self._tell(f"{line.mode} {line.owner} {size(line.size)}{by}  /{line.path_shown}")

    @on(Tree.NodeSelected, "#files")
    def _file_selected(self, event: Tree.NodeSelected[Line]) -> None:
        if event.node.data is not None and event.node.data.mode[0] != "d":
            self.action_view()

    def _tell(self, text: str) -> None:
        self.query_one("#about", Static).update(Text(" ".join(text.split()), overflow="ellipsis"))

    # --- keys ----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Over the panes only what is of use there; a path may have a slash in it."""
        if action == "filter" and isinstance(self.focused, Input):
            return False
        return len(self.screen_stack) == 1 or action not in _OF_PANES

    def action_changes(self) -> None:
        """Show only what the layer changed, or all again."""
        self._only_changes = not self._only_changes
        if self._only_changes and self._layer is None:
            self.notify("Choose a layer to see its changes.")
        self._refresh()

    def action_sort(self) -> None:
        """By size, or by name again."""
        tree = self.query_one(FileTree)
        tree.by_size = not tree.by_size
        self._refresh()

    def action_filter(self) -> None:
        """Ask for a part of a path."""
        field = self.query_one("#filter", Input)
        field.display = True
        self.screen.set_focus(field)

    @on(Input.Submitted, "#filter")
    def _filtered(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = bool(field.value)
        self._refresh()
        self.query_one(FileTree).focus()

    def action_unfilter(self) -> None:
        """Show all again."""
        field = self.query_one("#filter", Input)
        field.value = ""
        field.display = False
        self._refresh()
        self.query_one(FileTree).focus()

    def action_view(self) -> None:
        """Show what is in the file under the cursor."""
        node = self.query_one(FileTree).cursor_node
        line = None if node is None else node.data
        if line is None or line.mode[0] != "-":
            self.notify("Only regular files are shown.")
            return
        try:
            lines = self._explored.text(line.file)
        except PybuildError as error:
            self.exit(error)
            return
        self.push_screen(file_page(f"/{line.path_shown}", lines))

    def action_waste(self) -> None:
        """Show what is wasted."""
        if self._analysis is not None:
            self.push_screen(waste_page(self._analysis))
