"""A command that failed, in words: how it ended, what it met, where to look."""

from __future__ import annotations

from msgspec import Struct

from builder.errors import StepFailedError
from builder.graph.attempts import ONCE, Attempts, spoken
from builder.graph.vertex import Run, Vertex
from builder.sandbox.spec import Resources, StepResult
from builder.solve.log import StepLog
from builder.solve.worker import RunTask, Task

# 128 + SIGKILL
_KILLED = 137


class Failed(Struct, frozen=True):
    """The step `number` of the build `build`. `program` is how the user calls us.

    `kept`: the files it left are; `to_enter`: so that a shell can be opened in them.
    """

    build: str
    number: int
    program: str
    kept: bool
    to_enter: bool
    resources: Resources

    def error(self, vertex: Vertex, task: Task, step: StepResult, log: StepLog) -> StepFailedError:
        """The error that says so."""
        argv = task.spec.argv if isinstance(task, RunTask) else ()
        asked = vertex.attempts if isinstance(vertex, Run) else ONCE
        hints = [_met(step, self.resources)]
        if log.path is not None and log.tail():
            hints.append(f"{self.program} logs {self.build} {self.number} prints its whole output")
        if self.kept and self.to_enter:
            hints.append(f"{self.program} shell --failed opens a shell in what it left")
        return StepFailedError(
            f'process "{" ".join(argv)}" did not complete successfully: {ended(asked, step)}',
            status=step.status,
            log=log.tail(),
            kept=f"{self.build}-{self.number}" if self.kept else "",
            output=str(log.path or ""),
            hint="; ".join(filter(None, hints)) or None,
        )


def ended(asked: Attempts, step: StepResult) -> str:
    """How a command failed."""
    return f"timed out after {spoken(asked.timeout)}" if step.timed_out else f"exit code: {step.status}"


def _met(step: StepResult, resources: Resources) -> str | None:
    """Which limit a step that failed has met, as a hint."""
    if step.memory_kills:
        limit, peak = resources.memory >> 20, step.usage.peak_bytes >> 20
        return f"it was killed for memory: its limit is {limit} MiB, its peak was {peak} MiB; raise --memory"
    if step.refused_forks:
        return f"it met its limit of {resources.pids} processes; raise --pids-limit"
    if step.status == _KILLED and not step.timed_out:
        return "the kernel or someone else killed it: is there enough memory?"
    return None
