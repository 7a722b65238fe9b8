"""How things are measured: two builders in turn, many times, and what follows from the samples."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, ParamSpec, Protocol

from benchmarks import images
from benchmarks.peers.base import Peer

P = ParamSpec("P")


class WrongMeasureError(Exception):
    """The two sides did not do the same work, so their times say nothing."""


class Samples(NamedTuple):
    """Seconds of one action, round by round: pybuild's, and in the same round the peer's."""

    ours: tuple[float, ...]
    peer: tuple[float, ...]

    def map(self, function: Callable[[float], float]) -> Samples:
        """The same with every time changed."""
        return Samples(tuple(map(function, self.ours)), tuple(map(function, self.peer)))

    def minus(self, other: Samples) -> Samples:
        """What the action takes longer than `other`, round by round."""
        return Samples(*(tuple(a - b for a, b in zip(x, y, strict=True)) for x, y in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Measure:
    """One line of the report. `aim`: the seconds pybuild should not exceed.

    `unit`: how it is shown, `ms`, `s` or `steps`; with `steps` the samples are no seconds, but counts.
    """

    name: str
    samples: Samples
    aim: float | None = None
    unit: str = "ms"

    @property
    def ours(self) -> float:
        """The median of pybuild's times."""
        return statistics.median(self.samples.ours)

    @property
    def peer(self) -> float:
        """The median of the peer's times."""
        return statistics.median(self.samples.peer)

    @property
    def ratios(self) -> list[float]:
        """The part of the peer's time that pybuild takes in each round, lowest first: load hits both alike."""
        # Of nothing, nothing is all; and a count is at least one.
        return sorted(ours / (peer or 1.0) if ours or peer else 1.0 for ours, peer in zip(*self.samples, strict=True))

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)


@dataclass(frozen=True)
class Pair:
    """pybuild and one peer, both ready to build, with an empty directory for the contexts of a case.

    Actions are done `rounds` times; a history has `commits` commits.
    """

    ours: Peer
    peer: Peer
    directory: Path
    rounds: int
    commits: int = 50

    def measure(self, actions: Mapping[str, Callable[[Peer, int], None]]) -> dict[str, Samples]:
        """Do each action in each round, for pybuild and then for the peer. An action gets the round's number."""
        times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in actions}
        for number in range(self.rounds):
            for name, action in actions.items():
                for side, found in zip((self.ours, self.peer), times[name], strict=True):
                    found.append(timed(action, side, number))
        return {name: Samples(tuple(ours), tuple(peer)) for name, (ours, peer) in times.items()}

    def check(self, context: Path) -> None:
        """See that both make the same image of `context`, without the cache of new files and with it of the same ones.

        Raises WrongMeasureError.
        """
        ours, peer = self._checked(self.ours, context), self._checked(self.peer, context)
        if different := images.difference(ours, peer):
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
        archive = self.directory / "image.tar"
        archive.unlink(missing_ok=True)
        # times in a layer may be whole seconds
        time.sleep(1.1)
        started = int(time.time())
        side.build(context, use_cache=use_cache)
        side.save(archive)
        image = images.read(archive)
        return image, max(image.times.values()) >= started


class Case(Protocol):
    """A module of `cases/`: its function `measure`."""

    def measure(self, pair: Pair) -> list[Measure]:
        """Check that both sides do the same, then measure it."""
        ...


def timed(action: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> float:
    """The seconds a call takes."""
    started = time.perf_counter()
    action(*args, **kwargs)
    return time.perf_counter() - started
