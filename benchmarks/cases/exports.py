"""P8: an image made of files of this machine leaves the builder's storage, for the first time."""

from __future__ import annotations

from benchmarks import contexts, inputs
from benchmarks.harness import Measure, Pair


def measure(pair: Pair) -> list[Measure]:
    """The time it takes to write the archive, and with that the build too: a builder may pack layers then or there."""
    context = contexts.written(pair.directory / "programs", [], base="scratch")
    tars = inputs.programs(context, pair.sizes.layers)
    contexts.written(context, [f"ADD {path.name} /" for path in tars], base="scratch")
    times = pair.measure(
        {
            "build": lambda side, _: side.build(context, use_cache=False),
            "export": lambda side, _: side.export(pair.archive(side)),
        }
    )
    pair.check_archives()
    size = f"{sum(pair.sizes.layers) / 1e6:.0f} MB"
    return [
        Measure(f"export of an image of {size}", times["export"], unit="s"),
        Measure("the same, with its build", times["export"].plus(times["build"]), unit="s"),
    ]
