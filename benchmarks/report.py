"""Results as lines to read and as JSON to keep."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.harness import Case, Measure

Limits = Mapping[str, tuple[float, ...]]


class Found(NamedTuple):
    """What a case gave: against the peer of this name, or of pybuild alone where it is empty."""

    case: str
    peer: str
    measures: list[Measure]


@dataclass
class Report:
    """One run. `peers` holds the facts of every builder measured; `failures` what could not be, in a line each."""

    machine: Mapping[str, str]
    limits: Limits
    cases: Mapping[str, Case]
    rounds: int
    ours: dict[str, str] = field(default_factory=dict)
    peers: dict[str, dict[str, str]] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    when: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    def heads(self) -> dict[str, dict[str, Measure]]:
        """By case and peer the measure that the case's target is about; of growth there is none."""
        heads: dict[str, dict[str, Measure]] = {}
        for found in self.found:
            if not self.cases[found.case].alone:
                heads.setdefault(found.case, {})[found.peer] = found.measures[0]
        return heads

    def by_name(self) -> dict[tuple[str, str], dict[str, Measure]]:
        """By case and name, and by peer, all measures."""
        named: dict[tuple[str, str], dict[str, Measure]] = {}
        for found in self.found:
            for measure in found.measures:
                named.setdefault((found.case, measure.name), {})[found.peer] = measure
        # Those of one case together, though pybuild alone comes last.
        order = [*self.cases]
        return dict(sorted(named.items(), key=lambda item: order.index(item[0][0])))

    def to_json(self) -> str:
        """Everything, with every sample, in seconds."""
        limits = {name: {"median": statistics.median(times), "samples": times} for name, times in self.limits.items()}
        everything = {
            "when": self.when,
            "machine": self.machine,
            "pybuild": self.ours,
            "peers": self.peers,
            "limits": limits,
            "rounds": self.rounds,
            "cases": {name: _case(case) for name, case in self.cases.items()},
            "found": [
                {"case": found.case, "peer": found.peer or None, "measures": [*map(_measure, found.measures)]}
                for found in self.found
            ],
            "failures": self.failures,
        }
        return json.dumps(everything, indent=1) + "\n"


def machine_lines(machine: Mapping[str, str], limits: Limits) -> list[str]:
    """The machine and its limits."""
    busy = float(machine["load"]) > float(machine["cores"]) / 2
    return [
        described(machine),
        *(["the machine is busy with other things: trust the ratios, not the times"] if busy else ()),
        *(limit_lines(limits) if limits else ()),
    ]


def limit_lines(limits: Limits) -> list[str]:
    """A table of limits."""
    return [
        "",
        f"{'limits of this machine':44}{'median':>12}",
        *(f"{name:44}{figure(statistics.median(times), 'ms'):>12}" for name, times in limits.items()),
    ]


def head_lines(name: str, facts: Mapping[str, str]) -> list[str]:
    """What stands above the lines of measures against the peer `name`; of pybuild alone, where that is empty."""
    beside = f"{name:>12}{'ratio':>8}  lowest–highest" if name else ""
    return ["", f"{name or 'pybuild alone'}: {described(facts)}; medians", f"{'':44}{'pybuild':>12}{beside}"]


def measure_lines(measures: Sequence[Measure]) -> list[str]:
    """A line each."""
    return [*map(_line, measures)]


def described(facts: Mapping[str, str]) -> str:
    """Facts in a line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def figure(value: float | None, unit: str) -> str:
    """A figure with its unit; a dash where there is none."""
    if value is None:
        return "–"
    match unit:
        case "steps":
            return f"{value:.0f}"
        case "MB":
            return f"{value / 1e6:.1f} MB"
        case "s":
            return f"{value:.2f} s"
        case _:
            return f"{value * 1000:.1f} ms"


def part(ratio: float | None) -> str:
    """A ratio; a dash where there is none."""
    return "–" if ratio is None else f"{ratio:.3f}"


def spread(measure: Measure) -> str:
    """Between which ratios all rounds lie; nothing of a single one."""
    ratios = measure.ratios
    return f"{ratios[0]:.3f}–{ratios[-1]:.3f}" if len(ratios) > 1 else ""


def _line(measure: Measure) -> str:
    line = f"{measure.name:44}{figure(measure.ours, measure.unit):>12}"
    if measure.peer is None:
        return line
    return f"{line}{figure(measure.peer, measure.unit):>12}{part(measure.ratio):>8}  {spread(measure)}".rstrip()


def _measure(measure: Measure) -> dict[str, object]:
    return {
        "name": measure.name,
        "pybuild": measure.ours,
        "peer": measure.peer,
        "ratio": measure.ratio,
        "unit": measure.unit,
        "samples": measure.samples._asdict(),
    }


def _case(case: Case) -> dict[str, object]:
    return {"work": case.work, "target": case.target, "aim": case.aim, "newest BuildKit, elsewhere": case.buildkit}
