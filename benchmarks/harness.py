"""How things are measured: two builders in turn, many times, and what follows from the samples."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, ParamSpec

from benchmarks import images
from benchmarks.peers.base import Peer
from benchmarks.sizes import Sizes

P = ParamSpec("P")
# An action of a builder in the round of this number.
Action = Callable[[Peer, int], object]


class WrongMeasureError(Exception):
    """The two sides did not do the same work, so their times say nothing."""


class Samples(NamedTuple):
    """Seconds of one action, round by round: pybuild's, and in the same round the peer's, if there is one."""

    ours: tuple[float, ...]
    peer: tuple[float, ...] = ()

    def map(self, function: Callable[[float], float]) -> Samples:
        """The same with every time changed."""
        return Samples(tuple(map(function, self.ours)), tuple(map(function, self.peer)))

    def plus(self, other: Samples) -> Samples:
        """What the action and `other` take together, round by round."""
        return Samples(*(tuple(a + b for a, b in zip(x, y, strict=True)) for x, y in zip(self, other, strict=True)))

    def minus(self, other: Samples) -> Samples:
        """What the action takes longer than `other`, round by round."""
        return self.plus(other.map(lambda seconds: -seconds))


@dataclass(frozen=True)
class Measure:
    """One line of the report.

    `unit`: how it is shown, `ms`, `s`, `MB` or `steps`; with the last two the samples are no seconds, but bytes and
    counts. `slope`: it tells how another measure grows, and may be about nothing: its ratio is that of the medians.
    """

    name: str
    samples: Samples
    unit: str = "ms"
    slope: bool = False

    @property
    def ours(self) -> float:
        """The median of pybuild's times."""
        return statistics.median(self.samples.ours)

    @property
    def peer(self) -> float | None:
        """The median of the peer's times; None: it did not do this."""
        return statistics.median(self.samples.peer) if self.samples.peer else None

    @property
    def ratios(self) -> list[float]:
        """The part of the peer's time that pybuild takes in each round, lowest first: load hits both alike."""
        if self.slope:
            return []
        # Of nothing, nothing is all; and a count is at least one.
        return sorted(ours / (peer or 1.0) if ours or peer else 1.0 for ours, peer in zip(*self.samples, strict=False))

    @property
    def ratio(self) -> float | None:
        """The median of the ratios; None where there is none."""
        if self.slope:
            return self.ours / self.peer if self.peer and self.peer > 0 else None
        return statistics.median(self.ratios) if self.samples.peer else None


@dataclass(frozen=True)
class Pair:
    """pybuild and one peer, both ready to build, with a directory for the contexts of cases.

    Actions are done `rounds` times; a history has `commits` commits. Without a peer pybuild is measured alone. Cases
    share the directory: what one has left there, both have built.
    """

    ours: Peer
    peer: Peer | None
    directory: Path
    rounds: int
    sizes: Sizes
    commits: int = 50

    @property
    def sides(self) -> tuple[Peer, ...]:
        """pybuild, and then the peer."""
        return (self.ours, self.peer) if self.peer else (self.ours,)

    def measure(
        self, actions: Mapping[str, Action], before: Callable[[int], object] | None = None, *, alone: bool = False
    ) -> dict[str, Samples]:
        """Do each action in each round, for pybuild and then for the peer; `alone`: for pybuild only.

        `before` gets ready for a round. What has been written until then is on the disk before the first is timed.
        """
        sides = self.sides[:1] if alone else self.sides
        times: dict[str, list[list[float]]] = {name: [[], []] for name in actions}
        for number in range(self.rounds):
            if before:
                before(number)
            for name, action in actions.items():
                for side, found in zip(sides, times[name], strict=False):
                    found.append(timed(action, side, number))
        return {name: Samples(tuple(ours), tuple(peer)) for name, (ours, peer) in times.items()}

    def each(self, action: Callable[[Peer], object]) -> None:
        """Have both sides do something that is not measured."""
        for side in self.sides:
            action(side)

    def archive(self, side: Peer) -> Path:
        """Where a side writes its archive."""
        return self.directory / f"{side.name}.tar"

    def check_archives(self) -> None:
        """See that what both wrote last is the same image. Raises WrongMeasureError."""
        self.same([images.read(self.archive(side)) for side in self.sides])

    def check(self, context: Path) -> None:
        """See that both make the same image of `context`, without the cache of new files and with it of the same ones.

        Raises WrongMeasureError.
        """
        self.same([self._checked(side, context) for side in self.sides])

    def same(self, found: Sequence[images.Image]) -> None:
        """See that the images which the sides have made are the same but for times. Raises WrongMeasureError."""
        if self.peer and (different := images.difference(*found)):
            raise WrongMeasureError(f"{self.ours.name} and {self.peer.name} make different images: {different}")

    def _checked(self, side: Peer, context: Path) -> images.Image:
        side.build(context)
        image, fresh = self._image(side, context, use_cache=False)
        if not fresh:
            raise WrongMeasureError(f"{side.name} uses its cache where it should not")
        # from which of the two builds before it takes each step is the builder's affair
        _, fresh = self._image(side, context, use_cache=True)
        if fresh:
            raise WrongMeasureError(f"{side.name} runs steps again that should be cached")
        return image

    def _image(self, side: Peer, context: Path, *, use_cache: bool) -> tuple[images.Image, bool]:
        """What `side` builds, and whether anything in it was written just now."""
        archive = self.archive(side)
        archive.unlink(missing_ok=True)
        # times in a layer may be whole seconds
        time.sleep(1.1)
        started = int(time.time())
        side.build(context, use_cache=use_cache)
        side.save(archive)
        image = images.read(archive)
        return image, max(image.times.values()) >= started


@dataclass(frozen=True)
class Case:
    """One thing that is measured. The first of its measures is what the target is about.

    `target`: the part of the newest BuildKit's time that pybuild may take. `aim`: what that is on a machine like the
    one on which `buildkit`, its seconds, was measured; of memory it is bytes. Each is None where there is none.
    `alone`: what is measured of pybuild only, once.
    """

    work: str
    measure: Callable[[Pair], list[Measure]]
    target: float | None = None
    aim: float | None = None
    buildkit: float | None = None
    alone: Callable[[Pair], list[Measure]] | None = None


def timed(action: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> float:
    """The seconds a call takes."""
    started = time.perf_counter()
    action(*args, **kwargs)
    return time.perf_counter() - started
