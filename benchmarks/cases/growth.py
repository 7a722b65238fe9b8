"""P10: what cached builds and steps cost when there is more: steps, layers below, files, images in the storage."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import tarfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import contexts
from benchmarks.harness import Action, Measure, Pair, Samples
from benchmarks.peers.base import NotOfferedError

_PER_STEPS, _PER_FILES, _PER_IMAGES = 100, 1_000, 100
# overlayfs stacks no more than 500 layers (OVL_MAX_STACK in the kernel): on so many no step can stand
_MOST_LAYERS = 499


def measure(pair: Pair) -> list[Measure]:
    """The slopes between two sizes that every builder reaches in a minute."""
    steps = _steps(pair, pair.sizes.few_steps)
    files = _files(pair, pair.sizes.few_tree)
    few, many = pair.sizes.few_steps
    fewer, more = pair.sizes.few_tree
    slopes = [
        _slope(f"a cached build, by {_PER_STEPS} steps", steps[f"cached {few}"], steps[f"cached {many}"],
               _PER_STEPS / (many - few)),
        _slope(f"a step, by {_PER_STEPS} layers below", steps[f"top {few}"], steps[f"top {many}"],
               _PER_STEPS / (many - few)),
        _slope(f"a cached build, by {_PER_FILES:,} files", files[fewer], files[more], _PER_FILES / (more - fewer)),
    ]  # fmt: skip
    points = [
        *(Measure(f"{count} steps, cached", steps[f"cached {count}"]) for count in pair.sizes.few_steps),
        *(Measure(f"a step on {count} layers", steps[f"top {count}"]) for count in pair.sizes.few_steps),
        *(Measure(f"{count:,} files, cached", files[count]) for count in pair.sizes.few_tree),
    ]
    try:
        return [*slopes, *_images(pair, *pair.sizes.few_images), *points]
    except NotOfferedError:
        return [*slopes, *points]


def alone(pair: Pair) -> list[Measure]:
    """pybuild, with more than others make in a minute."""
    steps, files = _steps(pair, pair.sizes.steps), _files(pair, pair.sizes.tree)
    return [
        *(Measure(f"{count} steps, cached", steps[f"cached {count}"]) for count in pair.sizes.steps),
        *(
            Measure(f"a step on {count} layers", steps[f"top {count}"])
            for count in pair.sizes.steps
            if f"top {count}" in steps
        ),
        *(Measure(f"{count:,} files, cached", files[count]) for count in pair.sizes.tree),
        *(measure for count in pair.sizes.images for measure in _images(pair, 0, count)),
    ]


def _slope(name: str, small: Samples, large: Samples, part: float) -> Measure:
    return Measure(name, large.minus(small).map(lambda seconds: seconds * part), slope=True)


def _settle(pair: Pair, context: Path) -> None:
    """Build it, and once more: what is measured is neither the first build nor the first that finds it cached."""
    for _ in range(2):
        pair.each(lambda side: side.build(context))


def _building(context: Path) -> Action:
    return lambda side, _: side.build(context)


def _steps(pair: Pair, counts: Sequence[int]) -> dict[str, Samples]:
    """By `cached N` builds of N steps, and by `top N` those with one step more that nobody has seen."""
    actions: dict[str, Action] = {}
    tops = {count: pair.directory / f"top-{count}" for count in counts if count < _MOST_LAYERS}
    for count in counts:
        context = contexts.steps(pair.directory / f"steps-{count}", count, "grown")
        _settle(pair, context)
        actions[f"cached {count}"] = _building(context)
        if count in tops:
            actions[f"top {count}"] = _building(tops[count])

    def before(_: int) -> None:
        for count, top in tops.items():
            lines = (pair.directory / f"steps-{count}" / "Dockerfile").read_text().splitlines()[1:]
            contexts.written(top, [*lines, f"RUN echo {secrets.token_hex(8)} > /top"])

    return pair.measure(actions, before)


def _files(pair: Pair, counts: Sequence[int]) -> dict[int, Samples]:
    """Cached builds with a COPY of so many files."""
    actions: dict[str, Action] = {}
    for count in counts:
        tree = contexts.copied(pair.directory / f"tree-{count}")
        contexts.fill_small(tree / "data", count)
        os.sync()
        _settle(pair, tree)
        actions[str(count)] = _building(tree)
    return {int(name): times for name, times in pair.measure(actions).items()}


def _images(pair: Pair, few: int, many: int) -> list[Measure]:
    """What a cached build takes longer, and the list of images, with so many more of them in the storage."""
    context = contexts.steps(pair.directory / "ten-more", 10, "ten")
    _settle(pair, context)
    pair.each(lambda side: side.list_images())
    actions: dict[str, Action] = {"cached": _building(context), "list": lambda side, _: side.list_images()}
    found = []
    for name, count in (("few", few), ("many", many)):
        archive = pair.directory / f"{name}.tar"
        _write_many(archive, f"{name}-{pair.peer.name if pair.peer else 'alone'}", count)
        if count:
            pair.each(lambda side, archive=archive: side.load(archive))
        found.append(pair.measure(actions))
    small, large = found
    end = "" if pair.peer else f", to {many:,}"
    measures = [
        _slope(f"a cached build, by {_PER_IMAGES} images{end}", small["cached"], large["cached"], _PER_IMAGES / many),
        _slope(f"the list of images, by {_PER_IMAGES} images{end}", small["list"], large["list"], _PER_IMAGES / many),
    ]
    return [*measures, Measure(f"10 steps, cached, {many:,} images more", large["cached"])]


def _write_many(archive: Path, word: str, count: int) -> None:
    """A docker archive with `count` images over one layer, which differ in their label."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as opened:
        _add(opened, "word", word.encode())
    diff_id = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    with tarfile.open(archive, "w") as opened:
        _add(opened, "layer.tar", layer.getvalue())
        entries = []
        for number in range(count):
            config = {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Labels": {"number": str(number)}},
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            }
            data = json.dumps(config).encode()
            name = f"{hashlib.sha256(data).hexdigest()}.json"
            _add(opened, name, data)
            entries.append({"Config": name, "RepoTags": [f"localhost/{word}:{number}"], "Layers": ["layer.tar"]})
        _add(opened, "manifest.json", json.dumps(entries).encode())


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
