"""`python -m benchmarks.travel`: images from a registry on loopback, by pybuild and by others, as ratios.

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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks import inputs, machine, memory
from benchmarks.carriers import CARRIERS, Carrier, Pybuild
from benchmarks.harness import Measure, Samples, timed
from benchmarks.peers.base import PATH, PeerError, program, run
from benchmarks.report import machine_lines, peer_lines

_CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {storage}}}}}
http: {{addr: "127.0.0.1:0"}}
"""
_PATIENCE_SECONDS = 30
_MOST_MEMORY = 100_000_000
_AIM = 0.7


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
        self._environment = {"PATH": PATH, "HOME": str(top), "TMPDIR": str(top), "LANG": "C.UTF-8"}

    def directory(self) -> Path:
        """A new one."""
        self._count += 1
        path = self._top / f"run-{self._count}"
        path.mkdir()
        return path

    def seconds(self, carrier: Carrier, image: str) -> float:
        """How long a pull takes, with nothing left to be written from before."""
        command = carrier.pull(image, self.directory())
        os.sync()
        return timed(run, command, self._top)

    def memory(self, carrier: Carrier, image: str) -> int:
        """The most memory that a pull takes."""
        return memory.peak(carrier.pull(image, self.directory()), self._environment)


def pulls(runner: Runner, images: Sequence[str], peer: Carrier, rounds: int) -> tuple[list[Measure], list[str]]:
    """Pybuild's and the peer's pulls in turn; and lines that tell of their memory."""
    ours, measures, lines = Pybuild(), [], []
    for image in images:
        what = f"pull of {image.partition('/')[2]}"
        times = [(runner.seconds(ours, image), runner.seconds(peer, image)) for _ in range(rounds)]
        measures.append(Measure(what, Samples(tuple(a for a, _ in times), tuple(b for _, b in times))))
        own, other = runner.memory(ours, image), runner.memory(peer, image)
        kept = "met" if own <= _MOST_MEMORY else "missed"
        lines.append(
            f"{f'{what}, most memory':44}{own / 1e6:9.1f} MB{other / 1e6:9.1f} MB{own / other:8.3f}"
            f"  {'':16}{_MOST_MEMORY / 1e6:7.0f} MB {kept}"
        )
    return measures, lines


def main() -> int:
    """Print a table for each peer. Exit status 1: there was none to measure."""
    options = _options()
    measured = 0
    with tempfile.TemporaryDirectory(prefix="pybuild-travel-", ignore_cleanup_errors=True) as name, _undone(name):
        top = Path(name)
        print(*machine_lines(machine.facts(), {}), sep="\n", flush=True)
        for directory in ("inputs", "registry", "runs"):
            (top / directory).mkdir()
        archives = inputs.write(top / "inputs", Pybuild().path)
        with registry(top / "registry") as address:
            images = []
            for image, archive in archives.items():
                images.append(f"{address}/{image}:1")
                copy = [program("skopeo"), "copy", "--quiet", "--dest-tls-verify=false"]
                run([*copy, f"oci-archive:{archive}", f"docker://{images[-1]}"], top)
            runner = Runner(top / "runs")
            for peer in options.peer or CARRIERS:
                carrier = CARRIERS[peer]
                try:
                    facts = carrier.facts()
                    measures, lines = pulls(runner, images, carrier, options.rounds)
                except PeerError as error:
                    print(f"\n{peer} cannot run here: {error}", file=sys.stderr, flush=True)
                    continue
                measured += 1
                print(*peer_lines(peer, facts, measures), *lines, sep="\n", flush=True)
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
