"""P7: two stages that do not need each other."""

from __future__ import annotations

from benchmarks import contexts
from benchmarks.harness import Measure, Pair
from benchmarks.peers.base import BASE


def measure(pair: Pair) -> list[Measure]:
    """Each sleeps: who runs them side by side waits once."""
    sleep = pair.sizes.sleep
    lines = [
        f"RUN busybox sleep {sleep} && echo 1 > /one",
        f"FROM {BASE}",
        f"RUN busybox sleep {sleep} && echo 2 > /two",
        "COPY --from=0 /one /",
    ]
    context = contexts.written(pair.directory / "stages", lines)
    pair.check(context)
    times = pair.measure({"": lambda side, _: side.build(context, use_cache=False)})[""]
    return [Measure(f"two stages that sleep {sleep} s each", times)]
