"""What is measured: the targets in their order, and two longer looks."""

from __future__ import annotations

from benchmarks.cases import copies, exports, growth, replay, run_steps, stages
from benchmarks.harness import Case

# By the name of --only. Targets are parts of the newest BuildKit's time; what it took on two cores of a virtual
# machine with ext4 stands beside them, since few have it at hand.
CASES: dict[str, Case] = {
    "P1": Case("10 RUN steps, all cached", run_steps.cached, target=0.5, aim=0.05, buildkit=0.10),
    "P2": Case("a RUN step beyond its command", run_steps.beyond, target=0.1, aim=0.01, buildkit=0.11),
    "P3": Case("COPY of 20,000 files, RUN, cold, to an archive", copies.cold, target=0.4, aim=1.96, buildkit=4.9),
    "P4": Case("the same, all cached", copies.cached, target=0.3, aim=0.15, buildkit=0.51),
    "P5": Case("the same, one file edited, to an archive", copies.edited, target=0.25, aim=0.6, buildkit=2.5),
    "P6": Case("COPY of 529 MB, RUN, cold, to an archive", copies.big, target=0.3, aim=3.7, buildkit=12.4),
    "P7": Case("two stages that sleep 1 s each", stages.measure, target=0.7),
    "P8": Case("export of an image of 148 MB", exports.measure, target=0.3, aim=1.1, buildkit=3.7),
    "P9": Case("most memory of P6", copies.memory_of_big, aim=100e6),
    "P10": Case("growth", growth.measure, alone=growth.alone),
    "run-steps": Case("RUN steps in four ways", run_steps.measure),
    "replay": Case("a git history, commit by commit", replay.measure),
}
# what is measured when nothing is named
USUAL = tuple(name for name in CASES if name.startswith("P"))
