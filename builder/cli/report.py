"""An error as text: what happened, where, what to do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from builder.errors import PybuildError, StepFailedError, Where
from builder.lang.sizes import size
from builder.progress.clean import clean, colored, may_color

# In bytes: as much as is told of a log where all of it is to be. CI services keep a few MB.
_MOST = 1 << 20


def draw(error: PybuildError) -> str:
    """The lines shown on standard error."""
    lines = []
    if isinstance(error, StepFailedError) and error.log:
        shown = colored if may_color() else clean
        lines += ["------", *(f"  {shown(line)}" for line in error.log), "------"]
    lines.append(f"error: {_clean(error.message)}")
    if error.where is not None:
        lines += _place(error.where)
    if error.hint:
        lines.append(f"  hint: {_clean(error.hint)}")
    return "\n".join(lines)


def whole_log(error: StepFailedError) -> Sequence[str]:
    """All that the step printed; of very much the end, and a line that says so."""
    try:
        with Path(error.output).open("rb") as file:
            skipped = max(0, os.fstat(file.fileno()).st_size - _MOST)
            file.seek(skipped)
            text = file.read(_MOST).decode(errors="backslashreplace")
    except OSError:
        return error.log  # removed meanwhile, or never written
    lines = text.removesuffix("\n").split("\n")
    return [f"[pybuild: the first {size(skipped)} are left out here]", *lines[1:]] if skipped else lines


def _clean(text: str) -> str:
    return "\n".join(map(clean, text.split("\n")))


def _place(where: Where) -> list[str]:
    lines = [f"  --> {clean(str(where))}"]
    if where.source:
        number = str(where.line)
        lines += [f"  {number} | {clean(where.source)}"]
        if where.column:
            # Tabs stay tabs, so that the caret stands below its column.
            before = "".join("\t" if c == "\t" else " " for c in where.source[: where.column - 1])
            width = max(1, min(where.width, len(where.source) - where.column + 1))
            lines.append(f"  {' ' * len(number)} | {before}{'^' * width}")
    return lines
