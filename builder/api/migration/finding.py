"""What was found in a project: where, how much it matters, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

from builder.errors import PybuildError

# error: it does not build as it is; warning: it builds otherwise, or only under conditions; note: something is called
# otherwise here.
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Finding(Struct, frozen=True):
    """One thing that differs. `file` is relative to the project, empty for what is of this machine; `line` from 1.

    `kind` is what it is about, in a word or two that stay the same; `message` is a sentence without a final stop, and
    `hint` what to do.
    """

    file: str
    line: int
    severity: Severity
    kind: str
    message: str
    hint: str = ""


class Report(Struct, frozen=True):
    """What a project has that matters, and what was found in it. `images` are its base images."""

    files: tuple[str, ...]
    images: tuple[str, ...]
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many findings are so severe."""
        return sum(finding.severity == severity for finding in self.findings)


def wrong(file: str, kind: str, error: PybuildError) -> Finding:
    """What an error says, as a finding of `file`."""
    return Finding(
        file, error.where.line if error.where is not None else 0, "error", kind, error.message, error.hint or ""
    )


def settled(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Each once, by file and line; those of this machine first."""
    yield from sorted(
        dict.fromkeys(findings), key=lambda one: (one.file, one.line, SEVERITIES.index(one.severity), one.kind)
    )
