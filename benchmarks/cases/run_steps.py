"""RUN steps whose command takes no time to speak of: what a step costs, and what a build costs that runs none."""

from __future__ import annotations

import secrets
import statistics
from pathlib import Path

from benchmarks import contexts
from benchmarks.harness import Measure, Pair, Samples
from benchmarks.limits import samples, step

_STEPS = 10


def cached(pair: Pair) -> list[Measure]:
    """P1: nothing is left to do."""
    ten = _ten(pair)
    return [Measure(f"{_STEPS} RUN steps, all cached", pair.measure({"": lambda side, _: side.build(ten)})[""])]


def beyond(pair: Pair) -> list[Measure]:
    """P2: what one step costs is the slope from one step to ten, less what its command costs bare."""
    ten, one = _ten(pair), contexts.steps(pair.directory / "one", 1, "one")
    times = pair.measure(
        {
            "cold": lambda side, _: side.build(ten, use_cache=False),
            "one": lambda side, _: side.build(one, use_cache=False),
        }
    )
    own = _own(pair)
    slope = times["cold"].minus(times["one"]).map(lambda seconds: seconds / (_STEPS - 1) - own)
    return [
        Measure("a RUN step beyond its own time", slope),
        Measure(f"{_STEPS} RUN steps, --no-cache", times["cold"]),
    ]


def measure(pair: Pair) -> list[Measure]:
    """All of it, and ten steps of a file never seen."""
    return [*beyond(pair), Measure(f"{_STEPS} RUN steps, a file never seen", _unseen(pair)), *cached(pair)]


def _unseen(pair: Pair) -> Samples:
    unseen = [
        contexts.steps(pair.directory / f"unseen-{number}", _STEPS, secrets.token_hex(8))
        for number in range(pair.rounds)
    ]
    return pair.measure({"": lambda side, number: side.build(unseen[number])})[""]


def _ten(pair: Pair) -> Path:
    """The ten steps, of which both make the same."""
    directory = pair.directory / "ten"
    if not directory.exists():
        pair.check(contexts.steps(directory, _STEPS, "ten"))
    return directory


def _own(pair: Pair) -> float:
    return statistics.median(samples(step(pair.directory)))
