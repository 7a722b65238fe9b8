"""What is measured, each in one module."""

from __future__ import annotations

from benchmarks.cases import replay, run_steps
from benchmarks.harness import Case

# by the name of --only
CASES: dict[str, Case] = {"run-steps": run_steps, "replay": replay}
