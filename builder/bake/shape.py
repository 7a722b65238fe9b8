"""What blocks may have in them, and errors at their places."""

from __future__ import annotations

import re
from collections.abc import Iterable

from builder.bake import syntax
from builder.bake.values import MeaningError
from builder.errors import ALIKE, BuildfileError, suggestion
from builder.lang.source import Source, Span

# What buildx has of a target, and this has not.
_NOT_HERE = {"policy": "policies of sources are not here"}
NAME = re.compile(r"[a-zA-Z0-9_-]+")
MATRIX_HINT = 'name = … says how its targets are called, such as "app-${version}"'


def error_at(source: Source, span: Span, error: MeaningError) -> BuildfileError:
    """An error at a place of a file."""
    return BuildfileError(error.message, where=source.where(span), hint=error.hint)


def at_block(block: syntax.Block, error: MeaningError) -> BuildfileError:
    """An error at the head of a block."""
    return error_at(block.source, block.span, error)


def at_setting(setting: syntax.Setting, error: MeaningError) -> BuildfileError:
    """An error at the value of a setting."""
    return error_at(setting.source, setting.value.span, error)


def label(block: syntax.Block) -> str:
    """The one name of a block. Raises BuildfileError."""
    if len(block.labels) != 1:
        raise at_block(block, MeaningError(f'a {block.kind} has one name: {block.kind} "NAME" {{ … }}'))
    return block.labels[0]


def bad_name(name: str) -> MeaningError:
    """What is wrong with a name that no target can have."""
    return MeaningError(f"{name!r} is no name of a target", "letters, digits, _ and - make a name")


def checked_label(block: syntax.Block) -> str:
    """The one name of a block, which targets and groups can have. Raises BuildfileError."""
    found = label(block)
    if not NAME.fullmatch(found):
        raise at_block(block, bad_name(found))
    return found


def word(node: syntax.Expression, setting: syntax.Setting) -> str:
    """The name that an expression is. Raises BuildfileError."""
    match node:
        case syntax.Variable(name=name) | syntax.Template(parts=(syntax.Literal(value=str(name)),)):
            return name
        case _:
            raise at_setting(setting, MeaningError("parameters are names"))


def only(block: syntax.Block, keys: Iterable[str], blocks: Iterable[str] = ()) -> None:
    """Raise BuildfileError for a setting or a block that this one does not have."""
    known = list(keys)
    for setting in block.body.settings:
        if setting.name not in known:
            hint = _NOT_HERE.get(setting.name) or suggestion(setting.name, known, least=ALIKE)
            raise error_at(setting.source, setting.span, MeaningError(f"a {block.kind} has no {setting.name}", hint))
    for inner in block.body.blocks:
        if inner.kind not in blocks:
            instead = f"write {inner.kind} = {{ … }}" if inner.kind in known else None
            raise at_block(inner, MeaningError(f"a {block.kind} has no block {inner.kind}", instead))
