"""`python -m benchmarks`: pybuild against each peer that can run here, as ratios."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from benchmarks import cases, machine, peers
from benchmarks.base import write_base
from benchmarks.cases import CASES
from benchmarks.harness import Case, Measure, Pair, WrongMeasureError
from benchmarks.keep import keep
from benchmarks.limits import heavy_limits, limits
from benchmarks.peers import PEERS
from benchmarks.peers.base import Peer, PeerError
from benchmarks.peers.buildkit import Buildkit
from benchmarks.peers.pybuild import Pybuild
from benchmarks.report import Found, Report, head_lines, machine_lines, measure_lines
from benchmarks.sizes import FULL, SHORT, Sizes

# the cases that copying and packing files bounds
_HEAVY = frozenset(("P3", "P4", "P5", "P6", "P9"))


class _CannotRunError(Exception):
    """A builder cannot be set up on this machine."""


class _Run:
    """One run of the program: pybuild, ready, and what has been found."""

    def __init__(self, options: argparse.Namespace, top: Path, ours: Peer, report: Report, show: TextIO) -> None:
        self._options, self._top, self._ours, self._report, self._show = options, top, ours, report, show
        self._sizes: Sizes = SHORT if options.short else FULL

    def against(self, name: str, base: Path) -> None:
        """All cases against the peer `name`. Raises _CannotRunError."""
        with _ready(_peer(name, self._options), self._top, base) as peer:
            self._report.peers[name] = peer.facts()
            self._print(_indented(head_lines(name, self._report.peers[name])))
            pair = self._pair(name, peer)
            for case in self._options.only:
                self._measure(case, name, CASES[case].measure, pair)

    def alone(self) -> None:
        """What is measured of pybuild only; everything, when there is no peer."""
        if not self._options.alone and not any(CASES[name].alone for name in self._options.only):
            return
        pair = self._pair("alone", None)
        self._print(_indented(head_lines("", self._report.ours)))
        for name in self._options.only:
            case = CASES[name]
            if self._options.alone:
                self._measure(name, "", case.measure, pair)
            if case.alone:
                self._measure(name, "", case.alone, pair)

    def _pair(self, name: str, peer: Peer | None) -> Pair:
        directory = self._top / f"contexts-{name}"
        directory.mkdir()
        return Pair(self._ours, peer, directory, self._options.rounds, self._sizes, self._options.commits)

    def _measure(self, case: str, peer: str, measure: Callable[[Pair], list[Measure]], pair: Pair) -> None:
        """One case; what goes wrong in it is told, and the others are measured."""
        try:
            measures = measure(pair)
        except (PeerError, WrongMeasureError) as error:
            self._report.failures.append(f"{case}, {peer or 'alone'}: {error}")
            print(f"{case} {error}", file=sys.stderr, flush=True)
            return
        self._report.found.append(Found(case, peer, measures))
        self._print(_indented(measure_lines(measures), case))

    def _print(self, lines: list[str]) -> None:
        print(*lines, sep="\n", file=self._show, flush=True)


def main() -> int:
    """Print a line for each measure and keep everything. Exit status 1: nothing, or not all, could be measured."""
    options = _options()
    # as Ctrl-C: what was started is ended
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show = sys.stderr if options.json else sys.stdout
    with tempfile.TemporaryDirectory(prefix="pybuild-bench-", ignore_cleanup_errors=True) as name:
        top = Path(name)
        base = top / "base.tar"
        write_base(base)
        found = limits(top)
        if _HEAVY & {*options.only}:
            found |= heavy_limits(top / "limits", SHORT if options.short else FULL)
        report = Report(machine.facts(), found, _short_of_targets() if options.short else CASES, options.rounds)
        print(*machine_lines(report.machine, report.limits), sep="\n", file=show, flush=True)
        with _ready(Pybuild(), top, base) as ours:
            report.ours = ours.facts()
            run = _Run(options, top, ours, report, show)
            for peer in options.peer:
                try:
                    run.against(peer, base)
                except _CannotRunError as error:
                    report.failures.append(str(error))
                    print(f"\n{error}", file=sys.stderr, flush=True)
            run.alone()
    if report.found:
        print(f"\nkept in {keep(report, options.name)}", file=show)
    if options.json:
        print(report.to_json(), end="")
    return 1 if report.failures or not report.found else 0


def _indented(lines: list[str], case: str = "") -> list[str]:
    """Lines of a table, with the case before each."""
    return [f"{case:10}{line}".rstrip() for line in lines]


@contextmanager
def _ready(builder: Peer, top: Path, base: Path) -> Iterator[Peer]:
    """The builder, set up in a directory of its own below `top`; torn down at the end, whatever happens."""
    directory = top / builder.name
    directory.mkdir()
    try:
        try:
            builder.setup(directory, base)
        except PeerError as error:
            raise _CannotRunError(f"{builder.name} cannot run here: {error}") from error
        yield builder
    finally:
        builder.teardown()


def _short_of_targets() -> dict[str, Case]:
    """The cases, of which nothing is demanded: targets are about full sizes."""
    return {name: replace(case, target=None, aim=None, buildkit=None) for name, case in CASES.items()}


def _peer(name: str, options: argparse.Namespace) -> Peer:
    return Buildkit(options.buildctl, options.buildkit_addr) if name == Buildkit.name else PEERS[name]()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures pybuild against its peers.")
    add = parser.add_argument
    add("--peer", action="append", choices=PEERS, help="only against this builder; may be given often")
    add("--alone", action="store_true", help="against nobody")
    add("--only", action="append", choices=CASES, help="only this case; may be given often")
    add("--rounds", type=int, help="how often each action is done (default: 3)")
    add("--short", action="store_true", help="tiny inputs, one round: to see that it works")
    add("--commits", type=int, default=50, help="how long the history of `replay` is (default: 50)")
    add("--buildctl", type=Path, metavar="PATH", help="the client of a BuildKit, for --peer buildkit")
    add("--buildkit-addr", metavar="ADDRESS", help="where its daemon listens (default: that of buildctl)")
    add("--name", help="keep the results by this name, not by the time")
    add("--json", action="store_true", help="print the results as JSON, the tables to standard error")
    options = parser.parse_args()
    if options.alone and options.peer:
        parser.error("--alone is without any --peer")
    if "buildkit" in (options.peer or ()) and not options.buildctl:
        parser.error("--peer buildkit needs its client: --buildctl PATH")
    options.peer = [] if options.alone else list(dict.fromkeys(options.peer or peers.USUAL))
    options.only = list(dict.fromkeys(options.only or cases.USUAL))
    options.rounds = options.rounds or (1 if options.short else 3)
    if options.peer and os.geteuid() != 0:
        parser.error("the builders are compared as root: dockerd can run no other way (--alone works as anybody)")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (PeerError, _CannotRunError) as error:
        sys.exit(f"benchmarks: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
