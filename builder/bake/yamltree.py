"""YAML as a tree that knows its places, read so that hostile files do no harm: the only importer of yaml.

No object but text, truth values, lists and mappings comes of it. Aliases are followed, but a file in which they make
more of it than people write, or which holds itself, is refused. Text without quotation marks stays as it is written,
as that is what ends up in arguments; but numbers lose what does not count (`1.50`), as they do in compose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from builder.errors import BuildfileError, HostError
from builder.lang.source import Source, Span

if TYPE_CHECKING:
    import yaml

_MOST, _DEEPEST = 100_000, 100
_NULL = ("", "~", "null", "Null", "NULL")
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_FLOAT = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?")
_MERGE = "<<"
RESET, OVERRIDE = "!reset", "!override"


class Node(Struct, frozen=True):
    """A value with its place: text, a truth value, None, a list of nodes or a mapping of names to nodes.

    `tag` is what the file says of it, RESET or OVERRIDE, and else empty; `quoted`: it is text, whatever it looks like.
    """

    value: Any
    span: Span
    source: Source
    tag: str = ""

    def error(self, message: str, hint: str | None = None) -> BuildfileError:
        """An error at its place."""
        return BuildfileError(message, where=self.source.where(self.span), hint=hint)

    def mapping(self, what: str) -> Mapping[str, Node]:
        """It as a mapping; None is an empty one. Raises BuildfileError."""
        if self.value is None:
            return {}
        if not isinstance(self.value, Mapping):
            raise self.error(f"{what} is a mapping")
        return self.value

    def items(self, what: str) -> list[Node]:
        """It as a list; None is an empty one. Raises BuildfileError."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.error(f"{what} is a list")
        return self.value

    def text(self, what: str) -> str:
        """It as text. Raises BuildfileError."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if not isinstance(self.value, str):
            raise self.error(f"{what} is text")
        return self.value

    def truth(self, what: str) -> bool:
        """It as a truth value. Raises BuildfileError."""
        if self.value in (*_TRUE, "1", "yes", "on", "y", True):
            return True
        if self.value in (*_FALSE, "0", "no", "off", "n", False, None, ""):
            return False
        raise self.error(f"{what} is true or false")


def parse(source: Source) -> Node:
    """The tree of a file. Raises BuildfileError, and HostError where YAML cannot be read here."""
    try:
        # lazy: only compose files are YAML
        import yaml
    except ImportError:
        raise HostError(
            f"{source.name} is YAML, which needs a package that is not installed", hint="pip install 'pybuild[bake]'"
        ) from None
    try:
        # libyaml, where it is there (it mostly is), refuses deep nesting at once; in Python it takes the square of it.
        root = yaml.compose(source.text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return _Reader(source).read(root, 0) if root is not None else Node(None, Span(1, 1, 1, 2), source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        span = Span(line, column, line, column + 1)
        raise BuildfileError(f"this is no YAML: {error.problem}", where=source.where(span)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise BuildfileError(f"this is no YAML: {error}", where=source.where(Span(1, 1, 1, 2))) from None
    except RecursionError:
        raise BuildfileError("this is nested too deeply", where=source.where(Span(1, 1, 1, 2))) from None


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source, self.left = source, _MOST
        self.within: set[int] = set()

    def read(self, node: yaml.Node, depth: int) -> Node:
        span = Span(
            node.start_mark.line + 1, node.start_mark.column + 1, node.end_mark.line + 1, node.end_mark.column + 1
        )
        self.left -= 1
        here = Node(None, span, self.source)
        if self.left < 0 or depth > _DEEPEST:
            raise here.error("this file is larger than it looks" if self.left < 0 else "this is nested too deeply")
        if id(node) in self.within:
            raise here.error("this holds itself")
        self.within.add(id(node))
        try:
            tag = node.tag if node.tag in (RESET, OVERRIDE) else ""
            return Node(self._value(node, here, depth), span, self.source, tag)
        finally:
            self.within.discard(id(node))

    def _value(self, node: Any, here: Node, depth: int) -> Any:
        if node.id == "scalar":
            return node.value if node.style else plain(node.value)
        if node.id == "sequence":
            return [self.read(one, depth + 1) for one in node.value]
        found, merged = dict[str, Node](), dict[str, Node]()
        for key, value in node.value:
            name = self.read(key, depth + 1)
            if not isinstance(name.value, str | bool | None):
                raise name.error("a name is text")
            if name.value == _MERGE and not key.style:
                merged.update(self._merged(self.read(value, depth + 1), merged))
                continue
            text = key.value
            if text in found:
                raise name.error(f"{text} is there twice")
            found[text] = self.read(value, depth + 1)
        return {**merged, **found}

    def _merged(self, node: Node, before: Mapping[str, Node]) -> Mapping[str, Node]:
        """What `<<` brings: of several mappings the earlier counts."""
        parts = node.value if isinstance(node.value, list) else [node]
        found = dict(before)
        for part in parts:
            for name, one in part.mapping("what is merged").items():
                found.setdefault(name, one)
        return found


def plain(text: str) -> Any:
    """What text without quotation marks is: None, a truth value, or text, of a number without what does not count."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if not _FLOAT.fullmatch(text) or len(text) > 40:
        return text
    digits = text.lstrip("+-")
    if digits.isdigit():
        octal = len(digits) > 1 and digits[0] == "0" and not set(digits) & set("89")
        number = int(digits, 8 if octal else 10)
        return f"{'-' if text[0] == '-' and number else ''}{number}"
    # lazy: a float in a file of ours is rare
    from builder.bake.values import number as whole
    from builder.bake.values import to_string

    return to_string(whole(float(text)))
