"""Results as lines to read and as JSON to keep."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness import Measure

RESULTS = Path(__file__).parent / "results"


@dataclass
class Report:
    """One run. `peers` holds, for every builder measured, its facts and pybuild's measures against it."""

    machine: Mapping[str, str]
    limits: Mapping[str, tuple[float, ...]]
    ours: dict[str, str] = field(default_factory=dict)
    peers: dict[str, tuple[dict[str, str], list[Measure]]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Everything, with every sample, in seconds."""
        peers = {
            name: {"facts": facts, "measures": [_measure(measure) for measure in measures]}
            for name, (facts, measures) in self.peers.items()
        }
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        limits = {name: {"median": statistics.median(times), "samples": times} for name, times in self.limits.items()}
        everything = {
            "when": when,
            "machine": self.machine,
            "pybuild": self.ours,
            "limits": limits,
            "peers": peers,
        }
        return json.dumps(everything, indent=1)

    def keep(self) -> Path:
        """Write the JSON to a file of its own."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
        path.write_text(self.to_json())
        return path


def machine_lines(machine: Mapping[str, str], limits: Mapping[str, tuple[float, ...]]) -> list[str]:
    """The machine and its limits."""
    busy = float(machine["load"]) > float(machine["cores"]) / 2
    return [
        _described(machine),
        *(["the machine is busy with other things: trust the ratios, not the times"] if busy else ()),
        "",
        f"{'limits of this machine':34}{'median':>12}",
        *(f"{name:34}{_ms(statistics.median(times))}" for name, times in limits.items()),
    ]


def peer_lines(name: str, facts: Mapping[str, str], measures: list[Measure]) -> list[str]:
    """One table: pybuild against the peer `name`."""
    rounds = max((len(measure.samples.ours) for measure in measures), default=0)
    return [
        "",
        f"{name}: {_described(facts)}; {rounds} rounds, medians",
        f"{'':44}{'pybuild':>12}{name:>12}{'ratio':>8}  {'lowest–highest':16}{'aim':>10}",
        *map(_line, measures),
    ]


def _line(measure: Measure) -> str:
    low, high = measure.ratios[0], measure.ratios[-1]
    aim = ""
    if measure.aim is not None:
        aim = f"{_ms(measure.aim).strip():>10} {'met' if measure.ours <= measure.aim else 'missed'}"
    spread = f"{low:.3f}–{high:.3f}" if len(measure.ratios) > 1 else ""
    ours, peer = (_figure(value, measure.unit) for value in (measure.ours, measure.peer))
    return f"{measure.name:44}{ours}{peer}{measure.ratio:8.3f}  {spread:16}{aim}".rstrip()


def _measure(measure: Measure) -> dict[str, object]:
    return {
        "name": measure.name,
        "pybuild": measure.ours,
        "peer": measure.peer,
        "ratio": measure.ratio,
        "aim": measure.aim,
        "unit": measure.unit,
        "samples": measure.samples._asdict(),
    }


def _described(facts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _figure(value: float, unit: str) -> str:
    return _ms(value) if unit == "ms" else f"{value:12.0f}" if unit == "steps" else f"{value:10.1f} s"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:9.1f} ms"
