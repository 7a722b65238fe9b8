"""Instructions over a finished image config, as `commit --change` has them: they make no layer and no history."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from builder.errors import BuildfileError, UsageError
from builder.graph.filesystem import enter
from builder.graph.metadata import apply
from builder.graph.scope import Scope
from builder.graph.state import StageState
from builder.graph.vertex import VertexId
from builder.image.config import ImageConfig
from builder.lang import ast
from builder.lang.parser import parse
from builder.lang.source import Source

# Docker's list
ALLOWED = (
    "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip


def amended(config: ImageConfig, texts: Iterable[str]) -> ImageConfig:
    """`config` as the instructions `texts` change it, one after the other. Raises UsageError for any other."""
    scope = Scope({}, {})
    scope.set(config.env)
    state = StageState(Source("--change", ""), "\\", VertexId(0), config, scope)
    for text in texts:
        try:
            _change(text, state)
        except BuildfileError as error:
            raise UsageError(error.message, where=error.where, hint=error.hint) from error
    return replace(state.finished(), history=config.history)


def _change(text: str, state: StageState) -> None:
    state.source = Source("--change", text)
    for instruction in parse(state.source).instructions:
        name = type(instruction).__name__.upper()
        if name not in ALLOWED:
            raise state.wrong(
                f"{name} is nothing that can be changed", instruction.span, hint=f"one of {', '.join(ALLOWED)}"
            )
        if isinstance(instruction, ast.Workdir):
            enter(instruction, state)
        else:
            apply(instruction, state)
