"""Bytes that an image holds for nothing: files that a later layer hides; and what each layer and each line takes.

dive's efficiency is the same idea: of all bytes in layers, those that the image shows. It counts the smallest of the
files that a path had as needed, here it is the one that is seen: both differ where one was replaced by a larger one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from builder.image.descriptor import Layer
from builder.layers.entry import Kind
from builder.layers.laid import Change, File, Tree
from builder.views.advice import advice
from builder.views.filetree import shown_path
from builder.views.leftovers import Leftover, leftovers

DELETED, REPLACED, OWNER, MODE, SAME = "deleted", "replaced", "owner", "mode", "same content"
_MOST_SHOWN = 5


class Step(Struct, frozen=True):
    """What made a layer, as the image's history tells it; `place` is `Buildfile:3`, or empty. `layer` counts from 1."""

    layer: int
    text: str
    place: str


class Example(Struct, frozen=True):
    """One of several files."""

    path: str
    size: int


class Waste(Struct, frozen=True):
    """Files that `written` put into the image and `wasted` hid again, with how: `bytes` of them are in it for nothing.

    `how` is deleted, replaced, or, of files with the same content: owner, mode, same content. All are below
    `directory`; `examples` are the largest.
    """

    how: str
    bytes: int
    files: int
    written: Step
    wasted: Step
    directory: str
    examples: tuple[Example, ...]
    advice: str


class LayerUse(Struct, frozen=True):
    """What a layer takes: bytes of its tar, of its blob, of the files in it and how many of them later layers hide."""

    step: Step
    diff_id: str
    digest: str
    size: int
    packed: int
    bytes: int
    files: int
    wasted: int


class LineUse(Struct, frozen=True):
    """The same of all layers that a line of a Buildfile made."""

    place: str
    text: str
    layers: tuple[int, ...]
    size: int
    packed: int
    bytes: int
    files: int
    wasted: int


class Analysis(Struct, frozen=True):
    """All that is found out: `efficiency` is between 0 and 1, `wasted` is in bytes, of `bytes` in all files.

    `lines` are those known, in order; `waste` and `leftovers` come with the largest first.
    """

    id: str
    platform: str
    size: int
    packed: int
    bytes: int
    files: int
    wasted: int
    efficiency: float
    layers: tuple[LayerUse, ...]
    lines: tuple[LineUse, ...]
    waste: tuple[Waste, ...]
    leftovers: tuple[Leftover, ...]


class _Group(Struct):
    bytes: int = 0
    files: int = 0
    above: list[str] | None = None
    largest: list[tuple[int, str]] = field(default_factory=list)

    def add(self, path: str, size: int) -> None:
        self.bytes += size
        self.files += 1
        heapq.heappush(self.largest, (size, path))
        if len(self.largest) > _MOST_SHOWN:
            heapq.heappop(self.largest)
        parts = path.split("/")[:-1]
        if self.above is None:
            self.above = parts
            return
        common = next((n for n, (a, b) in enumerate(zip(self.above, parts, strict=False)) if a != b), len(parts))
        del self.above[common:]


def analyzed(
    identifier: str,
    platform: str,
    layers: Sequence[Layer],
    steps: Sequence[Step],
    stacked: Iterable[tuple[Tree, list[Change]]],
) -> Analysis:
    """The analysis of an image: `steps` are those of its `layers`, `stacked` as of contents.laid, with digests."""
    groups: dict[tuple[str, int, int], _Group] = {}
    brought: list[tuple[int, int]] = []
    shown = Tree()
    for number, (tree, changes) in enumerate(stacked):
        shown = tree
        brought.append(_brought(number, changes))
        for change in changes:
            before = change.before
            if change.lost and before is not None and before.entry.kind is Kind.FILE and before.entry.size:
                key = (_how(before, change.after), before.layer, number)
                groups.setdefault(key, _Group()).add(change.path, before.entry.size)
    known = [n for n, step in enumerate(steps) if step.place]
    base = known[0] if known else 0  # the layers below the first that was built here
    waste = [_waste(how, group, steps[a], steps[b], a < base) for (how, a, b), group in groups.items()]
    uses = _uses(layers, steps, brought, waste)
    total, wasted = sum(use.bytes for use in uses), sum(use.wasted for use in uses)
    return Analysis(
        id=identifier,
        platform=platform,
        size=sum(use.size for use in uses),
        packed=sum(use.packed for use in uses),
        bytes=total,
        files=sum(use.files for use in uses),
        wasted=wasted,
        efficiency=1 - wasted / total if total else 1.0,
        layers=uses,
        lines=_lines(uses),
        waste=tuple(sorted(waste, key=lambda one: -one.bytes)),
        leftovers=tuple(leftovers(shown, [step.place or f"layer {step.layer}" for step in steps])),
    )


def _brought(number: int, changes: Iterable[Change]) -> tuple[int, int]:
    """The bytes and the number of the files that a layer brought."""
    found = {
        change.after.place: change.after.entry.size
        for change in changes
        if change.after is not None and change.after.layer == number and change.after.entry.kind is Kind.FILE
    }
    return sum(found.values()), len(found)


def _how(before: File, after: File | None) -> str:
    if after is None:
        return DELETED
    old, new = before.entry, after.entry
    if new.kind is not Kind.FILE or new.digest != old.digest:
        return REPLACED
    if (old.uid, old.gid) != (new.uid, new.gid):
        return OWNER
    return MODE if old.mode != new.mode else SAME


def _waste(how: str, group: _Group, written: Step, wasted: Step, in_base: bool) -> Waste:
    directory = "/".join(group.above or ())
    return Waste(
        how=how,
        bytes=group.bytes,
        files=group.files,
        written=written,
        wasted=wasted,
        directory=shown_path(directory),
        examples=tuple(Example(shown_path(path), size) for size, path in sorted(group.largest, reverse=True)),
        advice=advice(how, directory, written.text, wasted.text, in_base=in_base, again=written.layer == wasted.layer),
    )


def _uses(
    layers: Sequence[Layer], steps: Sequence[Step], brought: Sequence[tuple[int, int]], waste: Sequence[Waste]
) -> tuple[LayerUse, ...]:
    wasted = [0] * len(layers)
    for one in waste:
        wasted[one.written.layer - 1] += one.bytes
    return tuple(
        LayerUse(step, str(layer.diff_id), str(layer.blob.digest), layer.size, layer.blob.size, size, files, lost)
        for layer, step, (size, files), lost in zip(layers, steps, brought, wasted, strict=True)
    )


def _lines(uses: Sequence[LayerUse]) -> tuple[LineUse, ...]:
    found: dict[str, list[LayerUse]] = {}
    for use in uses:
        if use.step.place:
            found.setdefault(use.step.place, []).append(use)
    return tuple(
        LineUse(
            place=place,
            text=same[0].step.text,
            layers=tuple(use.step.layer for use in same),
            size=sum(use.size for use in same),
            packed=sum(use.packed for use in same),
            bytes=sum(use.bytes for use in same),
            files=sum(use.files for use in same),
            wasted=sum(use.wasted for use in same),
        )
        for place, same in found.items()
    )
