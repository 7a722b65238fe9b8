"""RUN steps whose command takes no time to speak of: what a step costs, and what a build costs that runs none."""

from __future__ import annotations

import secrets
import statistics
from pathlib import Path

from benchmarks.harness import Measure, Pair
from benchmarks.limits import samples, step
from benchmarks.peers.base import BASE

_STEPS = 10
_STEP_AIM = 0.015
_CACHED_AIM = 0.100


def measure(pair: Pair) -> list[Measure]:
    """Ten steps in four ways; what one step costs is the slope from one step to ten."""
    ten = _context(pair.directory / "ten", _STEPS, "ten")
    one = _context(pair.directory / "one", 1, "one")
    unseen = [_context(pair.directory / f"unseen-{n}", _STEPS, secrets.token_hex(8)) for n in range(pair.rounds)]
    pair.check(ten)
    times = pair.measure(
        {
            "cold": lambda side, _: side.build(ten, use_cache=False),
            "one": lambda side, _: side.build(one, use_cache=False),
            "cached": lambda side, _: side.build(ten),
            "unseen": lambda side, number: side.build(unseen[number]),
        }
    )
    own = statistics.median(samples(step(pair.directory)))
    slope = times["cold"].minus(times["one"]).map(lambda seconds: seconds / (_STEPS - 1) - own)
    return [
        Measure(f"{_STEPS} RUN steps, --no-cache", times["cold"]),
        Measure(f"{_STEPS} RUN steps, a file never seen", times["unseen"]),
        Measure("a RUN step beyond its own time", slope, _STEP_AIM),
        Measure(f"{_STEPS} RUN steps, all cached", times["cached"], _CACHED_AIM),
    ]


def _context(directory: Path, steps: int, word: str) -> Path:
    """A build context in which every step writes `word` into a file of its own."""
    directory.mkdir()
    lines = [f"FROM {BASE}", *(f"RUN echo {word} > /step{number}" for number in range(1, steps + 1))]
    (directory / "Dockerfile").write_text("\n".join(lines) + "\n")
    return directory
