"""A git history built commit by commit: which steps run again, and how long people wait."""

from __future__ import annotations

import re
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from benchmarks import images
from benchmarks.harness import Measure, Pair, Samples, WrongMeasureError
from benchmarks.history import KINDS, MARK, STEP_SECONDS, Commit, Git, make
from benchmarks.peers.base import Peer

_CHECKED_EVERY = 10
# A line a step has printed, as each builder shows it; the command itself is on none of its own.
_RAN = re.compile(rf"^(?:#\d+ [\d.]+ )?{MARK} (\w+)$", re.MULTILINE)


class _Built(NamedTuple):
    seconds: float
    steps: tuple[str, ...]

    @property
    def step_seconds(self) -> float:
        return sum(STEP_SECONDS[name] for name in self.steps)


def measure(pair: Pair) -> list[Measure]:
    """Build the first commit, which counts for nothing, and then the others in turn."""
    origin = pair.directory / "origin"
    commits = make(origin, pair.commits)
    sides = [(side, _clone(origin, pair.directory / side.name)) for side in pair.sides]
    built: list[tuple[Commit, list[_Built]]] = []
    for number, commit in enumerate(commits):
        found = [_build(side, clone, commit) for side, clone in sides]
        built.append((commit, found))
        if number % _CHECKED_EVERY == 0 or commit is commits[-1]:
            _check(pair, commit)
    _check_counts(pair, built[0])
    return _measures(built[1:])


def _clone(origin: Path, directory: Path) -> Path:
    Git(origin)("clone", "--quiet", "--no-checkout", str(origin), str(directory))
    return directory


def _build(side: Peer, clone: Path, commit: Commit) -> _Built:
    Git(clone)("checkout", "--quiet", "--force", commit.commit)
    started = perf_counter()
    shown = side.build(clone)
    return _Built(perf_counter() - started, tuple(_RAN.findall(shown)))


def _check(pair: Pair, commit: Commit) -> None:
    """See that both sides have made what this commit says. Layers are the builder's affair: WORKDIR may be one."""
    found = []
    for side in pair.sides:
        archive = pair.directory / "image.tar"
        archive.unlink(missing_ok=True)
        side.save(archive)
        image = images.read(archive)
        image.layers = 0
        for path, digest in commit.expected.items():
            if path not in image.nodes or image.nodes[path].content != digest:
                raise WrongMeasureError(f"{side.name} has made another /{path} of the commit {commit.kind!r}")
        found.append(image)
    pair.same(found)


def _check_counts(pair: Pair, first: tuple[Commit, list[_Built]]) -> None:
    """See that the steps of a first build are counted, each once."""
    for side, built in zip(pair.sides, first[1], strict=True):
        if sorted(built.steps) != sorted(STEP_SECONDS):
            raise WrongMeasureError(f"{side.name} shows other steps than there are: {' '.join(built.steps)}")


def _measures(built: list[tuple[Commit, list[_Built]]]) -> list[Measure]:
    def total(name: str, value: str, some: list[list[_Built]], unit: str) -> Measure:
        def summed(side: int) -> float:
            figures = [getattr(found[side], value) for found in some]
            return float(sum(len(f) if unit == "steps" else f for f in figures))

        sides = range(len(built[0][1]))
        return Measure(name, Samples(*((summed(side),) for side in sides)), unit=unit)

    everything = [found for _, found in built]
    measures = [
        total(f"{len(built)} commits, steps run again", "steps", everything, "steps"),
        total(f"{len(built)} commits, their own time", "step_seconds", everything, "s"),
        total(f"{len(built)} commits, time to wait", "seconds", everything, "s"),
    ]
    for kind in KINDS:
        some = [found for commit, found in built if commit.kind == kind]
        if some:
            measures.append(total(f"  {len(some)} × {kind}, steps", "steps", some, "steps"))
            measures.append(total(f"  {len(some)} × {kind}, wait", "seconds", some, "s"))
    return measures
