"""`python -m benchmarks`: pybuild against each peer that can run here, as ratios."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import machine
from benchmarks.base import write_base
from benchmarks.cases import CASES
from benchmarks.harness import Measure, Pair, WrongMeasureError
from benchmarks.limits import limits
from benchmarks.peers import PEERS
from benchmarks.peers.base import Peer, PeerError
from benchmarks.peers.pybuild import Pybuild
from benchmarks.report import Report, machine_lines, peer_lines


def main() -> int:
    """Print a table for each peer and keep everything as JSON. Exit status 1: there was no peer to measure."""
    options = _options()
    # as Ctrl-C: what was started is ended
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show = sys.stderr if options.json else sys.stdout
    with tempfile.TemporaryDirectory(prefix="pybuild-bench-") as name:
        top = Path(name)
        base = top / "base.tar"
        write_base(base)
        report = Report(machine.facts(), limits(top))
        print(*machine_lines(report.machine, report.limits), sep="\n", file=show, flush=True)
        with _ready(Pybuild(), top, base) as ours:
            report.ours = ours.facts()
            for peer_name in options.peer or PEERS:
                try:
                    with _ready(PEERS[peer_name](), top, base) as peer:
                        facts = peer.facts()
                        measures = _measures(ours, peer, options, top)
                except _CannotRunError as error:
                    print(f"\n{error}", file=sys.stderr, flush=True)
                    continue
                report.peers[peer_name] = facts, measures
                print(*peer_lines(peer_name, facts, measures), sep="\n", file=show, flush=True)
    if not report.peers:
        return 1
    print(f"\nkept in {report.keep()}", file=show)
    if options.json:
        print(report.to_json())
    return 0


class _CannotRunError(Exception):
    """A builder cannot be set up on this machine."""


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


def _measures(ours: Peer, peer: Peer, options: argparse.Namespace, top: Path) -> list[Measure]:
    measures = []
    for name in options.only or CASES:
        directory = top / f"{peer.name}-{name}"
        directory.mkdir()
        measures += CASES[name].measure(Pair(ours, peer, directory, options.rounds, options.commits))
    return measures


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures pybuild against its peers.")
    parser.add_argument("--peer", action="append", choices=PEERS, help="only against this builder; may be given often")
    parser.add_argument("--only", action="append", choices=CASES, help="only this case; may be given often")
    parser.add_argument("--rounds", type=int, default=5, help="how often each action is done (default: 5)")
    parser.add_argument("--commits", type=int, default=50, help="how long the history of `replay` is (default: 50)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON, the tables to standard error")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("the builders are compared as root: dockerd can run no other way")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (PeerError, _CannotRunError, WrongMeasureError) as error:
        sys.exit(f"benchmarks: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
