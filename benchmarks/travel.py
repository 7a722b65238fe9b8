"""`python -m benchmarks.travel`: images from and to a registry on loopback, by pybuild and by others, as ratios.

What is pulled is deleted only when all has been measured: ext4 makes files slowly for a while where many were deleted.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import inputs, machine, memory
from benchmarks.carriers import CARRIERS, Carrier, Pybuild
from benchmarks.harness import Measure, Samples, timed
from benchmarks.inputs import Archives
from benchmarks.peers.base import PeerError, program, run
from benchmarks.report import head_lines, machine_lines, measure_lines

_CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {storage}}}}}
http: {{addr: "127.0.0.1:0"}}
"""
_PATIENCE_SECONDS = 30
_MOST_MEMORY = 100_000_000
_AIM = 0.7

N = TypeVar("N", int, float)
Command = list[str | Path]


@contextmanager
def registry(directory: Path) -> Iterator[str]:
    """docker-registry with its files below `directory`; gives its address. Raises PeerError."""
    config, log = directory / "config.yml", directory / "log"
    config.write_text(_CONFIG.format(storage=directory / "storage").replace("level: error", "level: info"))
    with log.open("wb") as stream:
        process = subprocess.Popen([program("docker-registry"), "serve", config], stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (found := re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                raise PeerError("docker-registry does not start")
            time.sleep(0.05)
        yield f"localhost:{found[1]}"
    finally:
        process.terminate()
        process.wait()


class Runner:
    """Runs commands with new directories below `top`, one for each."""

    def __init__(self, top: Path) -> None:
        self._top, self._count = top, 0

    def directory(self) -> Path:
        """A new one."""
        self._count += 1
        path = self._top / f"run-{self._count}"
        path.mkdir()
        return path

    def seconds(self, command: Command) -> float:
        """How long a command takes, with nothing left to be written from before."""
        os.sync()
        return timed(run, command, self._top)

    def memory(self, command: Command) -> int:
        """The most memory that a command takes."""
        return memory.peak(partial(run, command, self._top))


# What is run once: given a carrier and what measures a command, what that gives for the action.
Action = Callable[[Carrier, Callable[[Command], N]], N]


def compared(runner: Runner, what: str, peer: Carrier, rounds: int, action: Callable[..., Any]) -> tuple[Measure, str]:
    """Pybuild's and the peer's time for an action in turn; and a line that tells of their memory."""
    ours = Pybuild()
    times = [(action(ours, runner.seconds), action(peer, runner.seconds)) for _ in range(rounds)]
    own, other = action(ours, runner.memory), action(peer, runner.memory)
    kept = "met" if own <= _MOST_MEMORY else "missed"
    line = (
        f"{f'{what}, most memory':44}{own / 1e6:9.1f} MB{other / 1e6:9.1f} MB{own / other:8.3f}"
        f"  {'':16}{_MOST_MEMORY / 1e6:7.0f} MB {kept}"
    )
    return Measure(what, Samples(tuple(a for a, _ in times), tuple(b for _, b in times))), line


def pulling(runner: Runner, top: Path, archives: Mapping[str, Archives], stack: ExitStack) -> dict[str, Action]:
    """What is measured of pulls: into a new store each."""
    (top / "registry").mkdir()
    address = stack.enter_context(registry(top / "registry"))
    actions: dict[str, Action] = {}
    for name, archive in archives.items():
        image = f"{address}/{name}:1"
        copy = [program("skopeo"), "copy", "--quiet", "--dest-tls-verify=false"]
        run([*copy, f"oci-archive:{archive.oci}", f"docker://{image}"], top)
        actions[f"pull of {name}:1"] = partial(_pull, runner, image)
    return actions


def _pull(runner: Runner, image: str, carrier: Carrier, measured: Callable[[Command], N]) -> N:
    return measured(carrier.pull(image, runner.directory()))


def pushing(runner: Runner, top: Path, archives: Mapping[str, Archives], stack: ExitStack) -> dict[str, Action]:
    """What is measured of pushes: of an image the first time, and once more, to an empty registry each."""
    actions: dict[str, Action] = {}
    for name, archive in archives.items():
        loaded: dict[str, Path] = {}
        actions[f"first push of {name}:1"] = partial(_push, runner, archive.docker, name, loaded, True)
        actions[f"second push of {name}:1"] = partial(_push, runner, archive.docker, name, loaded, False)
    return actions


def _push(
    runner: Runner,
    archive: Path,
    name: str,
    loaded: dict[str, Path],
    first: bool,
    carrier: Carrier,
    measured: Callable[[Command], N],
) -> N:
    if carrier.name not in loaded:
        loaded[carrier.name] = runner.directory()
        carrier.load(archive, name, loaded[carrier.name])
    if first:
        carrier.forget(loaded[carrier.name])
    with registry(runner.directory()) as address:
        return measured(carrier.push(name, f"{address}/{name}:1", loaded[carrier.name]))


ACTIONS = {"pull": pulling, "push": pushing}


def main() -> int:
    """Print a table for each peer. Exit status 1: there was none to measure."""
    options = _options()
    measured = 0
    with tempfile.TemporaryDirectory(prefix="pybuild-travel-", ignore_cleanup_errors=True) as name, _undone(name):
        top = Path(name)
        print(*machine_lines(machine.facts(), {}), sep="\n", flush=True)
        for directory in ("inputs", "runs"):
            (top / directory).mkdir()
        archives = inputs.write(top / "inputs", Pybuild().path)
        runner = Runner(top / "runs")
        with ExitStack() as stack:
            actions: dict[str, Action] = {}
            for kind in options.only or ACTIONS:
                actions |= ACTIONS[kind](runner, top, archives, stack)
            for peer in options.peer or CARRIERS:
                carrier = CARRIERS[peer]
                try:
                    facts = carrier.facts()
                    found = [compared(runner, what, carrier, options.rounds, do) for what, do in actions.items()]
                except PeerError as error:
                    print(f"\n{peer} cannot run here: {error}", file=sys.stderr, flush=True)
                    continue
                measured += 1
                measures, lines = [measure for measure, _ in found], [line for _, line in found]
                print(*head_lines(peer, facts), *measure_lines(measures), *lines, sep="\n", flush=True)
    print(f"\naim: at most {_AIM} of the time of who does the same, {_MOST_MEMORY / 1e6:.0f} MB")
    return 0 if measured else 1


@contextmanager
def _undone(top: str) -> Iterator[None]:
    """Undo what others leave mounted below `top`."""
    try:
        yield
    finally:
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for path in reversed([path for path in mounts if path.startswith(f"{top}/")]):
            subprocess.run(["umount", "--lazy", path], check=False)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.travel", description="Measures how images travel.")
    parser.add_argument("--peer", action="append", choices=CARRIERS, help="only against this one; may be given often")
    parser.add_argument("--only", action="append", choices=ACTIONS, help="only this; may be given often")
    parser.add_argument("--rounds", type=int, default=5, help="how often each action is done (default: 5)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("the others unpack as root: an ordinary user's storage is another kind of work")
    return options


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        try:
            sys.exit(main())
        except PeerError as error:
            sys.exit(f"benchmarks: {error}")
    sys.exit(130)
