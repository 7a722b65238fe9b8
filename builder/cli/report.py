"""An error as text: what happened, where, what to do."""

from __future__ import annotations

from builder.errors import PybuildError, StepFailedError, Where


def draw(error: PybuildError) -> str:
    """The lines shown on standard error."""
    lines = []
    if isinstance(error, StepFailedError) and error.log:
        lines += ["------", *(f"  {line}" for line in error.log), "------"]
    lines.append(f"error: {error.message}")
    if error.where is not None:
        lines += _place(error.where)
    if error.hint:
        lines.append(f"  hint: {error.hint}")
    return "\n".join(lines)


def _place(where: Where) -> list[str]:
    lines = [f"  --> {where}"]
    if where.source:
        number = str(where.line)
        lines += [f"  {number} | {where.source}"]
        if where.column:
            # Tabs stay tabs, so that the caret stands below its column.
            before = "".join("\t" if c == "\t" else " " for c in where.source[: where.column - 1])
            width = max(1, min(where.width, len(where.source) - where.column + 1))
            lines.append(f"  {' ' * len(number)} | {before}{'^' * width}")
    return lines
