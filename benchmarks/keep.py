"""Results kept in `results/`: a Markdown table, a plot and every sample as JSON."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.harness import Measure
from benchmarks.plot import Bar, bars
from benchmarks.report import Report, described, figure, part, spread

RESULTS = Path(__file__).parent / "results"
ELSEWHERE = "newest BuildKit, measured elsewhere on an equal machine"


def keep(report: Report, name: str | None = None) -> Path:
    """Write all three, by the time of the run if they have no name; gives the path of the table."""
    RESULTS.mkdir(exist_ok=True)
    name = name or re.sub("[-:]", "", report.when)
    path = RESULTS / f"{name}.md"
    path.with_suffix(".json").write_text(report.to_json())
    path.with_suffix(".svg").write_text(plot(report))
    path.write_text(markdown(report, path.with_suffix(".svg").name))
    return path


def markdown(report: Report, picture: str) -> str:
    """The page: what it was measured on, the targets, all measures, the limits."""
    lines = [
        "# Measured",
        "",
        f"{report.when}, medians of {report.rounds} rounds.",
        "",
        f"- machine: {described(report.machine)}",
        f"- pybuild: {described(report.ours)}",
        *(f"- {name}: {described(facts)}" for name, facts in report.peers.items()),
        *(f"- not measured: {line}" for line in report.failures),
        "",
        f"![what pybuild takes, as a part of what others take]({picture})",
        "",
        "## Targets",
        "",
        *_targets(report),
        "",
        "## All figures",
        "",
        *_figures(report),
        "",
        "## Limits of this machine",
        "",
        *_table(["limit", "median"], [[name, _second(statistics.median(t))] for name, t in report.limits.items()]),
    ]
    return "\n".join(lines) + "\n"


def plot(report: Report) -> str:
    """A group of bars for each case: pybuild's part of each peer's time, and of the newest BuildKit's."""
    groups = []
    for name, measures in report.heads().items():
        case = report.cases[name]
        parts = _bars(measures)
        if case.buildkit:
            parts.append(Bar(ELSEWHERE, _ours(measures) / case.buildkit, case.target))
        groups.append((f"{name}  {case.work}", parts))
    for (case_name, name), measures in report.by_name().items():
        if any(measure.slope for measure in measures.values()):
            groups.append((f"{case_name}  {name}", _bars(measures)))
    return bars("pybuild's time as a part of others' (memory in P9)", [group for group in groups if group[1]])


def _bars(measures: Mapping[str, Measure]) -> list[Bar]:
    return [Bar(peer, measure.ratio) for peer, measure in measures.items() if measure.ratio is not None]


def _targets(report: Report) -> list[str]:
    """What a target is about: pybuild's figure over all rounds, each peer's, the newest BuildKit's."""
    rows = []
    for name, measures in report.heads().items():
        case, unit, ours = report.cases[name], _unit(measures), _ours(measures)
        reference = part(ours / case.buildkit if case.buildkit else None)
        target = f"≤ {case.target}" if case.target else "–"
        met = "–" if case.aim is None else "yes" if ours <= case.aim else "no"
        beside = _beside(report, measures)
        aims = [figure(case.buildkit, "s"), reference, target, figure(case.aim, unit), met]
        rows.append([name, case.work, figure(ours, unit), *beside, *aims])
    return _table(["", "work", "pybuild", *_heads(report), ELSEWHERE, "ratio", "target", "at most", "met"], rows)


def _figures(report: Report) -> list[str]:
    rows = [
        [case, name, figure(_ours(measures), _unit(measures)), *_beside(report, measures), _spreads(measures)]
        for (case, name), measures in report.by_name().items()
    ]
    return _table(["", "what", "pybuild", *_heads(report), "lowest–highest ratio"], rows)


def _heads(report: Report) -> list[str]:
    return [cell for peer in report.peers for cell in (peer, "ratio")]


def _beside(report: Report, measures: Mapping[str, Measure]) -> list[str]:
    """The cells of the peers: the figure of each, and the ratio."""
    cells = []
    for peer in report.peers:
        measure = measures.get(peer)
        cells += [figure(measure.peer, measure.unit), part(measure.ratio)] if measure else ["–", "–"]
    return cells


def _spreads(measures: Mapping[str, Measure]) -> str:
    return "; ".join(f"{peer} {found}" for peer, measure in measures.items() if (found := spread(measure))) or "–"


def _unit(measures: Mapping[str, Measure]) -> str:
    return next(iter(measures.values())).unit


def _ours(measures: Mapping[str, Measure]) -> float:
    return statistics.median(sample for measure in measures.values() for sample in measure.samples.ours)


def _second(seconds: float) -> str:
    return figure(seconds, "s" if seconds >= 1 else "ms")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["|".join(["", *(f" {cell.replace('|', chr(92) + '|')} " for cell in line), ""]) for line in lines]
