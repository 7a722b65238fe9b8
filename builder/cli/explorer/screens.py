"""What lies over the panes: a file, and what is wasted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from builder.lang.sizes import size
from builder.views.leftovers import Leftover
from builder.views.waste import Analysis, Step, Waste

if TYPE_CHECKING:
    from textual.app import ComposeResult


class Page(Screen[None]):
    """Text under a title, to be scrolled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Back"),
        Binding("g,home", "scroll_home", "Top", show=False),
        Binding("G,end", "scroll_end", "End", show=False),
    ]

    def __init__(self, title: str, text: Text) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        """A title line, the text, the keys."""
        yield Static(Text(self._title, no_wrap=True, overflow="ellipsis"), id="title")
        with VerticalScroll(id="page"):
            yield Static(self._text)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Keys scroll the text."""
        self.query_one("#page").focus()


def file_page(path: str, lines: Sequence[str]) -> Page:
    """What is in a file."""
    return Page(path, Text("\n".join(lines)))


def waste_page(found: Analysis) -> Page:
    """What is wasted, and what is left in the image."""
    text = Text()
    for waste in found.waste:
        _add_waste(text, waste)
    if found.leftovers:
        text.append("Left in the image\n\n", style="bold")
    for leftover in found.leftovers:
        _add_leftover(text, leftover)
    if not text:
        text.append("Nothing is wasted.")
    share = f"{size(found.wasted)} of {size(found.bytes)} wasted"
    return Page(f"Efficiency {found.efficiency:.1%}: {share}", text)


def _add_waste(text: Text, waste: Waste) -> None:
    text.append(f"{size(waste.bytes)} {waste.how}", style="bold")
    text.append(f"\n  written by {_step(waste.written)}\n  wasted by {_step(waste.wasted)}\n")
    for example in waste.examples:
        text.append(f"  {size(example.size):>7} {example.path}\n", style="dim")
    text.append(f"  → {waste.advice}\n\n", style="green")


def _add_leftover(text: Text, left: Leftover) -> None:
    text.append(f"{size(left.bytes)} {left.what}", style="bold")
    more = f" and {left.places - 1} other places" if left.places > 1 else ""
    text.append(f"\n  {left.path}{more}, by {left.line}\n")
    text.append(f"  → {left.advice}\n\n", style="green")


def _step(step: Step) -> str:
    return f"{step.place or f'layer {step.layer}'}: {' '.join(step.text.split())}"
