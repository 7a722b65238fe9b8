"""`analyze`: what the layers and lines of an image take, and what of that is wasted."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from builder.cli.help import command
from builder.cli.listing import echo_document
from builder.cli.options import TABLE, echo_lines, echo_table, format_option, platform_option, root_option, session
from builder.cli.tables import terminal_width
from builder.errors import PybuildError
from builder.lang.sizes import parse_size, size

if TYPE_CHECKING:
    from builder.views.leftovers import Leftover
    from builder.views.waste import Analysis, LayerUse, Step, Waste

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?) ?%")
# Of what is wasted and left over, the table shows so much; JSON has all.
_MOST = 10
_EXAMPLES = 3
_LONGEST_STEP = 45


class Limit(click.ParamType[float]):
    """Bytes (`10MB`), or a part of all there are, which is given as a negative number."""

    name = "limit"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The limit a text means. Raises BadParameter."""
        text = str(value).strip()
        percent = _PERCENT.fullmatch(text)
        if percent is not None and float(percent[1]) <= 100:
            return -float(percent[1]) / 100
        found = parse_size(text)
        if found is None:
            self.fail(f"{text!r} is neither bytes, as 10MB, nor a part of them, as 5%.", param, ctx)
        return found


@command(
    ("pybuild analyze app", "see what each line costs, what is wasted, and what to change"),
    ("pybuild analyze --fail-over 5% app", "have a CI job fail when more than 5% are wasted"),
    short="Show what layers and lines take, what is wasted",
)
@click.argument("image")
@click.option("--fail-over", type=Limit(), metavar="BYTES|PERCENT", help="End with 1 when more is wasted: 10MB, 5%.")
@platform_option
@format_option
@root_option
def analyze(image: str, fail_over: float | None, platform: str, form: str, root: str | None) -> None:
    """Show what layers and lines of an image take, and what of it is wasted."""
    from builder.api import insight

    with session(root) as opened:
        found = insight.analyze(opened, image, platform)
    if form != TABLE:
        echo_document(found, form)
    else:
        _show(image, found)
    if fail_over is not None:
        limit = fail_over if fail_over >= 0 else -fail_over * found.bytes
        if found.wasted > limit:
            raise PybuildError(f"{_wasted(found)} wasted, and --fail-over allows {size(int(limit))}")


def _wasted(found: Analysis) -> str:
    if not found.wasted:
        return "nothing is"
    return f"{size(found.wasted)} of {size(found.bytes)} ({found.wasted / found.bytes:.1%}) are"


def _show(image: str, found: Analysis) -> None:
    packed = size(found.packed)
    head = f"{size(found.size)} in {_many(len(found.layers), 'layer')}, {packed} compressed"
    head = f"{head}, {_many(found.files, 'file')}"
    echo_lines(_wrapped((f"{image}  {found.platform}  {found.id}", head, "")))
    echo_table(("LAYER", "SIZE", "FILES", "WASTED", "LINE", "STEP"), [_layer(use) for use in found.layers], ("STEP",))
    shared = [line for line in found.lines if len(line.layers) > 1]
    if shared:
        click.echo()
        lines = [(x.place, size(x.size), str(x.files), size(x.wasted), ", ".join(map(str, x.layers))) for x in shared]
        echo_table(("LINE", "SIZE", "FILES", "WASTED", "LAYERS"), lines)
    echo_lines(_wrapped(("", f"Efficiency {found.efficiency:.1%}: {_wasted(found)} wasted")))
    echo_lines(_wrapped(_section("Wasted", [_waste(one) for one in found.waste])))
    echo_lines(_wrapped(_section("Left in the image", [_leftover(one) for one in found.leftovers])))


def _layer(use: LayerUse) -> tuple[str, ...]:
    text = " ".join(use.step.text.split()) or "<unknown>"
    cut = text if len(text) <= _LONGEST_STEP else f"{text[: _LONGEST_STEP - 1]}…"
    wasted = size(use.wasted) if use.wasted else ""
    return str(use.step.layer), size(use.size), str(use.files), wasted, use.step.place, cut


def _section(title: str, found: Sequence[Sequence[str]]) -> Iterator[str]:
    for number, lines in enumerate(found[:_MOST]):
        yield ""
        if not number:
            yield f"{title}:"
        yield from (f"  {line}" for line in lines)
    if len(found) > _MOST:
        yield from ("", f"  and {len(found) - _MOST} more: --format json has all")


def _wrapped(lines: Iterable[str]) -> Iterator[str]:
    """Lines that end between words, where they are longer than the terminal is wide."""
    columns = terminal_width(sys.stdout)
    for line in lines:
        if columns is None or len(line) <= columns:
            yield line
            continue
        indent = " " * (len(line) - len(line.lstrip(" ")) + 2)
        yield from textwrap.wrap(line, columns, subsequent_indent=indent, break_on_hyphens=False)


def _waste(one: Waste) -> list[str]:
    how = {"owner": "copied for another owner", "mode": "copied for another mode", "same content": "written again"}
    by = f"{how.get(one.how, one.how)} by {_step(one.wasted)}"
    examples = [f"    {size(each.size):>7} {each.path}" for each in one.examples[:_EXAMPLES]]
    more = [f"    and {one.files - _EXAMPLES} more below {one.directory}"] if one.files > _EXAMPLES else []
    return [f"{size(one.bytes)} written by {_step(one.written)}, {by}", *examples, *more, f"  → {one.advice}"]


def _step(step: Step) -> str:
    return step.place or f"layer {step.layer}"


def _leftover(one: Leftover) -> list[str]:
    more = f" and {_many(one.places - 1, 'other place')}" if one.places > 1 else ""
    files = _many(one.files, "file")
    return [f"{size(one.bytes)} in {files}: {one.what}, in {one.path}{more}, by {one.line}", f"  → {one.advice}"]


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
